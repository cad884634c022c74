"""An apply that waits for its confirmation: the timer that takes it back, and what the confirmation does."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reconciler.apply.journal import add_record
from reconciler.apply.outcome import Progress
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
    """The timer of one run. ``command``: what takes the run back, given the timer's unit. Only the unit that is on
    record last takes back (`is_due`), so another one can be armed before it is on record, and the one before be stopped
    after that: at every moment one of them will do it, also when this process is killed in between."""

    seconds: int
    arm: Arm
    disarm: Disarm
    command: Callable[[str], list[str]]
    _units: list[str] = field(default_factory=list)
    _until: float = 0.0
    at: str = ""
    """When it takes back, "" while it is not armed."""

    @property
    def told(self) -> str:
        """What it will do and when, "" while it is not armed."""
        return f"The timer takes back what was done, at {self.at}, unless it is confirmed." if self.at else ""

    @property
    def left(self) -> int:
        """Seconds until then."""
        return max(0, round(self._until - boot_seconds()))

    def start(self, run: str) -> dict[str, Any]:
        """Arms it: what is to be on record of it before the first write."""
        record = self._arm_one(run)
        self._note(record)
        return record

    def begin_again(self, folder: Path, run: str) -> None:
        """The seconds count from the end of the run on. Raises `ReconcilerError` when that can't be had: one that may
        be on record is not stopped then, nor is the one before it."""
        before = list(self._units)
        record = self._arm_one(run)
        add_record(folder, "armed", **record)
        self._note(record)
        self._stop(before)

    def stop(self) -> None:
        """Takes it away: nothing is left to take back."""
        self._stop(self._units)
        self.at = ""

    def _arm_one(self, run: str) -> dict[str, Any]:
        unit = f"{_prefix(run)}{len(self._units) + 1}"
        self.arm(unit, self.seconds, self.command(unit))
        self._units.append(unit)
        at = datetime.now(UTC) + timedelta(seconds=self.seconds)
        return {"unit": unit, "until": boot_seconds() + self.seconds, "at": f"{at:%Y-%m-%dT%H:%M:%SZ}"}

    def _note(self, record: dict[str, Any]) -> None:
        self.at, self._until = record["at"], record["until"]

    def _stop(self, units: Sequence[str]) -> None:
        """One that can't be stopped fires, and finds nothing that waits for it."""
        for unit in units:
            with contextlib.suppress(ReconcilerError):
                self.disarm(unit)


def _prefix(run: str) -> str:
    return f"reconciler-{run}-"


def is_due(last: RecordedRun | None, unit: str) -> bool:
    """Whether a timer that has fired is the one to take the last run back: that run still waits, and no other timer is
    on record since. When a part of the record is damaged, any timer of that run is."""
    if last is None or not last.waits or last.armed is None:
        return False
    return last.armed["unit"] == unit or (bool(last.damage) and is_timer_of(last, unit))


def given_up(last: RecordedRun) -> str:
    """Why nothing takes a run back that waits: its time is over, and its record can't be read. "" while its timer may
    do it, or a user."""
    over = last.waits and last.armed is not None and boot_seconds() > float(last.armed["until"])
    return last.lost() if over else ""


def is_timer_of(run: RecordedRun, unit: str) -> bool:
    """Whether a timer was armed for this run, by its name."""
    return unit.startswith(_prefix(run.name))


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
    """Keeps a run that waits and came to its end, and writes what outlasts a reboot, as a run of its own. The caller
    holds the lock, for which the timer waits too. Once it is on record that the run is confirmed the change stays,
    whatever becomes of the rest: a timer that fires all the same finds nothing that waits."""
    if last.armed is None or not last.waits:
        raise ReconcilerError("Nothing waits for a confirmation.", f"Run {last.name} does not.", code=ExitCode.FAILED)
    if last.end is None or last.end["code"] != ExitCode.OK:
        raise ReconcilerError(
            "The run did not come to its end.",
            f"Run {last.name} {'was interrupted' if last.end is None else 'failed part-way'}, so the host is not as it "
            "was to be, and there is nothing to keep. Its timer takes it back"
            f"{' at ' + last.armed['at'] if last.armed.get('at') else ''}, a rollback at once. Then "
            "apply again.",
            code=ExitCode.PARTIAL,
        )
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
