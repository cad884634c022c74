"""The time, as documents and records write it, and as waiting counts it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


class Clock(Protocol):
    """What deadlines and pauses count by: the module ``time``, or the clock of a simulated host, whose seconds cost
    nothing."""

    def monotonic(self) -> float:
        """Seconds since some moment."""
        ...

    def sleep(self, seconds: float, /) -> None:
        """Lets so many seconds pass."""
        ...


def now() -> str:
    """UTC, ``2026-01-01T00:00:00Z``."""
    return datetime.now(UTC).strftime(_FORMAT)


def seconds(moment: str) -> float:
    """A moment that `now` has written, in seconds since 1970. Raises ValueError for any other text."""
    return datetime.strptime(moment, _FORMAT).replace(tzinfo=UTC).timestamp()
