"""``reconciler inspect``."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from reconciler.cli.options import Options
from reconciler.cli.output import put
from reconciler.exit_codes import ExitCode


def inspect(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="The document reconciler-inventory/1.")] = False,
) -> int:
    """Show the host as it is: PF, VF, driver, guest, in one table."""
    from reconciler.plan.inventory import build_inventory
    from reconciler.report.inventory_text import render_inventory

    options: Options = context.obj
    document = build_inventory(options.observe(options.reader()))
    if as_json:
        put(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    else:
        put(render_inventory(document, color=options.colored(sys.stdout), width=options.width()))
    return ExitCode.OK
