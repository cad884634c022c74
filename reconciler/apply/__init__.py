"""Carrying a plan out: the executor, its view of the host, its journal, the lock, and the ledger of applied values."""
