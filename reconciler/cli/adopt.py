"""``reconciler adopt``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.options import Options, write_new
from reconciler.exit_codes import ExitCode


def adopt(
    context: typer.Context,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there; never overwrites.")
    ] = None,
) -> int:
    """Write a state file that describes the host as it is; its plan is empty."""
    from reconciler.plan.adopt import adopt as describe
    from reconciler.plan.planner import make_plan
    from reconciler.state.load import load
    from reconciler.state.write import render

    options: Options = context.obj
    host = options.observe(options.reader())
    adopted = describe(host)
    text = render(adopted.state, adopted.left_out)
    for item in adopted.left_out:
        print(f"Left out: {item}.", file=sys.stderr)
    left = make_plan(load("the adopted file", text.encode()), host)
    for action in left.actions:
        print(f"Warning: its plan is not empty: {action.op} of {action.address}.", file=sys.stderr)
    for diagnostic in left.diagnostics:
        if diagnostic.severity == "error":
            print(f"Warning: {diagnostic.address}: {diagnostic.summary} {diagnostic.detail}", file=sys.stderr)
    if output is None:
        print(text, end="")
    else:
        write_new(output, text, overwrite=False)
        print(f"Written to {output}. See what it says with: reconciler plan {output}", file=sys.stderr)
    return ExitCode.OK
