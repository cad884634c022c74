"""``reconciler show``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.options import Options, read_file
from reconciler.cli.planned import Format, print_plan
from reconciler.exit_codes import ExitCode


def show(
    context: typer.Context,
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="A saved plan.")],
    as_json: Annotated[bool, typer.Option("--json", help="The document itself.")] = False,
    output_format: Annotated[Format, typer.Option("--format", help="How it is shown.")] = Format.TEXT,
) -> int:
    """Show a saved plan, also one that no longer fits the host."""
    from reconciler.plan.document import load_plan

    options: Options = context.obj
    chosen = Format.JSON if as_json else output_format
    print_plan(options, load_plan(read_file(plan), plan), chosen, saved=Path(plan))
    return ExitCode.OK
