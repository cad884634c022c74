"""``reconciler doctor``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from reconciler.cli.options import Options, load_state
from reconciler.cli.output import put
from reconciler.exit_codes import ExitCode
from reconciler.json_data import to_text


def doctor(
    context: typer.Context,
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="A state file: only what it needs, and whether it fits.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The document reconciler-doctor/1.")] = False,
) -> int:
    """Can this host do SR-IOV, and this file? Firmware, IOMMU, kernel, modules, drivers, libvirt. Exit 1: a problem."""
    from reconciler.doctor.diagnose import diagnose
    from reconciler.doctor.document import report_to_json
    from reconciler.report.doctor_text import render_doctor

    options: Options = context.obj
    desired, source = load_state(file) if file is not None else (None, None)
    reader = options.reader(desired)
    report = diagnose(options.observe(reader), reader.examine(), desired, source)
    document = report_to_json(report)
    if as_json:
        put(to_text(document))
    else:
        put(render_doctor(document, color=options.colored(sys.stdout), width=options.width()))
    return ExitCode.FAILED if report.verdict == "problems" else ExitCode.OK
