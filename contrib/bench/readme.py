"""The table in the README, which is made of results.json: python -m contrib.bench.readme"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contrib.bench import results
from contrib.bench.machine import CHECKOUT
from contrib.bench.plot import TITLE

README = CHECKOUT / "README.md"
_BEGIN, _END = "<!-- figures: made by make bench -->\n", "<!-- end of figures -->\n"


def figures(stored: Mapping[str, Any]) -> str:
    """What stands between the marks; the plot is beside the results."""
    if not stored["rows"]:
        return ""
    rows = results.rows_of(stored)
    missed = [row.id for row in rows if not row.met()]
    bars = f"Not reached: {', '.join(missed)}." if missed else "All bars are reached."
    return f"\n{results.text(stored)}\n{bars}\n\n![{TITLE}](contrib/bench/{results.PLOT.name})\n\n"


def with_figures(text: str, stored: Mapping[str, Any]) -> str:
    """The README with these figures."""
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{README} has lost the marks of the bench's table")
    return f"{before}{_BEGIN}{figures(stored)}{_END}{after}"


def refresh(stored: Mapping[str, Any]) -> None:
    """Writes the README's table."""
    README.write_text(with_figures(README.read_text(encoding="utf-8"), stored), encoding="utf-8")


if __name__ == "__main__":
    refresh(results.read())
