"""``reconciler history``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from reconciler.cli.options import Options
from reconciler.cli.output import put, say
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode

if TYPE_CHECKING:
    from reconciler.apply.runs import RecordedRun

Read = TypeVar("Read")


def history(
    context: typer.Context,
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="One of the runs, step by step.")] = None,
) -> int:
    """Show what was applied here: when, by whom, from which file and commit, and what became of it."""
    from reconciler.apply.runs import recorded_runs
    from reconciler.plan.document import plan_to_json
    from reconciler.report.history_text import render_history, render_run

    options: Options = context.obj
    runs = recorded_runs(options.state_dir)
    color = options.colored(sys.stdout)
    if run is None:
        put(render_history([item.told() for item in runs], color=color))
        return ExitCode.OK
    found = next((item for item in runs if item.name == run), None)
    if found is None:
        raise ReconcilerError(
            "There is no such run.", f"{run!r} is not on record. See: reconciler history", code=ExitCode.USAGE
        )
    if found.is_move:
        return _show_move(options, found)
    plan, before = _read(found.done), _read(found.before)
    waiting = _read(found.later) if found.waits else None
    put(
        render_run(
            found.told(),
            plan_to_json(plan) if plan is not None else None,
            before={pf.id: {vf.index: vf.attributes or {} for vf in pf.vfs} for pf in before.pfs.values()}
            if before is not None
            else {},
            later=plan_to_json(waiting)["actions"] if waiting is not None else [],
            color=color,
            width=options.width(),
        )
    )
    return ExitCode.OK


def _show_move(options: Options, run: RecordedRun) -> int:
    from reconciler.apply.moved import read_document
    from reconciler.report.move_text import render_moved

    document = _read(lambda: read_document(run))
    color, width = options.colored(sys.stdout), options.width()
    put(render_moved(run.told(), document, color=color, width=width))
    return ExitCode.OK


def _read(read: Callable[[], Read]) -> Read | None:
    """A file of the run; one that is damaged is said, and the rest is shown all the same."""
    try:
        return read()
    except ReconcilerError as error:
        say(f"Warning: {error.summary} {error.detail}")
        return None
