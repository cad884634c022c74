"""``reconciler inspect``."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from reconciler.cli.options import Options, write_new
from reconciler.cli.output import put
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.json_data import to_text

_INTERVAL = 1.0


class View(StrEnum):
    """Views of a host."""

    TEXT = "text"
    JSON = "json"
    SVG = "svg"
    DOT = "dot"
    MERMAID = "mermaid"


def inspect(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="The document reconciler-inventory/1.")] = False,
    view: Annotated[
        View, typer.Option("--format", help="A table, the document, or a picture: who has what, and what is free.")
    ] = View.TEXT,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there.")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Packets, bytes and drops per second of each VF, live; Ctrl-C ends it.")
    ] = False,
    interval: Annotated[
        float | None, typer.Option("--interval", metavar="SECONDS", min=0.2, max=3600, help="How often (1).")
    ] = None,
    count: Annotated[int | None, typer.Option("--count", metavar="N", min=1, help="So many times, and end.")] = None,
) -> int:
    """Show the host as it is: PF, VF, driver, guest, in one table, or as a picture."""
    from reconciler.cli.rates import refuse, watch_rates
    from reconciler.plan.inventory import build_inventory

    options: Options = context.obj
    chosen = View.JSON if as_json else view
    if as_json and view not in (View.TEXT, View.JSON):
        raise ReconcilerError(
            "Wrong usage.", f"--json and --format {view.value} are two views: name one of them.", code=ExitCode.USAGE
        )
    if wrong := refuse(chosen, output, interval, count, watch=watch):
        raise ReconcilerError("Wrong usage.", wrong, code=ExitCode.USAGE)
    if watch:
        return watch_rates(options, interval or _INTERVAL, count)
    document = build_inventory(options.observe(options.reader()))
    if output is not None:
        write_new(output, _rendered(document, chosen), overwrite=True)
    elif chosen is View.TEXT:
        put(_rendered(document, chosen, color=options.colored(sys.stdout), width=options.width()))
    else:
        put(_rendered(document, chosen))
    return ExitCode.OK


def _rendered(document: dict[str, Any], view: View, *, color: bool = False, width: int = 0) -> str:
    match view:
        case View.JSON:
            return to_text(document)
        case View.SVG:
            from reconciler.report.picture_svg import render_svg

            return render_svg(document)
        case View.DOT:
            from reconciler.report.picture_dot import render_dot

            return render_dot(document)
        case View.MERMAID:
            from reconciler.report.picture_mermaid import render_mermaid

            return render_mermaid(document)
        case View.TEXT:
            from reconciler.report.inventory_text import render_inventory

            return render_inventory(document, color=color, width=width)
