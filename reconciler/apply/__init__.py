"""Carrying a plan out: the executor, what it sees of the host, its journal, the lock, and the ledger of applied values."""
