"""JSON: reading what somebody may have written by hand, or to do harm, into dataclasses; writing documents."""

from __future__ import annotations

import json
from typing import Any, TypeVar

T = TypeVar("T")


def read_json(data: bytes | str) -> Any:
    """The value of a JSON text. Raises ValueError also for what Python's own reader lets through and what later fails
    somewhere else: NaN, halves of surrogate pairs, more than 200 levels, numbers of thousands of digits."""
    from pydantic_core import from_json

    return from_json(data, allow_inf_nan=False)


def as_type(document: Any, kind: type[T]) -> T:
    """The dataclass of this type that the values of a JSON document make; keys that it doesn't know are ignored.
    Raises ``pydantic.ValidationError`` with all that is wrong. It is only asked where msgspec refuses: to build
    pydantic's validator of a whole host takes ten times as long as all of the reading."""
    import msgspec

    try:
        return msgspec.convert(document, kind, str_keys=True)
    except (msgspec.ValidationError, RecursionError):
        from pydantic import TypeAdapter

        return TypeAdapter(kind).validate_python(document)


def to_data(value: Any) -> Any:
    """Dataclasses as the values of a JSON document: the other way of `as_type`. Tuples stay tuples."""
    import msgspec

    return msgspec.to_builtins(value, str_keys=True)


def to_text(document: Any) -> str:
    """A document for people and programs, in the order in which it was made: the text of ``json.dumps`` with
    ``indent=2`` and ``ensure_ascii=False``, which takes fifteen times as long in Python 3.11 to 3.13."""
    from pydantic_core import PydanticSerializationError, to_json

    try:
        return to_json(document, indent=2).decode() + "\n"
    except PydanticSerializationError:  # Halves of surrogate pairs: the path of a file whose name is not UTF-8.
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
