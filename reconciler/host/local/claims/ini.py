"""Files of sections with keys, as systemd and NetworkManager have them, with the lines on which things stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Section:
    """One section; of several with one name each is one of its own."""

    name: str
    line: int
    entries: list[tuple[str, str, int]] = field(default_factory=list)
    """Key, value, line."""

    def last(self, key: str) -> tuple[str, int] | None:
        """The last value of a key, as it counts, and its line."""
        found = [(value, line) for name, value, line in self.entries if name == key]
        return found[-1] if found else None


def read_sections(text: str) -> list[Section]:
    """All sections in order. A line that is neither section nor key is left out, as these tools do."""
    found: list[Section] = []
    for line, number in _lines(text):
        if line.startswith("[") and line.endswith("]"):
            found.append(Section(line[1:-1], number))
        elif "=" in line and found:
            key, value = line.split("=", 1)
            found[-1].entries.append((key.strip(), value.strip(), number))
    return found


def _lines(text: str) -> Iterator[tuple[str, int]]:
    """Lines without comments; a backslash at the end joins the next one (systemd.syntax(7))."""
    joined, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip()[0] in "#;":
            continue
        start = start or number
        if line.endswith("\\"):
            joined += line[:-1] + " "
            continue
        yield (joined + line).strip(), start
        joined, start = "", 0
    if joined:
        yield joined.strip(), start
