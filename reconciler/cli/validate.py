"""``reconciler validate``."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli.options import load_state
from reconciler.cli.output import complain, put
from reconciler.cli.planned import RANK
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.report.style import visible


def validate(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="State files.")],
) -> int:
    """Check state files. Needs no host and no root."""
    codes = [_validate(path) for path in files]
    return max(codes, key=RANK.index)


def _validate(path: str) -> int:
    try:
        desired, _ = load_state(path)
    except ReconcilerError as error:
        return complain(error)
    nics = sum(len(domain.nics) for domain in desired.domains.values())
    put(
        f"{visible(path)}: valid. {len(desired.pfs)} PFs, {len(desired.pools)} pools, "
        f"{len(desired.domains)} guests with {nics} NICs.\n"
    )
    return ExitCode.OK
