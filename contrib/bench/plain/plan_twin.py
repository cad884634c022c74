"""How long a plan takes on a host of usual size, where nothing is to be done: against the imports that it needs."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from contrib.bench.hosts import COMMAND, Size, simulated
from contrib.bench.measure import Bar, CandidateFailed, Row, alternate, process

IDS = ("plan",)
SIZE = Size(pfs=2, vfs=63, guests=32, nics=32)
_IMPORTS = "import typer, pydantic, tomli"
_PEER = f'python -c "{_IMPORTS}"'


def rows(runs: int) -> list[Row]:
    """`plan` on the twin, whole processes."""
    with TemporaryDirectory() as folder:
        sim, state = simulated(Path(folder), SIZE)
        host = [*COMMAND, "--host", f"sim:{sim}"]
        process([*host, "apply", str(state), "--yes", "--allow", "management"])

        def plan() -> float:
            ran = process([*host, "plan", str(state)])
            if not ran.stdout.startswith("In sync:"):
                raise CandidateFailed(f"it is not in sync:\n{ran.stdout[:500]}")
            return ran.seconds

        peer = [sys.executable, "-c", _IMPORTS]
        times = alternate({"ours": plan, _PEER: lambda: process(peer).seconds}, 4 * runs, warm_up=True)
    return [
        Row(
            "plan",
            "plan of an in-sync host, 2 × 63 VFs and 32 guests, whole process",
            "reconciler --host sim:FILE plan FILE",
            Bar("at most", 3, _PEER),
            times.pop("ours"),
            times,
        )
    ]
