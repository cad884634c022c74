"""A thousand recorded hosts planned in one call, on two cores."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from contrib.bench.hosts import COMMAND, Size, fleet
from contrib.bench.measure import Bar, CandidateFailed, Row

IDS = ("fleet", "fleet-first", "fleet-memory")
HOSTS, FEW, CORES = 1000, 100, 2
SIZE = Size(pfs=2, vfs=64, guests=32, nics=32)
_COMMAND = "reconciler --host snapshot:DIR plan states/*.toml"


@dataclass(frozen=True, slots=True)
class _Ran:
    seconds: float
    first: float
    """When the first plan was there."""
    peak_mb: float
    """Of all processes together, what they share counted once."""


def rows(runs: int) -> list[Row]:
    """All hosts, and a tenth of them, in turn."""
    with TemporaryDirectory() as name:
        snapshots, states = fleet(Path(name), HOSTS, SIZE)
        ran = [(_plan(snapshots, states), _plan(snapshots, states[:FEW])) for _ in range(runs)]
    few = f"{FEW} hosts"
    return [
        Row(
            "fleet",
            f"plan of {HOSTS:,} recorded hosts, 128 VFs and 32 guests each, on {CORES} cores",
            _COMMAND,
            Bar("at most", 60),
            [all_of_them.seconds for all_of_them, _ in ran],
        ),
        Row(
            "fleet-first",
            "the same, until the first plan is there",
            _COMMAND,
            None,
            [all_of_them.first for all_of_them, _ in ran],
        ),
        Row(
            "fleet-memory",
            "the same, memory of all processes",
            _COMMAND,
            Bar("at most", 1.25, few),
            [all_of_them.peak_mb for all_of_them, _ in ran],
            {few: [some.peak_mb for _, some in ran]},
            unit="MB",
        ),
    ]


def _plan(snapshots: Path, states: Sequence[Path]) -> _Ran:
    """Reads the plans as they come, as a terminal would, and counts them."""
    argv = [*COMMAND, "--host", f"snapshot:{snapshots}", "plan", *map(str, states)]
    cores = sorted(os.sched_getaffinity(0))[:CORES]
    pinned = [sys.executable, "-c", _PINNED, ",".join(map(str, cores)), *argv]
    first, plans = 0.0, 0
    with TemporaryFile() as err:
        begun = time.perf_counter()
        child = subprocess.Popen(pinned, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, text=True)
        memory = _Memory(child.pid)
        assert child.stdout is not None
        for line in child.stdout:
            first = first or time.perf_counter() - begun
            plans += line.startswith(("Plan: ", "In sync: "))
        code = child.wait()
        seconds = time.perf_counter() - begun
        peak = memory.end()
        err.seek(0)
        told = err.read().decode(errors="replace")
    if code or told or plans != len(states):
        raise CandidateFailed(f"{plans} plans of {len(states)}, exit code {code}\n{told[-2000:]}")
    return _Ran(seconds, first, peak)


_PINNED = """
import os, sys
os.sched_setaffinity(0, map(int, sys.argv[1].split(",")))
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Becomes the command, on these cores."""


class _Memory:
    """Looks now and then at how much memory a process and its children have."""

    def __init__(self, pid: int) -> None:
        self._pid, self._peak, self._over = pid, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self) -> float:
        """The most that was seen, in MB."""
        self._over.set()
        self._thread.join()
        return self._peak / 1024

    def _watch(self) -> None:
        while not self._over.wait(0.25):
            try:
                children = Path(f"/proc/{self._pid}/task/{self._pid}/children").read_text().split()
            except OSError:
                continue
            self._peak = max(self._peak, sum(_kilobytes(pid) for pid in (str(self._pid), *children)))


def _kilobytes(pid: str) -> int:
    """The proportional set size: pages that processes share are divided among them (proc_pid_smaps(5)); 0 of one that
    has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
