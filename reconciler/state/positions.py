"""Where things stand in a TOML file: key path → line and column.

tomli gives values without places. This scanner walks over a text that tomli has already accepted, so it
only has to find its way, never to judge. A path's place is that of its own key: of ``vf`` in
``[pf.int.vf.3]`` for ``("pf", "int", "vf")``; that of an array's element is where the element begins.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NamedTuple

import tomli

Path = tuple[str | int, ...]

MAX_DEPTH = 64
"""Levels of a path; a state file needs seven."""


class Position(NamedTuple):
    """1-based; columns count characters, as editors do."""

    line: int
    column: int


class TooDeepError(ValueError):
    """A path has more than MAX_DEPTH levels."""

    def __init__(self, position: Position) -> None:
        super().__init__(f"more than {MAX_DEPTH} levels")
        self.position = position


def positions(text: str) -> dict[Path, Position]:
    """The place of every table, key and array element of ``text``, which has to be valid TOML.

    Raises TooDeepError.
    """
    return _Scanner(text.replace("\r\n", "\n")).run()


_BLANK = re.compile(r"[ \t]*+")
_FILL = re.compile(r"(?:[ \t\n]++|#[^\n]*+)*+")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]++")
_STRING = re.compile(
    r'"""(?:[^"\\]++|\\.|"(?!""))*+"{3,5}'
    r"|'''(?:[^']++|'(?!''))*+'{3,5}"
    r'|"(?:[^"\\]++|\\.)*+"'
    r"|'[^']*+'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,#\]}\n]++")


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self.found: dict[Path, Position] = {}
        self.last: dict[Path, int] = {}
        """Index of the newest element, by path of an array of tables."""

    def run(self) -> dict[Path, Position]:
        table: Path = ()
        self.skip(_FILL)
        while self.at < len(self.text):
            if self.text.startswith("[[", self.at):
                table = self.header(2)
            elif self.text[self.at] == "[":
                table = self.header(1)
            else:
                self.pair(table)
            self.skip(_FILL)
        return self.found

    def header(self, brackets: int) -> Path:
        """``[a.b]`` or ``[[a.b]]``; returns the path that the following keys live under."""
        start = self.place(self.at)
        self.at += brackets
        path: Path = ()
        parts = self.key()
        for number, (part, position) in enumerate(parts, 1):
            path = self.under(path, part, position)
            if number == len(parts) and brackets == 2:
                self.last[path] = self.last.get(path, -1) + 1
            elif number == len(parts):
                self.found[path] = position  # goes before a place that only a subtable's header gave it
            self.found.setdefault(path, position)
            if path in self.last:
                path = (*path, self.last[path])
                self.found.setdefault(path, start)
        self.at += brackets
        return path

    def pair(self, table: Path) -> None:
        """``a.b = value``, in a table or in an inline table."""
        path = table
        for part, position in self.key():
            path = self.under(path, part, position)
            self.found.setdefault(path, position)
        self.at += 1  # the equals sign
        self.skip(_BLANK)
        self.value(path)

    def key(self) -> list[tuple[str, Position]]:
        """A dotted key, up to what follows it and its blanks."""
        parts = []
        while True:
            self.skip(_BLANK)
            start = self.at
            quoted = self.text[start] in "\"'"
            self.skip(_STRING if quoted else _BARE_KEY)
            token = self.text[start : self.at]
            parts.append((_unquote(token) if quoted else token, self.place(start)))
            self.skip(_BLANK)
            if self.text[self.at] != ".":
                return parts
            self.at += 1

    def value(self, path: Path) -> None:
        opening = self.text[self.at]
        if opening in "\"'":
            self.skip(_STRING)
        elif opening == "[":
            self.array(path)
        elif opening == "{":
            self.inline_table(path)
        else:
            self.skip(_SCALAR)

    def array(self, path: Path) -> None:
        self.at += 1
        number = 0
        while True:
            self.skip(_FILL)
            if self.text[self.at] == "]":
                break
            place = self.place(self.at)
            element = self.under(path, number, place)
            self.found[element] = place
            self.value(element)
            number += 1
            self.comma()
        self.at += 1

    def inline_table(self, path: Path) -> None:
        self.at += 1
        while True:
            self.skip(_FILL)
            if self.text[self.at] == "}":
                break
            self.pair(path)
            self.comma()
        self.at += 1

    def comma(self) -> None:
        self.skip(_FILL)
        if self.text[self.at] == ",":
            self.at += 1

    def skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        if match is not None:
            self.at = match.end()

    def under(self, path: Path, part: str | int, position: Position) -> Path:
        if len(path) >= MAX_DEPTH:
            raise TooDeepError(position)
        return (*path, part)

    def place(self, offset: int) -> Position:
        line = bisect_right(self.starts, offset)
        return Position(line, offset - self.starts[line - 1] + 1)


def _unquote(token: str) -> str:
    if "\\" not in token:
        return token[1:-1]
    return str(tomli.loads(f"key = {token}")["key"])
