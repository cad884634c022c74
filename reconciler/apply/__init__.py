"""Carrying a plan out: the executor, its journal, the lock, and the ledger of applied values."""
