"""Markdown that holds text from outside: escaping, tables, fences, and a limit on the whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_SPECIAL = re.compile(r"[\\`*_\[\]#|<>&~@$]|:(?=//)|(?<=www)\.", re.IGNORECASE)
_ENTITIES = frozenset("<>&@:.")


def escaped(text: str) -> str:
    """Text as Markdown that shows it literally after the start of a line: in a sentence, or in a cell of a
    table. It mentions nobody and makes no link."""
    return _SPECIAL.sub(_escape, text.replace("\n", " "))


def _escape(found: re.Match[str]) -> str:
    char = found[0]
    return f"&#{ord(char)};" if char in _ENTITIES else "\\" + char


def code(text: str) -> str:
    """Text as inline code, in a paragraph or in a cell."""
    text = text.replace("\n", " ")
    if "`" in text or "|" in text or "\\" in text:
        return f"<code>{escaped(text)}</code>"
    return f"`{text}`" if text.strip() else ""


def md_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table; the cells are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def fence(lines: Sequence[str], language: str = "") -> list[str]:
    """A code block whose fence is longer than any run of backticks in it."""
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    ticks = "`" * max(3, longest + 1)
    return [ticks + language, *lines, ticks]


def details(summary: str, lines: Sequence[str]) -> list[str]:
    """A part that is folded away. ``summary`` is shown; it is HTML already."""
    return ["<details>", f"<summary>{summary}</summary>", "", *lines, "", "</details>"]


@dataclass(slots=True)
class Part:
    """A part of a page."""

    lines: list[str]
    name: str = ""
    """What is missing when it is left out; "" for what is never left out."""
    rank: int = 0
    """The highest goes first when there is too little room."""


def page(parts: Sequence[Part], max_bytes: int, elsewhere: str) -> str:
    """The parts as one text of at most ``max_bytes`` UTF-8 bytes. What doesn't fit is left out whole,
    the least important first, and named at the end. ``elsewhere``: the command that shows everything."""
    kept = [part for part in parts if part.lines]
    left_out: list[str] = []
    while True:
        text = _joined(kept, left_out, elsewhere)
        droppable = [part for part in kept if part.name]
        if len(text.encode()) <= max_bytes:
            return text
        if not droppable:
            return _cut(text, max_bytes)
        least = max(droppable, key=lambda part: part.rank)
        kept.remove(least)
        left_out.append(least.name)


def _joined(parts: Sequence[Part], left_out: Sequence[str], elsewhere: str) -> str:
    blocks = ["\n".join(part.lines) for part in parts]
    if left_out:
        names = ", ".join(left_out)
        blocks.append(f"_Left out, since it would be too long here: {names}. See {code(elsewhere)}._")
    return "\n\n".join(blocks) + "\n"


def _cut(text: str, max_bytes: int) -> str:
    """The last resort: whole lines as far as they fit."""
    note = "\n_Cut here, since it would be too long._\n"
    room = max(max_bytes - len(note.encode()), 0)
    head = text.encode()[:room].decode(errors="ignore")
    return (head.rpartition("\n")[0] + "\n" + note).encode()[:max_bytes].decode(errors="ignore")
