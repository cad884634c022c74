"""What is on record of earlier runs: their plans, the host before, what was done and what was left half done."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.apply.journal import BEFORE, LATER, NOW, PLAN, read_journal
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.host.model import Snapshot
from reconciler.host.snapshot import load
from reconciler.plan.document import Plan, load_plan


@dataclass(slots=True)
class RecordedRun:
    """One run, as its journal tells it."""

    name: str
    folder: Path
    header: dict[str, Any]
    """``at``, ``by``, ``file``, ``sha256``, ``commit``, ``boot_id``; ``undoes``: the run that it took back."""
    outcomes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By action: ``outcome``, ``error``, ``seconds``, ``written``."""
    unfinished: list[str] = field(default_factory=list)
    """Actions that were begun, and of which no end is known."""
    end: dict[str, Any] | None = None
    """``at``, ``code``, ``unmet``; ``None``: it was interrupted, or is under way."""
    armed: dict[str, Any] | None = None
    """``unit``, ``until`` (by CLOCK_BOOTTIME), ``at``: the timer that takes it back unless it is confirmed."""
    settled: str = ""
    """``confirmed`` or ``taken-back``."""

    @property
    def changed(self) -> set[str]:
        """Actions that changed something, or may have."""
        done = {
            key
            for key, item in self.outcomes.items()
            if item.get("outcome") == "changed" or (item.get("outcome") == "failed" and item.get("written"))
        }
        return done | set(self.unfinished)

    @property
    def waits(self) -> bool:
        """Whether it was to be confirmed, and neither was nor was taken back."""
        over = (ExitCode.ROLLED_BACK, ExitCode.FAILED, ExitCode.INTERRUPTED)
        return self.armed is not None and not self.settled and (self.end is None or self.end.get("code") not in over)

    def told(self) -> dict[str, Any]:
        """What views show of it."""
        names = ("name", "header", "outcomes", "unfinished", "end", "waits", "settled")
        return {name: getattr(self, name) for name in names}

    def plan(self) -> Plan:
        """What it was to do. Raises `ReconcilerError` 65 when the file is damaged."""
        return self._plan(PLAN)

    def done(self) -> Plan:
        """What of its plan was carried out: all, or the half that comes before a confirmation."""
        return self._plan(PLAN if self.armed is None else NOW)

    def later(self) -> Plan:
        """What is left for the confirmation to do."""
        return self._plan(LATER)

    def _plan(self, name: str) -> Plan:
        return load_plan(self._read(name), str(self.folder / name))

    def before(self) -> Snapshot:
        """The host as it was when it began. Raises `ReconcilerError` 65 when the file is damaged."""
        return load(self._read(BEFORE), str(self.folder / BEFORE))

    def _read(self, name: str) -> bytes:
        path = self.folder / name
        try:
            return path.read_bytes()
        except OSError as error:
            raise ReconcilerError(
                "A run's record can't be read.", f"{path}: {error.strerror}.", code=ExitCode.FAILED
            ) from None


def recorded_runs(state_dir: Path) -> list[RecordedRun]:
    """All runs, the last one first. A folder without the record of a run is of one that was killed before it began."""
    runs = state_dir / "runs"
    try:
        names = sorted((entry.name for entry in os.scandir(runs) if entry.is_dir()), reverse=True)
    except FileNotFoundError:
        return []
    except OSError as error:
        denied = isinstance(error, PermissionError)
        raise ReconcilerError(
            "The runs can't be read.",
            f"{runs}: {error.strerror}." + (" Run it as root." if denied else ""),
            code=ExitCode.NOT_PERMITTED if denied else ExitCode.FAILED,
        ) from None
    return [run for name in names if (run := _read_run(runs / name)) is not None]


def last_run(state_dir: Path) -> RecordedRun | None:
    """The last run that is on record."""
    return next(iter(recorded_runs(state_dir)), None)


def _read_run(folder: Path) -> RecordedRun | None:
    run: RecordedRun | None = None
    for record in read_journal(folder):
        event = record.get("event")
        if event == "run":
            run = RecordedRun(folder.name, folder, {key: value for key, value in record.items() if key != "event"})
        elif run is None:
            continue
        elif event == "begin":
            run.unfinished += [str(item) for item in record.get("actions", [])]
        elif event == "done":
            done = record.get("outcomes", {})
            run.outcomes |= {key: item for key, item in done.items() if isinstance(item, dict)}
            run.unfinished = [item for item in run.unfinished if item not in record.get("actions", [])]
        elif event == "end":
            run.end = record
        elif event == "armed":
            run.armed = record
        elif event in ("confirmed", "taken-back"):
            run.settled = event
    return run
