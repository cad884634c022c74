"""Plain-text layout: colours that can be switched off, text from outside made harmless, aligned columns.

Every view first takes its document through `clean`, so that no name in it can move the cursor, forge a line
or hide: a control character comes out as the escape that a programmer would write for it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

_CODES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
}

_PARAGRAPHS = frozenset({"detail", "error"})
"""Keys whose text may have several lines; `quoted` shows each behind a bar, so that none passes for ours."""


def visible(text: str) -> str:
    """The text with what is not printable (control, format and surrogate characters) written out."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def clean(document: Any) -> Any:
    """JSON data in which all text, keys included, is `visible`. It may be the same object, unchanged."""
    return document if _is_clean(document) else _cleaned(document)


def _is_clean(document: Any) -> bool:
    """Whether there is nothing to escape, as nearly always: much quicker to ask than to copy a large plan.
    JSON writes a control character as an escape, and anything else as it is."""
    import msgspec

    try:
        text = msgspec.json.encode(document).decode()
    except UnicodeEncodeError:  # Halves of surrogate pairs.
        return False
    return text.isprintable() and "\\" not in text.replace("\\\\", "").replace('\\"', "")


def _cleaned(document: Any) -> Any:
    if isinstance(document, str):
        return visible(document)
    if isinstance(document, list):
        return [_cleaned(item) for item in document]
    if isinstance(document, dict):
        return {
            visible(key): _paragraph(value) if key in _PARAGRAPHS and isinstance(value, str) else _cleaned(value)
            for key, value in document.items()
        }
    return document


def _paragraph(text: str) -> str:
    return "\n".join(visible(line.rstrip("\r")) for line in text.split("\n"))


class Style:
    """Paints text when ``enabled``. Colour only repeats what words and symbols say."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled

    def paint(self, text: str, *names: str) -> str:
        """The text in these styles: ``bold``, ``dim``, ``red``, ``green``, ``yellow``, ``cyan``."""
        codes = [_CODES[name] for name in names if name]
        if not self.enabled or not codes or not text:
            return text
        return f"\x1b[{';'.join(codes)}m{text}\x1b[0m"


def table(rows: Iterable[Sequence[str]], *, indent: int = 0) -> list[str]:
    """Rows as lines with aligned columns. Nothing is cut or wrapped, and no line ends in spaces."""
    cells = [list(row) for row in rows]
    columns = max((len(row) for row in cells), default=0)
    widths = [max(len(row[column]) for row in cells if column < len(row)) for column in range(columns)]
    lines = []
    for row in cells:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        lines.append((" " * indent + "  ".join(padded)).rstrip())
    return lines


def paragraph(text: str, *, indent: int = 0, hang: int = 0, width: int = 0) -> list[str]:
    """A text as lines of at most ``width`` columns (0: one line, whatever its length). ``hang``: more indent
    from the second line on. Words, so also paths and commands, are never broken."""
    first, rest = " " * indent, " " * (indent + hang)
    if not width:
        return [first + text]
    lines = textwrap.wrap(
        text,
        max(width, indent + hang + 20),
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines or [first.rstrip()]


def quoted(text: str, *, indent: int = 2, width: int = 0) -> list[str]:
    """A text from elsewhere, each of its lines behind a bar. Indented lines (commands) are not wrapped."""
    room = max(width - indent - 2, 0)
    lines: list[str] = []
    for line in text.split("\n"):
        lines += [line] if line.startswith("    ") or not line else paragraph(line, width=room)
    return [f"{' ' * indent}| {line}".rstrip() for line in lines]


def plural(count: int, noun: str) -> str:
    """``1 change``, ``2 changes``."""
    return f"{count} {noun if count == 1 else noun + 's'}"


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
