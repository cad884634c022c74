"""``reconciler adopt``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.options import Options, write_new
from reconciler.cli.output import put, say
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode


def adopt(
    context: typer.Context,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there; never overwrites.")
    ] = None,
) -> int:
    """Write a state file that describes the host as it is; its plan is empty."""
    from reconciler.plan.adopt import adopt as describe

    options: Options = context.obj
    adopted = describe(options.observe(options.reader()))
    for item in adopted.left_out:
        say(f"Left out: {item}.")
    if adopted.wrong:
        detail = "\n  ".join(["Nothing was written, since its plan would not be empty:", *adopted.wrong])
        raise ReconcilerError("The host can't be described.", detail, code=ExitCode.FAILED)
    if output is None:
        put(adopted.text)
    else:
        write_new(output, adopted.text, overwrite=False)
        say(f"Written to {output}. See what it says with: reconciler plan {output}")
    return ExitCode.OK
