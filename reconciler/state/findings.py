"""Collects what is wrong with one state file, and knows where each thing stands in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Literal

from reconciler.diagnostics import Diagnostic
from reconciler.state.address import address
from reconciler.state.errors import SUMMARIES
from reconciler.state.positions import Path, Position
from reconciler.state.refs import lowest_index

_MAX_SUGGESTIONS = 100
"""Per file: looking for near words is slow, and a file with more slips than this is another kind of file."""
_NOWHERE = Position(1, 1)


class Findings:
    """Errors and warnings of one file, in the order in which they stand there."""

    def __init__(self, path: str, positions: Mapping[Path, Position]) -> None:
        self.path = path
        self.positions = positions
        self._filled = {key[:-1] for key in positions}
        self._names: dict[str, list[str]] = {}
        for key in positions:
            if len(key) == 2:
                self._names.setdefault(str(key[0]), []).append(str(key[1]))
        self._wrong: set[Path] = set()
        self._found: list[Diagnostic] = []
        self._seen: set[tuple[str, Position, str]] = set()
        self._suggestions = _MAX_SUGGESTIONS

    def error(self, key: Path, code: str, detail: str, *, at: str | None = None) -> None:
        """An error at a key path of the file. ``at`` is the address when it is not the one of the path."""
        self._add("error", key, code, detail, at)

    def warning(self, key: Path, code: str, detail: str) -> None:
        """Something that is worth a look and stops nothing."""
        self._add("warning", key, code, detail, None)

    def said(self, key: Path) -> bool:
        """Whether the file has this key, whatever its value."""
        return key in self.positions

    def is_wrong(self, key: Path) -> bool:
        """Whether an error was found at just this key; what follows from its value is then idle."""
        return key in self._wrong

    def has_content(self, key: Path) -> bool:
        """Whether the table or array at this key has anything in it, right or wrong."""
        return key in self._filled

    def names(self, kind: str) -> list[str]:
        """The names below ``[kind]``, as the file declares them."""
        return self._names.get(kind, [])

    def place(self, key: Path) -> Position:
        """The place of the key, or of the nearest table around it."""
        while key:
            if key in self.positions:
                return self.positions[key]
            key = key[:-1]
        return _NOWHERE

    def line(self, key: Path) -> int:
        return self.place(key).line

    def suggest(self, word: str, known: Iterable[str]) -> str:
        """``; did you mean "spoofchk"?``, or nothing when no known word is near."""
        if len(word) > 64 or self._suggestions <= 0:
            return ""
        self._suggestions -= 1
        near = get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
        return f'; did you mean "{near[0]}"?' if near else ""

    @property
    def errors(self) -> list[Diagnostic]:
        return [diagnostic for diagnostic in self.all if diagnostic.severity == "error"]

    @property
    def warnings(self) -> list[Diagnostic]:
        return [diagnostic for diagnostic in self.all if diagnostic.severity == "warning"]

    @property
    def all(self) -> list[Diagnostic]:
        return sorted(self._found, key=lambda diagnostic: (diagnostic.line, diagnostic.column))

    def _add(self, severity: Literal["error", "warning"], key: Path, code: str, detail: str, at: str | None) -> None:
        place = self.place(key)
        if (code, place, detail) in self._seen:
            return
        if severity == "error":
            self._wrong.add(key)
        self._seen.add((code, place, detail))
        self._found.append(
            Diagnostic(
                severity=severity,
                code=code,
                summary=SUMMARIES[code],
                detail=detail,
                address=thing(key)[0] if at is None else at,
                path=self.path,
                line=place.line,
                column=place.column,
            )
        )


def thing(key: Path) -> tuple[str, str]:
    """The address of the thing that a key path belongs to, and the rest: the field's name within it.

    ``("pf", "int", "vf", "4-7", "vlan")`` is ``("pf.int.vf.4", "vlan")``: a range is known by its first VF.
    """
    size = _thing_size(key)
    parts = list(key[:size])
    if len(parts) > 3 and parts[0] == "pf" and parts[2] == "vf":
        lowest = lowest_index(str(parts[3]))
        parts[3] = parts[3] if lowest is None else lowest
    return address(*parts), address(*key[size:])


def _thing_size(key: Path) -> int:
    if len(key) > 3 and (key[0], key[2]) in (("pf", "vf"), ("domain", "nic")):
        return 4
    if len(key) > 2 and (key[0], key[2]) == ("pf", "vf_defaults"):
        return 3
    return 2 if key and key[0] in ("pf", "pool", "domain", "kernel", "modules", "services", "hugepages") else 1
