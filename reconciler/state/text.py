"""From bytes to TOML values with their places; what goes wrong here leaves nothing else to check."""

from __future__ import annotations

from typing import Any, NoReturn

import tomli

from reconciler.diagnostics import Diagnostic, StateFileError
from reconciler.state.errors import SUMMARIES
from reconciler.state.positions import Path, Position, TooDeepError, positions

MAX_BYTES = 8 * 1024 * 1024
"""A file with 10,000 VFs written out one by one has about 1 MiB."""


_TOP = Position(1, 1)


def parse(path: str, data: bytes) -> tuple[dict[str, Any], dict[Path, Position]]:
    """The values of a TOML file and their places. Raises StateFileError with one diagnostic."""
    text = _decode(path, data)
    try:
        return tomli.loads(text), positions(text)
    except tomli.TOMLDecodeError as error:
        _refuse(path, "toml-syntax", f"{error.msg}.", Position(error.lineno, error.colno))
    except TooDeepError as error:
        _refuse(path, "toml-nesting", f"It has {error}.", error.position)
    except RecursionError:
        _refuse(path, "toml-nesting", "It has more levels of arrays or tables than can be read.")
    except ValueError as error:  # Python's limit on the digits of a number
        _refuse(path, "toml-syntax", f"{error}.")


def _decode(path: str, data: bytes) -> str:
    if len(data) > MAX_BYTES:
        _refuse(path, "file-too-large", f"It has {len(data)} bytes, and at most {MAX_BYTES} are read.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # With a byte order mark, the offset that Python gives is one within the rest.
        start = error.start + (len(data) - len(error.object))
        line = data.count(b"\n", 0, start) + 1
        begin = data.rfind(b"\n", 0, start) + 1
        column = len(data[begin:start].decode("utf-8-sig")) + 1
        hint = ""
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            hint = "; it looks like UTF-16: save it as UTF-8"
        _refuse(
            path,
            "not-utf8",
            f"The byte 0x{data[start]:02x} at offset {start} is no part of a character{hint}.",
            Position(line, column),
        )


def _refuse(path: str, code: str, detail: str, place: Position = _TOP) -> NoReturn:
    raise StateFileError(
        [
            Diagnostic(
                severity="error",
                code=code,
                summary=SUMMARIES[code],
                detail=detail,
                path=path,
                line=place.line,
                column=place.column,
            )
        ]
    ) from None
