"""``reconciler drift``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from reconciler.cli.options import Options, load_state
from reconciler.cli.output import complain, put
from reconciler.cli.planned import Format
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.json_data import to_text

_CODES = {"drift": ExitCode.CHANGES, "unknown": ExitCode.UNOBSERVED}


def drift(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The state file.")],
    as_json: Annotated[bool, typer.Option("--json", help="The document reconciler-drift/1.")] = False,
    output_format: Annotated[Format, typer.Option("--format", help="How it is shown.")] = Format.TEXT,
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", metavar="ADDRESS.FIELD", help="Leave this out; may be repeated."),
    ] = None,
    metrics: Annotated[
        Path | None,
        typer.Option(metavar="FILE.prom", help="Also write metrics there, for Prometheus's node exporter."),
    ] = None,
) -> int:
    """Has the host moved away from the file? Never changes anything. Exit 2: it has; 8: something is not known."""
    from reconciler.cli.monitoring import Metrics, tell_failed

    options: Options = context.obj
    measured = Metrics(metrics, options.state_dir)
    try:
        document = _look(options, file, ignore or [])
    except Exception as error:
        code = error.code if isinstance(error, ReconcilerError) else ExitCode.FAILED
        tell_failed(error, code)
        if (unwritten := measured.write(None, code)) is not None:
            complain(unwritten)
        raise
    code = _CODES.get(document["verdict"], ExitCode.OK)
    unwritten = measured.write(document, code)
    _show(options, document, Format.JSON if as_json else output_format, code)
    if unwritten is not None and code == ExitCode.OK:
        raise unwritten
    if unwritten is not None:
        complain(unwritten)  # Beside what was found, which whoever asks wants to know first.
    return code


def _look(options: Options, file: str, ignore: Sequence[str]) -> dict[str, Any]:
    from reconciler.apply.ledger import last_apply
    from reconciler.clock import now
    from reconciler.plan.drift import find_drift
    from reconciler.plan.drift_document import drift_to_json

    desired, source = load_state(file)
    observed = options.observe(options.reader(desired))
    applied_at = last_apply(options.state_dir) if options.has_records else ""
    return drift_to_json(
        find_drift(desired, observed, source=source, created_at=now(), applied_at=applied_at, ignore=ignore)
    )


def _show(options: Options, document: dict[str, Any], output_format: Format, code: int) -> None:
    from reconciler.cli.monitoring import put_report
    from reconciler.report.drift_text import drift_headline, render_drift, render_drift_markdown

    if output_format is Format.JSON:
        put(to_text(document))
    elif output_format is Format.MARKDOWN:
        put(render_drift_markdown(document))
    else:
        text = render_drift(document, color=options.colored(sys.stdout), width=options.width())
        put_report(text, drift_headline(document), document, code)
