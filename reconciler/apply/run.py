"""One run of apply: from an approved plan to a host that is as declared, with everything on record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from reconciler.apply.executor import Executor
from reconciler.apply.journal import BEFORE, LATER, NOW, PLAN, Journal, plan_header, run_name
from reconciler.apply.ledger import last_apply, record, write_ledger
from reconciler.apply.outcome import Outcome, Progress, to_take_back
from reconciler.apply.rescue import rescue
from reconciler.apply.rollback import Rollback, take_back
from reconciler.apply.view import View
from reconciler.clock import now
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.host.model import Snapshot
from reconciler.host.protocol import Reader, Writer
from reconciler.host.snapshot import dump, load
from reconciler.kinds.action import Action
from reconciler.kinds.builder import copy_host
from reconciler.kinds.operation import nothing_to_forget
from reconciler.kinds.operations import OPERATIONS
from reconciler.kinds.registry import compare_all
from reconciler.kinds.resolve import resolve
from reconciler.plan.confirm import Halves
from reconciler.plan.document import Plan, dump_plan, load_plan
from reconciler.plan.planner import make_plan
from reconciler.state.desired import Desired

OnError = Literal["stop", "rollback"]
Phase = Literal["back", "end"]
"""Where a run is after its steps: what was done is being taken back; what it came to is being recorded."""


@dataclass(slots=True)
class RunResult:
    """What a run has come to."""

    run: str
    outcomes: list[Outcome]
    code: ExitCode
    unmet: list[str] = field(default_factory=list)
    """Why a run is no success although every action was: what a new plan would still do, or why there is none."""
    warnings: list[str] = field(default_factory=list)
    after: Snapshot | None = None
    """The host as it was read again at the end; ``None``: it was not, or could not be."""
    rollback: Rollback | None = None
    """What taking back came to; ``None``: nothing was taken back."""

    @property
    def changed(self) -> bool:
        """Whether the host was asked for anything that may have taken effect."""
        return bool(to_take_back(self.outcomes))


def carry_out(
    plan: Plan,
    desired: Desired,
    observed: Snapshot,
    *,
    reader: Reader,
    writer: Writer,
    state_dir: Path,
    progress: Progress,
    stopped: Callable[[], bool],
    on_error: OnError = "stop",
    on_interrupt: OnError | None = None,
    entered: Callable[[Phase], None] = lambda phase: None,
    before: Callable[[Action], None] = lambda action: None,
    halves: Halves | None = None,
    arm: Callable[[str], dict[str, Any]] | None = None,
    about: Mapping[str, str] | None = None,
) -> RunResult:
    """Executes, verifies, records. The caller holds the lock and has made sure that the plan may be carried out. From
    the first action on, nothing but the end of the process keeps it from returning a result. ``on_error``: what follows
    a failure; ``on_interrupt``: what follows an interrupt, the same if it isn't given. ``entered`` is told where the
    run is. ``halves``: of a plan that waits for its confirmation, only the first is carried out; ``arm`` arms the timer
    that takes it back, given the run's name, and returns what is to be on record of it. ``about``: what else is to be
    on record of the run; one that ``resets`` VFs declares nothing, and the ledger stays as it is."""
    run = run_name()
    began = copy_host(observed)
    applied_at = last_apply(state_dir)
    actions = plan.actions if halves is None else halves.now
    files = _files(plan, began, halves)
    lost = _lost(files)
    if lost and arm is not None:
        raise ReconcilerError(
            "What nobody confirms could not be taken back.", f"{lost} Nothing was changed.", code=ExitCode.FAILED
        )
    journal = Journal(state_dir, run, files, plan_header(plan) | dict(about or {}))
    executor = Executor(View(reader, writer.clock, observed, run), writer, journal, progress, stopped, before)
    declared = "resets" not in (about or {})
    if declared:
        executor.before = _forgetting(executor, state_dir)
    try:
        if arm is not None:
            _arm(journal, arm, run)
        outcomes = executor.execute(actions)
        interrupted = stopped()
        result = RunResult(run, outcomes, _code(outcomes, interrupted), warnings=[lost] if lost else [])
        back = (on_interrupt or on_error if interrupted else on_error) == "rollback"
        unwanted = back and interrupted and result.changed  # Interrupted in its last step, it is not to stay either.
        if not back and result.code != ExitCode.OK:
            entered("back")
            _rescue(result, actions, executor, began, interrupted)
        if not unwanted and (not back or result.code == ExitCode.OK):
            entered("end")
            waiting = halves.later if halves is not None else []
            _conclude(result, plan, desired, executor, state_dir, waiting, declared=declared)
        if unwanted or (back and result.code == ExitCode.PARTIAL):
            entered("back")
            _take_back(result, actions, executor, began, state_dir, applied_at)
        try:
            journal.write("end", at=now(), code=int(result.code), unmet=result.unmet)
        except ReconcilerError as error:
            result.warnings.append(
                f"The journal has no end, so the next run takes this one for interrupted: {error.detail}"
            )
    finally:
        journal.close()
    return result


def _forgetting(executor: Executor, state_dir: Path) -> Callable[[Action], None]:
    """What an action makes untrue is out of the ledger before the host is asked for it: a run that is killed leaves
    nothing there that the next one would believe. Raises `ReconcilerError` when that can't be written."""
    told = executor.before

    def before(action: Action) -> None:
        told(action)
        if OPERATIONS[action.op].forget is nothing_to_forget:
            return
        host = executor.view.host
        after = replace(host, ledger={identity: dict(fields) for identity, fields in host.ledger.items()})
        OPERATIONS[action.op].forget(after, action.args)
        if after.ledger != host.ledger:
            write_ledger(state_dir, after.ledger)

    return before


