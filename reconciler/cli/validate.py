"""``reconciler validate``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from reconciler.cli.options import load_state
from reconciler.diagnostics import StateFileError
from reconciler.exit_codes import ExitCode


def validate(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="State files.")],
) -> int:
    """Check state files. Needs no host and no root."""
    from reconciler.state.errors import format_error

    bad = 0
    for path in files:
        try:
            desired, _ = load_state(path)
        except StateFileError as error:
            bad += 1
            for diagnostic in error.diagnostics:
                print(format_error(diagnostic), file=sys.stderr)
            continue
        nics = sum(len(domain.nics) for domain in desired.domains.values())
        print(
            f"{path}: valid. {len(desired.pfs)} PFs, {len(desired.pools)} pools, "
            f"{len(desired.domains)} guests with {nics} NICs."
        )
    return ExitCode.INVALID if bad else ExitCode.OK
