"""``reconciler rollback``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli.options import Options, need_root
from reconciler.cli.output import put, say
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode

if TYPE_CHECKING:
    from reconciler.apply.rollback import Rollback
    from reconciler.apply.runs import RecordedRun
    from reconciler.plan.document import Plan


def rollback(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
) -> int:
    """Take back the last run: each of its steps, the last one first, to the values before; verified."""
    from reconciler.apply.lock import locked
    from reconciler.apply.rollback import take_back_run
    from reconciler.clock import now
    from reconciler.host.open import open_writer
    from reconciler.report.progress import make_progress

    options: Options = context.obj
    writer = open_writer(options.host, options.libvirt)
    need_root(options)
    with locked("rollback", now(), options.lock):
        last = _last(options)
        plan = last.plan()
        reader = options.reader(plan.host.name)
        observed = options.observe(reader)
        if plan.host.machine_id != observed.host.machine_id:
            raise ReconcilerError(
                "The last run was on another machine.",
                f"Run {last.name} was on {plan.host.name}, and this is {observed.host.name}. Nothing was changed.",
                code=ExitCode.STALE,
            )
        say(f"Taking back run {last.name} of {last.header.get('file') or 'a saved plan'}.")
        if not yes and sys.stdin.isatty() and not _confirmed():
            say("Declined. Nothing was changed.")
            return ExitCode.FAILED
        progress = make_progress(sys.stderr, color=options.colored(sys.stderr))
        _, done = take_back_run(
            last, observed, reader=reader, writer=writer, state_dir=options.state_dir, progress=progress
        )
    return _show(options, last, plan, done)


def _confirmed() -> bool:
    print("Take it back? Only 'yes' is taken as an answer: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() == "yes"


def _last(options: Options) -> RecordedRun:
    """The last run, if there is something in it to take back."""
    from reconciler.apply.runs import recorded_runs

    last = next(iter(recorded_runs(options.state_dir)), None)
    if last is None:
        why = f"No run is on record in {options.state_dir}."
    elif "undoes" in last.header:
        why = (
            f"The last run, {last.name}, took run {last.header['undoes']} back. To do that one again: reconciler apply"
        )
    elif last.end is not None and last.end.get("code") == ExitCode.ROLLED_BACK:
        why = f"The last run, {last.name}, failed and was rolled back."
    elif not last.changed:
        why = f"The last run, {last.name}, changed nothing."
    else:
        return last
    raise ReconcilerError("There is nothing to take back.", f"{why} Nothing was changed.", code=ExitCode.FAILED)


def _show(options: Options, last: RecordedRun, plan: Plan, done: Rollback) -> int:
    from dataclasses import asdict

    from reconciler.plan.document import plan_to_json
    from reconciler.report.apply_text import render_result

    undone = done.undone(plan.actions) & last.changed
    outcomes = [asdict(outcome) for outcome in done.outcomes if outcome.outcome in ("failed", "skipped")]
    if done.complete:
        put(f"Taken back: {len(undone)} of {len(plan.actions)} actions of run {last.name}; the host is as before it.\n")
        return ExitCode.OK
    plan.actions = done.actions
    text = render_result(
        plan_to_json(plan), outcomes, unmet=done.left, color=options.colored(sys.stdout), width=options.width()
    )
    put(text)
    return ExitCode.PARTIAL
