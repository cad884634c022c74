"""How planning grows with the host: 100, 1,000 and 10,000 VFs with a guest's NIC for every four of them, where all is
to be made and where nothing is to be done."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from contrib.bench.hosts import COMMAND, Size, recorded
from contrib.bench.measure import Bar, CandidateFailed, Ran, Row, alternate, process

IDS = ("planning-new", "planning-in-sync", "planning-memory", "planning-growth-1000", "planning-growth-10000")
SIZES = {100: 5, 1000: 3, 10_000: 1}
"""VFs, and how often each run plans them: of little time only the least of several is not mostly chance."""
KINDS = {"new": "Plan: ", "in-sync": "In sync: "}
_COMMAND = "reconciler --host snapshot:FILE plan FILE"
_BEYOND = 1.2


@dataclass
class _Seen:
    """Of one host, per run."""

    cpu: list[float] = field(default_factory=list)
    peak: list[float] = field(default_factory=list)


def rows(runs: int) -> list[Row]:
    """`plan` on recorded hosts, whole processes."""
    seen: dict[str, _Seen] = {}
    with TemporaryDirectory() as name:
        candidates = {}
        for vfs, often in SIZES.items():
            new, in_sync, state = recorded(Path(name), Size.of(vfs), f"v{vfs}")
            for kind, snapshot in (("new", new), ("in-sync", in_sync)):
                key = f"{kind} {vfs}"
                seen[key] = _Seen()
                candidates[key] = partial(_plan, snapshot, state, KINDS[kind], often, seen[key])
        empty = Path(name) / "empty.toml"
        empty.write_text("schema = 1\n", encoding="utf-8")
        small = Path(name) / "v100.new.json"
        seen["start-up"] = _Seen()
        candidates["start-up"] = partial(_plan, small, empty, "", 5, seen["start-up"])
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


def _plan(snapshot: Path, state: Path, says: str, often: int, seen: _Seen) -> float:
    """The least time of so many plans."""
    ran = [_checked(snapshot, state, says) for _ in range(often)]
    seen.cpu.append(min(one.cpu for one in ran))
    seen.peak.append(max(one.peak_mb for one in ran))
    return min(one.seconds for one in ran)


def _checked(snapshot: Path, state: Path, says: str) -> Ran:
    ran = process([*COMMAND, "--host", f"snapshot:{snapshot}", "plan", str(state)])
    if not any(line.startswith(says) for line in ran.stdout.splitlines()):
        raise CandidateFailed(f"no line begins with {says!r}:\n{ran.stdout[-500:]}")
    return ran


def _growth(seen: dict[str, _Seen], few: int, many: int) -> Row:
    """How far beyond linear the processor time grows; of the two kinds of host the one that grows more. The time of a
    plan of nothing is taken off: what is the same for all sizes would hide growth."""
    found = []
    for run, start_up in enumerate(seen["start-up"].cpu):
        kinds = [(seen[f"{kind} {many}"].cpu[run], seen[f"{kind} {few}"].cpu[run]) for kind in KINDS]
        found.append(max((large - start_up) / (small - start_up) / (many / few) for large, small in kinds))
    return Row(
        f"planning-growth-{many}",
        f"planning, growth from {few:,} to {many:,} VFs beyond linear",
        _COMMAND,
        Bar("at most", _BEYOND),
        found,
        unit="×",
        note="processor time, without start-up",
    )
