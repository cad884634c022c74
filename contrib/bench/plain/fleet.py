"""A thousand recorded hosts planned in one call, on two cores."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

from contrib.bench.hosts import COMMAND, Size, fleet
from contrib.bench.measure import Bar, CandidateFailed, Row
from contrib.bench.memory import Memory, share

IDS = ("fleet", "fleet-first", "fleet-memory")
HOSTS, FEW, CORES = 1000, 100, 2
SIZE = Size(pfs=2, vfs=64, guests=32, nics=32)
_COMMAND = "reconciler --host snapshot:DIR plan states/*.toml"
_DEADLINE = 600
"""Seconds: ten times the bar."""


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
        with _started(pinned, err) as child:
            memory = Memory(child.pid, share, every=0.25)
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


@contextmanager
def _started(argv: Sequence[str], err: IO[bytes], deadline: float = _DEADLINE) -> Iterator[subprocess.Popen[str]]:
    """The program in a group of its own, which is ended with all its processes when the deadline is reached, or when
    whoever reads it gives up: each of them has the pipe that is read from."""
    child = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, text=True, start_new_session=True
    )

    def end() -> None:
        if child.returncode is None:  # Not waited for yet: the number is still its own.
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)

    timer = threading.Timer(deadline, end)
    timer.start()
    try:
        with child:
            try:
                yield child
            finally:
                end()
    finally:
        timer.cancel()
