"""``reconciler snapshot``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.options import Options, write_new
from reconciler.cli.output import put
from reconciler.exit_codes import ExitCode


def snapshot(
    context: typer.Context,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there.")] = None,
) -> int:
    """Record the observed state as JSON, for planning on another machine with --host snapshot:FILE."""
    from reconciler.host.snapshot import dump

    options: Options = context.obj
    reader = options.reader(whole=True)
    observed = options.observe(reader)
    if not options.host.startswith("snapshot:"):  # which has it in it, or never had
        observed.platform = reader.examine()
    text = dump(observed)
    if output is None:
        put(text)
    else:
        write_new(output, text, overwrite=True)
    return ExitCode.OK
