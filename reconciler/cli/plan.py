"""``reconciler plan``."""

from __future__ import annotations

import gc
import json
import shlex
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli.options import Options, load_state, write_private
from reconciler.cli.output import put
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.report.style import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reconciler.host.model import Snapshot
    from reconciler.plan.document import Plan
    from reconciler.state.desired import Desired


class Format(StrEnum):
    """Views of a plan or of drift."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


def plan(
    context: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="State files, one per host.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PLAN", help="Save the plan, for: reconciler apply PLAN"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The document reconciler-plan/1.")] = False,
    output_format: Annotated[Format, typer.Option("--format", help="How it is shown.")] = Format.TEXT,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 2 when there are changes.")
    ] = False,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", metavar="ADDRESS", help="Only this and what it depends on."),
    ] = None,
) -> int:
    """Show what would be done, in order, and why. Changes nothing."""
    options: Options = context.obj
    if output is not None and len(files) > 1:
        raise ReconcilerError("Wrong usage.", "-o saves one plan: give one FILE with it.", code=ExitCode.USAGE)
    chosen = Format.JSON if as_json else output_format
    if len(files) > 1:
        from reconciler.cli.fleet import plan_all

        codes = plan_all(options, files, View(chosen, tuple(target or ()), detailed_exitcode))
        return max(codes, key=RANK.index)
    with _keeping_all():
        document = plan_one(options, files[0], target or ()).document
        if output is not None:
            from reconciler.plan.document import dump_plan

            write_private(output, dump_plan(document))
        print_plan(options, document, chosen, saved=output)
    return exit_code(document, detailed_exitcode)


RANK: list[int] = [
    ExitCode.OK,
    ExitCode.CHANGES,
    ExitCode.UNOBSERVED,
    ExitCode.FAILED,
    ExitCode.NOT_PERMITTED,
    ExitCode.USAGE,
    ExitCode.INVALID,
]
"""Of several files the worst code counts."""


@dataclass(frozen=True, slots=True)
class View:
    """How several plans are asked for."""

    format: Format
    targets: tuple[str, ...] = ()
    detailed: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan and what it is made of."""

    desired: Desired
    observed: Snapshot
    document: Plan


@contextmanager
def _keeping_all() -> Iterator[None]:
    """Without looking for objects that nobody can reach any more: there are few, and in a large plan so many others."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def plan_one(options: Options, path: str, targets: Sequence[str], data: bytes | None = None) -> Planned:
    """The plan of a state file; ``data``: what was read of it already."""
    from reconciler.clock import now
    from reconciler.plan.planner import make_plan

    desired, source = load_state(path, data)
    observed = options.observe(options.reader(desired))
    document = make_plan(desired, observed, source=source, created_at=now(), targets=targets)
    return Planned(desired, observed, document)


def exit_code(document: Plan, detailed: bool = False) -> ExitCode:
    """What a plan means as an exit code. Blocked by nothing but what could not be observed is 8."""
    if document.verdict == "blocked":
        errors = {d.code for d in document.diagnostics if d.severity == "error"}
        only = errors <= {"not-observed", "libvirt-unavailable"}
        return ExitCode.UNOBSERVED if only and document.unobserved else ExitCode.FAILED
    return ExitCode.CHANGES if detailed and document.verdict == "changes" else ExitCode.OK


def print_plan(
    options: Options, document: Plan, output_format: Format, *, lines: bool = False, saved: Path | None = None
) -> None:
    """Prints a plan in one of its views."""
    from reconciler.plan.document import dump_plan, plan_to_json

    if output_format is Format.JSON:
        text = json.dumps(plan_to_json(document), ensure_ascii=False) + "\n" if lines else dump_plan(document)
        put(text)
    elif output_format is Format.MARKDOWN:
        from reconciler.report.plan_markdown import render_plan_markdown

        put(render_plan_markdown(plan_to_json(document)))
    else:
        from reconciler.report.plan_text import render_plan

        color, width = options.colored(sys.stdout), options.width()
        # What was recorded is planned here and applied there.
        command = "reconciler" if options.host.startswith("snapshot:") else options.command()
        put(render_plan(plan_to_json(document), color=color, command="" if saved else command, width=width))
        if saved is not None and document.verdict == "changes":
            name = visible(str(saved))
            put(f"\nSaved in {name}. To do exactly this:\n    {command} apply {shlex.quote(name)}\n")
