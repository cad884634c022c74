"""What a boot may apply after a run that was to be confirmed and was not: the state file may have in it what locked its
user out, and at boot nobody is there to confirm it.

A run that the boot itself made says so in its header, and decides nothing: what a user applied last does.
"""

from __future__ import annotations

from pathlib import Path

from reconciler.apply.runs import RecordedRun, recorded_runs, run_named
from reconciler.exit_codes import ExitCode
from reconciler.plan.document import Plan

BOOT = "boot"
"""In the header of a run that a unit of the boot made."""


def unconfirmed_run(state_dir: Path) -> RecordedRun | None:
    """The last run that a user made, when it was to be confirmed and wasn't, also when its timer took it back since."""
    for run in recorded_runs(state_dir):
        if not run.begun or run.is_move or BOOT in run.header:
            continue
        undone = run.header.get("undoes")
        subject = run_named(state_dir, undone) if undone else run
        waits = subject is not None and subject.armed is not None and subject.settled in ("", "taken-back")
        return subject if waits else None
    return None


def kept_plan(state_dir: Path, path: str) -> Plan | None:
    """The plan of the last run of this state file that stayed; ``None`` when none is on record. Raises
    `ReconcilerError` 65 when its record is damaged."""
    for run in recorded_runs(state_dir):
        if run.known and not run.is_move and _stayed(run) and _names(run, path):
            plan = run.plan()
            if BOOT in run.header or not plan.targets:
                return plan
    return None


def _stayed(run: RecordedRun) -> bool:
    """Whether it came to its end, with what could be done, and nobody took it back or left it unconfirmed."""
    if run.end is None or run.end["code"] not in (ExitCode.OK, ExitCode.PARTIAL):
        return False
    if "undoes" in run.header or "resets" in run.header or run.settled == "taken-back":
        return False
    return run.armed is None or run.settled == "confirmed"


def _names(run: RecordedRun, path: str) -> bool:
    """Whether it was of this file, which a user may have named from the folder that it is in."""
    given = str(run.header.get("file", ""))
    return bool(given) and (given == path or (not given.startswith("/") and path.endswith(f"/{given}")))
