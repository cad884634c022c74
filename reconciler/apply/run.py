"""One run of apply: from an approved plan to a host that is as declared, with everything on record."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reconciler.apply.executor import Executor, Outcome, Progress
from reconciler.apply.journal import Journal
from reconciler.apply.ledger import record, set_aside, write_ledger
from reconciler.clock import now
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.host.model import Snapshot
from reconciler.host.protocol import Reader, Writer
from reconciler.kinds.registry import compare_all
from reconciler.kinds.resolve import resolve
from reconciler.plan.document import Plan, dump_plan
from reconciler.plan.planner import make_plan
from reconciler.state.desired import Desired


@dataclass(slots=True)
class RunResult:
    """What a run has come to."""

    run: str
    outcomes: list[Outcome]
    code: ExitCode
    unmet: list[str] = field(default_factory=list)
    """What a plan made afterwards would still do, although every action succeeded."""
    warnings: list[str] = field(default_factory=list)


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
    ledger_unusable: bool = False,
) -> RunResult:
    """Executes, verifies, records. The caller holds the lock and has made sure that the plan may be carried out."""
    run = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}"
    journal = Journal(state_dir, run, dump_plan(plan), _header(plan))
    executor = Executor(reader, writer, observed, journal, progress, run, stopped)
    try:
        outcomes = executor.execute(plan.actions)
        result = RunResult(run, outcomes, _code(outcomes, stopped()))
        _conclude(result, plan, desired, executor, state_dir, ledger_unusable)
        journal.write("end", at=now(), code=int(result.code), unmet=result.unmet)
    finally:
        journal.close()
    return result


def _header(plan: Plan) -> dict[str, Any]:
    user = os.environ.get("SUDO_USER") or os.environ.get("USER") or str(os.getuid())
    return {
        "at": now(),
        "by": user,
        "file": plan.source.path,
        "sha256": plan.source.sha256,
        "commit": plan.source.git.commit if plan.source.git is not None else "",
        "boot_id": plan.host.boot_id,
    }


def _code(outcomes: list[Outcome], interrupted: bool) -> ExitCode:
    kinds = {outcome.outcome for outcome in outcomes}
    if not kinds & {"failed", "skipped"}:
        return ExitCode.OK
    if "changed" in kinds:
        return ExitCode.PARTIAL
    return ExitCode.INTERRUPTED if interrupted and "failed" not in kinds else ExitCode.FAILED


def _conclude(
    result: RunResult,
    plan: Plan,
    desired: Desired,
    executor: Executor,
    state_dir: Path,
    ledger_unusable: bool,
) -> None:
    """Observes once more: what is right now goes into the ledger, and a run that claims success must leave nothing to
    do."""
    after = executor.reader.observe()
    after.ledger = executor.host.ledger
    resolution = resolve(desired, after)
    written = {
        action.address
        for action, outcome in zip(plan.actions, result.outcomes, strict=True)
        if outcome.outcome == "changed"
    }
    try:
        record(after.ledger, compare_all(resolution, after), after, result.run, written)
        if ledger_unusable:
            set_aside(state_dir)
        write_ledger(state_dir, after.ledger)
    except ReconcilerError as error:
        result.warnings.append(f"The ledger was not written, so drift can't be told from pending: {error.detail}")
    if result.code == ExitCode.OK:
        again = make_plan(desired, after, targets=plan.targets, partial=bool(plan.dropped))
        result.unmet = [f"{action.op} of {action.address}" for action in again.actions]
        if result.unmet:
            result.code = ExitCode.PARTIAL


def note_in_sync(desired: Desired, observed: Snapshot, state_dir: Path) -> None:
    """Records what was found already right. Writes nothing when the ledger says so already."""
    resolution = resolve(desired, observed)
    if record(observed.ledger, compare_all(resolution, observed), observed, "", set()):
        write_ledger(state_dir, observed.ledger)
