"""How planning grows with the host: 100, 1,000 and 10,000 VFs with a guest's NIC for every four of them, where all is
to be made and where nothing is to be done."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from contrib.bench.hosts import COMMAND, Size, recorded
from contrib.bench.measure import Bar, CandidateFailed, Row, alternate, process

IDS = ("planning-new", "planning-in-sync", "planning-memory", "planning-growth-1000", "planning-growth-10000")
SIZES = {100: 10, 1000: 5, 10_000: 2}
"""VFs, and how often a process plans them to see how planning grows: the least of several, since of so little time most
is chance."""
KINDS = {"new": "Plan: ", "in-sync": "In sync: "}
_COMMAND = "reconciler --host snapshot:FILE plan FILE"
_BEYOND = 1.2


@dataclass
class _Seen:
    """Of one host, per run."""

    planning: list[float] = field(default_factory=list)
    """Seconds of processor time without start-up: that is the same for all sizes, and would hide growth."""
    peak: list[float] = field(default_factory=list)


def rows(runs: int) -> list[Row]:
    """`plan` on recorded hosts, whole processes, and the part of it that grows."""
    seen: dict[str, _Seen] = {}
    with TemporaryDirectory() as name:
        candidates = {}
        for vfs, often in SIZES.items():
            new, in_sync, state = recorded(Path(name), Size.of(vfs), f"v{vfs}")
            for kind, snapshot in (("new", new), ("in-sync", in_sync)):
                key = f"{kind} {vfs}"
                seen[key] = _Seen()
                candidates[key] = partial(_plan, snapshot, state, KINDS[kind], often, seen[key])
        times = alternate(candidates, runs)
    return [
        *(
            Row(f"planning-{kind}", f"planning 10,000 VFs, {told}", _COMMAND, Bar("at most", 3), times[f"{kind} 10000"])
            for kind, told in (("new", "all to be made"), ("in-sync", "all in sync"))
        ),
        Row(
            "planning-memory",
            "planning 10,000 VFs, memory at most",
            _COMMAND,
            Bar("at most", 400),
            [max(pair) for pair in zip(seen["new 10000"].peak, seen["in-sync 10000"].peak, strict=True)],
            unit="MB",
        ),
        _growth(seen, 100, 1000),
        _growth(seen, 1000, 10_000),
    ]


_REPEATED = """
import contextlib, gc, io, sys, time
from reconciler.cli import main
from reconciler.cli.main import run

gc.set_threshold(main._OBJECTS_BETWEEN_COLLECTIONS)
often, *arguments = sys.argv[1:]
least = []
for _ in range(int(often) + 1):
    with contextlib.redirect_stdout(io.StringIO()):
        begun = time.process_time()
        code = run(arguments)
        least.append(time.process_time() - begun)
    if code:
        sys.exit(code)
print(min(least[1:]))
"""
"""The command within a process in which it was called before: from the files to the text, without what it imports."""


def _plan(snapshot: Path, state: Path, says: str, often: int, seen: _Seen) -> float:
    arguments = ["--host", f"snapshot:{snapshot}", "plan", str(state)]
    ran = process([*COMMAND, *arguments])
    if not any(line.startswith(says) for line in ran.stdout.splitlines()):
        raise CandidateFailed(f"no line begins with {says!r}:\n{ran.stdout[-500:]}")
    seen.peak.append(ran.peak_mb)
    seen.planning.append(float(process([sys.executable, "-c", _REPEATED, str(often), *arguments]).stdout))
    return ran.seconds


def _growth(seen: dict[str, _Seen], few: int, many: int) -> Row:
    """How far beyond linear it grows; of the two kinds of host the one that grows more."""
    found = []
    for run in range(len(seen[f"new {few}"].planning)):
        kinds = [(seen[f"{kind} {many}"].planning[run], seen[f"{kind} {few}"].planning[run]) for kind in KINDS]
        found.append(max(large / small / (many / few) for large, small in kinds))
    return Row(
        f"planning-growth-{many}",
        f"planning, growth from {few:,} to {many:,} VFs beyond linear",
        _COMMAND,
        Bar("at most", _BEYOND),
        found,
        unit="×",
        note="Processor time of a call in a process that has called it before: start-up, the same for all sizes, is "
        "left out. Of several such calls the fastest counts, and of hosts with all to be made and all in sync the one "
        "that grows more.",
    )
