"""An apply that waits for its confirmation: the timer that takes it back, and what the confirmation does."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reconciler.apply.executor import Progress
from reconciler.apply.journal import add_record
from reconciler.apply.run import Phase, RunResult, carry_out
from reconciler.apply.runs import RecordedRun
from reconciler.clock import now
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.host.model import Snapshot
from reconciler.host.protocol import Reader, Writer
from reconciler.state.desired import Desired

Arm = Callable[[str, int, Sequence[str]], None]
"""Has a command run after so many seconds, by a named timer outside of this process."""
Disarm = Callable[[str], None]


@dataclass(slots=True)
class Countdown:
    """The timer of one run. ``command``: what takes the run back, given its name."""

    seconds: int
    arm: Arm
    disarm: Disarm
    command: Callable[[str], list[str]]
    _units: list[str] = field(default_factory=list)
    _at: str = ""

    @property
    def told(self) -> str:
        """What it will do and when, "" while it is not armed."""
        return f"The timer takes back what was done, at {self._at}, unless it is confirmed." if self._at else ""

    def start(self, run: str) -> dict[str, Any]:
        """Arms it, or begins again from now on: what is to be on record of it. There is always one that is armed: the
        one before is taken away last."""
        unit = f"reconciler-{run}-{len(self._units) + 1}"
        self.arm(unit, self.seconds, self.command(run))
        self.stop()
        self._units = [*self._units, unit]
        until = datetime.now(UTC) + timedelta(seconds=self.seconds)
        self._at = f"{until:%Y-%m-%dT%H:%M:%SZ}"
        return {"unit": unit, "until": boot_seconds() + self.seconds, "at": self._at}

    def stop(self) -> None:
        """Takes it away: nothing is left to take back."""
        for unit in self._units:
            self.disarm(unit)
        self._at = ""

    def begin_again(self, folder: Path, run: str) -> None:
        """The seconds count from the end of the run on."""
        add_record(folder, "armed", **self.start(run))


def boot_seconds() -> float:
    """Seconds since the machine was started, also those that it slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def confirm_run(
    last: RecordedRun,
    desired: Desired,
    observed: Snapshot,
    *,
    reader: Reader,
    writer: Writer,
    state_dir: Path,
    progress: Progress,
    disarm: Disarm,
    entered: Callable[[Phase], None] = lambda phase: None,
) -> RunResult:
    """Keeps a run that waits, and writes what outlasts a reboot, as a run of its own. The caller holds the lock, for
    which the timer waits too. Once it is on record that the run is confirmed the change stays, whatever becomes of the
    rest: a timer that fires all the same finds nothing that waits."""
    if last.armed is None or not last.waits:
        raise ReconcilerError("Nothing waits for a confirmation.", f"Run {last.name} does not.", code=ExitCode.FAILED)
    later = last.later()
    add_record(last.folder, "confirmed", at=now())
    with contextlib.suppress(ReconcilerError):
        disarm(str(last.armed["unit"]))
    return carry_out(
        later,
        desired,
        observed,
        reader=reader,
        writer=writer,
        state_dir=state_dir,
        progress=progress,
        stopped=lambda: False,
        entered=entered,
        about={"confirms": last.name},
    )
