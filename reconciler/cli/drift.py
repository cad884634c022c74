"""``reconciler drift``."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from reconciler.cli.options import Options, load_state
from reconciler.cli.output import put
from reconciler.cli.plan import Format
from reconciler.exit_codes import ExitCode


def drift(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The state file.")],
    as_json: Annotated[bool, typer.Option("--json", help="The document reconciler-drift/1.")] = False,
    output_format: Annotated[Format, typer.Option("--format", help="How it is shown.")] = Format.TEXT,
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", metavar="ADDRESS.FIELD", help="Leave this out; may be repeated."),
    ] = None,
) -> int:
    """Has the host moved away from the file? Never changes anything. Exit 2: it has; 8: something is not known."""
    from reconciler.clock import now
    from reconciler.plan.drift import find_drift
    from reconciler.plan.drift_document import drift_to_json
    from reconciler.report.drift_text import render_drift, render_drift_markdown

    options: Options = context.obj
    desired, source = load_state(file)
    observed = options.observe(options.reader(desired))
    found = find_drift(desired, observed, source=source, created_at=now(), ignore=ignore or [])
    document = drift_to_json(found)
    if as_json or output_format is Format.JSON:
        put(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    elif output_format is Format.MARKDOWN:
        put(render_drift_markdown(document))
    else:
        put(render_drift(document, color=options.colored(sys.stdout), width=options.width()))
    return {"drift": ExitCode.CHANGES, "unknown": ExitCode.UNOBSERVED}.get(found.verdict, ExitCode.OK)
