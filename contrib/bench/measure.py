"""How it is measured: candidates in turn, run by run, so that what else the machine does hits all of them; and a row of
the table, which compares ours with its peers by the ratios of these runs."""

from __future__ import annotations

import os
import resource
import select
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from contrib.bench.memory import Memory, high_water

STORED_RUNS = 5
"""Results of fewer runs are shown and not stored."""


class CandidateFailed(Exception):
    """A candidate did not do what is measured: it has no time, and its row no result."""


class Spread(NamedTuple):
    """Of several runs."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        return cls(min(values), statistics.median(values), max(values))


@dataclass(frozen=True, slots=True)
class Bar:
    """What has to be reached. With a ``peer``: ours takes ``at most`` so many times its time, or it is ``at least`` so
    many times faster. Without: so many of the row's unit."""

    how: Literal["at most", "at least"]
    limit: float
    peer: str = ""

    def text(self, unit: str) -> str:
        """As in the table: ``≤ 2 ×``, ``≥ 25 × faster``, ``≤ 60 s``."""
        sign = "≤" if self.how == "at most" else "≥"
        if not self.peer:
            return f"{sign} {self.limit:g} {unit}"
        return f"{sign} {self.limit:g} ×" + (" faster" if self.how == "at least" else "")

    def met(self, value: float) -> bool:
        """Whether this is reached."""
        return value <= self.limit if self.how == "at most" else value >= self.limit


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison. ``ours`` and each of ``peers`` have a value per run, the n-th of all of them from the n-th turn.
    Without a bar it is told for comparison. ``unit`` is that of ``ours``; peers are always compared in the same."""

    id: str
    what: str
    command: str
    """How ours is run."""
    bar: Bar | None
    ours: Sequence[float]
    peers: Mapping[str, Sequence[float]] = field(default_factory=dict)
    unit: str = "s"
    note: str = ""
    """What a reader has to know about the figures; it stands under the table."""

    def __post_init__(self) -> None:
        uneven = [name for name, values in self.peers.items() if len(values) != len(self.ours)]
        if not self.ours or uneven:
            raise ValueError(
                f"{self.id}: a value per run is needed of ours and of each peer; {uneven or 'ours'} differs"
            )
        if self.bar is not None and self.bar.peer and self.bar.peer not in self.peers:
            raise ValueError(f"{self.id}: the bar is against {self.bar.peer!r}, which was not run")
        if any(value <= 0 for values in (self.ours, *self.peers.values()) for value in values):
            raise ValueError(f"{self.id}: a value that is not above 0 was not measured")

    def ratios(self, peer: str) -> list[float]:
        """Per run: how many times the peer's ours is; for a bar of ``at least``, and a peer without a bar that takes
        longer, how many times faster ours is."""
        pairs = zip(self.ours, self.peers[peer], strict=True)
        if self.faster(peer):
            return [theirs / ours for ours, theirs in pairs]
        return [ours / theirs for ours, theirs in pairs]

    def faster(self, peer: str) -> bool:
        """Whether the ratio says how many times faster ours is, rather than how many times the peer's time it takes."""
        if self.bar is not None and self.bar.peer == peer:
            return self.bar.how == "at least"
        return statistics.median(self.ours) < statistics.median(self.peers[peer])

    def reached(self) -> Spread:
        """What the bar is about: the ratios to its peer, or ours as it is."""
        peer = self.bar.peer if self.bar is not None else ""
        return Spread.of(self.ratios(peer) if peer else self.ours)

    def met(self) -> bool:
        """Whether the median is within the bar."""
        return self.bar is None or self.bar.met(self.reached().median)


def alternate(
    candidates: Mapping[str, Callable[[], float | None]], runs: int, *, warm_up: bool = False
) -> dict[str, list[float]]:
    """Runs the candidates in turn (a b c a b c …) and returns the seconds of each run: what the candidate returns, so
    that it can leave out what it sets up and checks, else the time that it took. ``warm_up``: each once before, which
    doesn't count. Raises `CandidateFailed` for whatever a candidate raises."""
    found: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(-1 if warm_up else 0, runs):
        for name, candidate in candidates.items():
            seconds = _once(name, candidate)
            if turn >= 0:
                found[name].append(seconds)
    return found


def _once(name: str, candidate: Callable[[], float | None]) -> float:
    begun = time.perf_counter()
    try:
        told = candidate()
    except CandidateFailed as error:
        raise CandidateFailed(f"{name}: {error}") from error
    except Exception as error:
        raise CandidateFailed(f"{name}: {type(error).__name__}: {error}") from error
    seconds = time.perf_counter() - begun if told is None else told
    if not seconds > 0:
        raise CandidateFailed(f"{name}: {seconds} s is no time that anything takes")
    return seconds


@dataclass(frozen=True, slots=True)
class Ran:
    """A process that has ended."""

    seconds: float
    cpu: float
    """Seconds, in user and kernel mode, of it and the processes that it waited for."""
    peak_mb: float
    """Most memory that it had, with its children."""
    stdout: str


def process(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    codes: Sequence[int] = (0,),
    timeout: float = 600,
) -> Ran:
    """Runs a program to its end, and raises `CandidateFailed` if it ends with another code than these. Its output goes
    to a file, so that nobody has to keep up with it."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begun = time.perf_counter()
        child = subprocess.Popen(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        memory = Memory(child.pid, high_water, every=0.01)
        usage = _wait(child, begun + timeout)
        seconds = time.perf_counter() - begun
        peak = memory.end()
        out.seek(0)
        err.seek(0)
        stdout = out.read().decode(errors="replace")
        if child.returncode not in codes:
            told = err.read().decode(errors="replace") or stdout
            raise CandidateFailed(f"{' '.join(argv)}: exit code {child.returncode}\n{told[-2000:]}")
    return Ran(seconds, usage.ru_utime + usage.ru_stime, peak, stdout)


def _wait(child: subprocess.Popen[bytes], deadline: float) -> resource.struct_rusage:
    """Waits for the end, with what the kernel counted: `Popen.wait` doesn't tell it."""
    watch = os.pidfd_open(child.pid)
    try:
        ready, _, _ = select.select([watch], [], [], max(0.0, deadline - time.perf_counter()))
        if not ready:
            child.kill()
        _, status, usage = os.wait4(child.pid, 0)
    finally:
        os.close(watch)
    child.returncode = os.waitstatus_to_exitcode(status)
    return usage
