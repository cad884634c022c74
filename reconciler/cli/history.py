"""``reconciler history``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reconciler.cli.options import Options
from reconciler.cli.output import put, say
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode

if TYPE_CHECKING:
    from reconciler.apply.runs import RecordedRun


def history(
    context: typer.Context,
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="One of the runs, step by step.")] = None,
) -> int:
    """Show what was applied here: when, by whom, from which file and commit, and what became of it."""
    from reconciler.apply.runs import recorded_runs
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
    put(render_run(found.told(), _plan(found), color=color, width=options.width()))
    return ExitCode.OK


def _plan(run: RecordedRun) -> dict[str, Any] | None:
    from reconciler.plan.document import plan_to_json

    try:
        return plan_to_json(run.plan())
    except ReconcilerError as error:
        say(f"Warning: {error.summary} {error.detail}")
        return None
