"""How long a command takes before it begins: against the imports that it can't do without."""

from __future__ import annotations

import sys

from contrib.bench.hosts import COMMAND
from contrib.bench.measure import Bar, CandidateFailed, Row, alternate, process
from reconciler import __version__

IDS = ("version",)
_TYPER = 'python -c "import typer"'


def rows(runs: int) -> list[Row]:
    """`--version`, whole processes."""
    times = alternate(
        {
            "ours": _version,
            _TYPER: lambda: process([sys.executable, "-c", "import typer"]).seconds,
        },
        4 * runs,
        warm_up=True,
    )
    ours = times.pop("ours")
    return [Row("version", "start-up, whole process", "reconciler --version", Bar("at most", 1.5, _TYPER), ours, times)]


def _version() -> float:
    ran = process([*COMMAND, "--version"])
    if ran.stdout != f"reconciler {__version__}\n":
        raise CandidateFailed(f"it is not the version that was told: {ran.stdout[-500:]!r}")
    return ran.seconds