def _files(plan: Plan, began: Snapshot, halves: Halves | None) -> dict[str, str]:
    files = {PLAN: dump_plan(plan), BEFORE: dump(began)}
    if halves is not None:
        files[NOW] = dump_plan(replace(plan, actions=halves.now))
        files[LATER] = dump_plan(replace(plan, actions=halves.later))
    return files


def _lost(files: Mapping[str, str]) -> str:
    """Why a run with these files can't be taken back later, "" when it can: a host may have what our own checks of a
    record refuse. Costs milliseconds."""
    try:
        load(files[BEFORE].encode(), BEFORE, own=True)
        load_plan(files.get(NOW, files[PLAN]).encode(), PLAN)
    except ReconcilerError as error:
        return f"Its record could not be read again, so rollback would refuse it. {error.detail}"
    return ""


def _arm(journal: Journal, arm: Callable[[str], dict[str, Any]], run: str) -> None:
    """The timer is armed before the first write; without it there is none."""
    try:
        journal.write("armed", **arm(run))
    except ReconcilerError:
        journal.write("end", at=now(), code=int(ExitCode.FAILED), unmet=[])
        raise


def _rescue(
    result: RunResult, actions: Sequence[Action], executor: Executor, began: Snapshot, interrupted: bool
) -> None:
    """A run that stops where it failed doesn't leave a guest without its NIC."""
    found = rescue(executor, actions, began)
    result.outcomes = [executor.outcomes[action.id] for action in actions]
    result.code = _code(result.outcomes, interrupted)
    result.warnings += found.put_back
    _unmet(result, found.lost)


def _take_back(
    result: RunResult,
    actions: Sequence[Action],
    executor: Executor,
    began: Snapshot,
    state_dir: Path,
    applied_at: str,
) -> None:
    """The ledger is as before too: what was taken back was not applied."""
    done = to_take_back(result.outcomes)
    result.rollback = take_back(executor, actions, done, began)
    result.code = ExitCode.ROLLED_BACK if result.rollback.complete else ExitCode.PARTIAL
    result.unmet = result.rollback.left
    try:
        write_ledger(state_dir, began.ledger, applied_at=applied_at)
    except ReconcilerError as error:
        result.warnings.append(f"The ledger was not written: {_told(error)}")


def _code(outcomes: list[Outcome], interrupted: bool) -> ExitCode:
    """Only when the host was asked for nothing can a run that failed say that nothing was changed."""
    kinds = {outcome.outcome for outcome in outcomes}
    if not kinds & {"failed", "skipped", "undone"}:
        return ExitCode.OK
    if any(outcome.written for outcome in outcomes):
        return ExitCode.PARTIAL
    return ExitCode.INTERRUPTED if interrupted and "failed" not in kinds else ExitCode.FAILED


def _conclude(
    result: RunResult,
    plan: Plan,
    desired: Desired,
    executor: Executor,
    state_dir: Path,
    waiting: Sequence[Action],
    *,
    declared: bool,
) -> None:
    """Observes once more: what is right now goes into the ledger, and a run that claims success must leave nothing to
    do. What can't be found out is no success."""
    try:
        after = executor.view.reader.observe()
        after.ledger = executor.view.host.ledger
        states = compare_all(resolve(desired, after), after)
    except Exception as error:  # noqa: BLE001  (after the first write a run always ends with its own result)
        result.warnings.append(
            f"What was applied is not recorded, since the host could not be read again: {_told(error)}"
        )
        _unmet(result, ["the host could not be read again"])
        return
    result.after = after
    changed = {outcome.id for outcome in result.outcomes if outcome.outcome == "changed"}
    try:
        if declared:
            record(after.ledger, states, after, result.run, {a.address for a in plan.actions if a.id in changed})
            aside = write_ledger(state_dir, after.ledger, applied_at=now() if result.changed else None)
            result.warnings += [f"The ledger that could not be used is now {aside}."] if aside else []
    except ReconcilerError as error:
        result.warnings.append(f"The ledger was not written, so drift can't be told from pending: {_told(error)}")
    if result.code == ExitCode.OK:
        _unmet(result, _left(plan, desired, after, waiting))


def _unmet(result: RunResult, why: list[str]) -> None:
    result.unmet += why
    if why and result.code == ExitCode.OK:
        result.code = ExitCode.PARTIAL


def _left(plan: Plan, desired: Desired, after: Snapshot, waiting: Sequence[Action]) -> list[str]:
    """What a plan made now would do beyond what waits for the confirmation, or what blocks it."""
    try:
        again = make_plan(desired, after, targets=plan.targets, partial=bool(plan.dropped))
    except Exception as error:  # noqa: BLE001  (as above)
        return [f"a new plan can't be made: {_told(error)}"]
    if again.verdict == "in-sync":
        return []
    errors = [f"{d.address}: {d.summary} {d.detail}" for d in again.diagnostics if d.severity == "error"]
    return [
        *(
            f"a new plan would still do {action.op} of {action.address}"
            for action in again.actions
            if (action.op, action.address) not in {(item.op, item.address) for item in waiting}
        ),
        *(f"a new plan is blocked by {error}" for error in errors),
    ]


def _told(error: Exception) -> str:
    if isinstance(error, ReconcilerError):
        return f"{error.summary} {error.detail}".strip()
    return f"{type(error).__name__}: {error}"
