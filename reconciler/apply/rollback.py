"""Takes back what a run has done: each action's undo, last done first, then a comparison with what was before."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.apply.executor import Executor
from reconciler.apply.journal import BEFORE, JOURNAL, PLAN, Journal, Unrecorded, add_record, plan_header, run_name
from reconciler.apply.ledger import write_ledger
from reconciler.apply.outcome import Outcome, Progress
from reconciler.apply.rescue import put_back_after_rollback, unknown
from reconciler.apply.runs import RecordedRun
from reconciler.apply.view import View
from reconciler.clock import now
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.host.model import Snapshot
from reconciler.host.protocol import Reader, Writer
from reconciler.host.snapshot import dump
from reconciler.kinds.action import Action
from reconciler.kinds.builder import copy_host
from reconciler.plan.difference import differences
from reconciler.plan.document import dump_plan
from reconciler.plan.undo import PREFIX, irreversible, repairs_of, undo_of, undone_of


@dataclass(slots=True)
class Rollback:
    """What came of taking back."""

    actions: list[Action]
    outcomes: list[Outcome]
    left: list[str] = field(default_factory=list)
    """How the host is still not as it was before, in sentences."""
    warnings: list[str] = field(default_factory=list)
    """What could not be recorded."""

    @property
    def complete(self) -> bool:
        """Whether all is as it was."""
        return all(outcome.done for outcome in self.outcomes) and not self.left

    def undone(self, actions: Sequence[Action]) -> set[str]:
        """Ids of the actions that were taken back: whose undo was carried out in full."""
        if not self.outcomes:
            return set()
        return undone_of(actions, {outcome.id for outcome in self.outcomes if not outcome.done})


def take_back(executor: Executor, actions: Sequence[Action], done: Collection[str], before: Snapshot) -> Rollback:
    """Takes back the actions of ``done`` (ids). An interrupt no longer stops it: half a way back is no place to be. Nor
    does a fault of our own: after the first write there is always a result."""
    executor.on_the_way_back()
    executor.before = lambda action: None
    rollback = Rollback([], [])
    try:
        rollback.actions = undo_of(actions, done, before)
        rollback.outcomes = executor.execute(rollback.actions)
        repairs = repairs_of(before, executor.view.reader.observe(), actions)
        if repairs:
            rollback.actions += repairs
            rollback.outcomes += executor.execute(repairs)
        detached = [action for action in actions if action.id in done]
        returned, without = put_back_after_rollback(executor, detached, before)
        _note_back(rollback, {action.id for action in detached if action.address in returned})
        after = executor.view.reader.observe()
        rollback.left = [*without, *irreversible(actions, done), *differences(before, after, actions)]
    except Exception as error:  # noqa: BLE001
        rollback.left = _cut_short(executor, rollback, actions, done, error)
    return rollback


def _cut_short(
    executor: Executor, rollback: Rollback, actions: Sequence[Action], done: Collection[str], error: Exception
) -> list[str]:
    """What is left, as far as is known, when the way back comes to no end. What has no outcome was not done."""
    if isinstance(error, ReconcilerError):
        why = f"the host could not be read again: {error.summary} {error.detail}".strip()
    else:
        why = (
            f"taking back stopped in the middle: {type(error).__name__}: {error}. This is a fault in reconciler: "
            f"please report it with {executor.journal.folder / JOURNAL}, which has the traceback."
        )
        with contextlib.suppress(ReconcilerError):
            executor.journal.write("fault", traceback=traceback.format_exc())
    rollback.outcomes = [executor.outcomes.get(a.id) or Outcome(a.id, "failed", why) for a in rollback.actions]
    again = rollback.undone(actions)
    off = [a for a in actions if a.op == "nic.detach" and a.id in done and a.id not in again]
    return [why, *unknown(off, error)]


def _done(outcome: Mapping[str, Any]) -> bool:
    return outcome["outcome"] in ("changed", "unchanged")


def _note_back(rollback: Rollback, detached: Collection[str]) -> None:
    """A NIC that did not come back by the undo of its detach, and was attached otherwise, is back."""
    for outcome in rollback.outcomes:
        if not outcome.done and outcome.id.removeprefix(PREFIX) in detached:
            outcome.outcome, outcome.error = "changed", ""


def take_back_run(
    last: RecordedRun,
    observed: Snapshot,
    *,
    confirmed: RecordedRun | None,
    attempts: Sequence[RecordedRun] = (),
    reader: Reader,
    writer: Writer,
    state_dir: Path,
    progress: Progress,
) -> tuple[str, Rollback]:
    """Takes back a run that is on record, as a run of its own: its name, and what it came to. The caller holds the
    lock. The ledger is put back too: what was taken back is not applied. A confirmation goes back with what it
    confirmed, which is ``confirmed``. ``attempts``: earlier rollbacks of it that left something to do."""
    first = confirmed or last
    plan, before = last.done() if confirmed is None else confirmed.plan(), first.before()
    done = last.changed | first.changed
    for attempt in attempts:
        undone = {key for key, outcome in attempt.outcomes.items() if _done(outcome)}
        left = {action.id for action in undo_of(plan.actions, done, before)} - undone
        done -= undone_of(plan.actions, left)
    name = run_name()
    header = {**plan_header(plan), "undoes": last.name}
    journal = _journal(state_dir, name, {PLAN: dump_plan(plan), BEFORE: dump(copy_host(observed))}, header)
    try:
        executor = Executor(View(reader, writer.clock, observed, name), writer, journal, progress)
        rollback = take_back(executor, plan.actions, done, before)
        runs = {last.name: last, first.name: first}.values() if rollback.complete else []
        _record(rollback, journal, state_dir, before, name, [run.folder for run in runs])
    finally:
        journal.close()
    return name, rollback


def settle(last: RecordedRun) -> None:
    """Notes that a run is taken back that waits for its confirmation, and did nothing that could be. The caller holds
    the lock."""
    add_record(last.folder, "taken-back", at=now())


def _journal(state_dir: Path, name: str, files: Mapping[str, str], header: dict[str, Any]) -> Journal:
    try:
        return Journal(state_dir, name, files, header)
    except ReconcilerError as error:
        if error.code == ExitCode.NOT_PERMITTED:
            raise
        return Unrecorded(state_dir / "runs" / name, error)


def _record(
    rollback: Rollback, journal: Journal, state_dir: Path, before: Snapshot, name: str, folders: Sequence[Path]
) -> None:
    """What can't be recorded is told: the host has been changed by now."""
    code = ExitCode.OK if rollback.complete else ExitCode.PARTIAL
    try:
        write_ledger(state_dir, before.ledger)
        journal.write("end", at=now(), code=int(code), unmet=rollback.left)
        for folder in folders:
            add_record(folder, "taken-back", by=name, at=now())
    except ReconcilerError as error:
        rollback.warnings.append(f"This is not on record as it should be. {error.summary} {error.detail}")
