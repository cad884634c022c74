"""Reading JSON that somebody may have written by hand, or to do harm."""

from __future__ import annotations

from typing import Any


def read_json(data: bytes | str) -> Any:
    """The value of a JSON text. Raises ValueError also for what Python's own reader lets through and what later fails
    somewhere else: NaN, halves of surrogate pairs, more than 200 levels, numbers of thousands of digits."""
    from pydantic_core import from_json

    return from_json(data, allow_inf_nan=False)
