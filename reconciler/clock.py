"""The time, as documents and records write it."""

from datetime import UTC, datetime


def now() -> str:
    """UTC, ``2026-01-01T00:00:00Z``."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
