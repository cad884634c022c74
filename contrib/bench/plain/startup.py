"""How long a command takes before it begins: against the imports that it can't do without."""

from __future__ import annotations

import sys

from contrib.bench.measure import Bar, Row, alternate, process

IDS = ("version",)
_TYPER = 'python -c "import typer"'


def rows(runs: int) -> list[Row]:
    """`--version`, whole processes."""
    times = alternate(
        {
            "ours": lambda: process([sys.executable, "-m", "reconciler", "--version"]).seconds,
            _TYPER: lambda: process([sys.executable, "-c", "import typer"]).seconds,
        },
        4 * runs,
        warm_up=True,
    )
    ours = times.pop("ours")
    return [Row("version", "start-up, whole process", "reconciler --version", Bar("at most", 1.5, _TYPER), ours, times)]
