"""``reconciler plan``."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli.options import Options, write_private
from reconciler.cli.planned import RANK, Format, View, exit_code, plan_one, print_plan
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator


def plan(
    context: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="State files, one per host.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PLAN", help="Save the plan, for: reconciler apply PLAN"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The document reconciler-plan/1.")] = False,
    output_format: Annotated[Format, typer.Option("--format", help="How it is shown.")] = Format.TEXT,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 2 when there are changes.")
    ] = False,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", metavar="ADDRESS", help="Only this and what it depends on."),
    ] = None,
) -> int:
    """Show what would be done, in order, and why. Changes nothing."""
    options: Options = context.obj
    if output is not None and len(files) > 1:
        raise ReconcilerError("Wrong usage.", "-o saves one plan: give one FILE with it.", code=ExitCode.USAGE)
    chosen = Format.JSON if as_json else output_format
    if len(files) > 1:
        from reconciler.cli.fleet import plan_all

        codes = plan_all(options, files, View(chosen, tuple(target or ()), detailed_exitcode))
        return max(codes, key=RANK.index)
    with _keeping_all():
        document = plan_one(options, files[0], target or ()).document
        if output is not None:
            from reconciler.plan.document import dump_plan

            write_private(output, dump_plan(document))
        print_plan(options, document, chosen, saved=output)
    return exit_code(document, detailed_exitcode)


@contextmanager
def _keeping_all() -> Iterator[None]:
    """Without looking for objects that nobody can reach any more: there are few, and in a large plan so many others."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
