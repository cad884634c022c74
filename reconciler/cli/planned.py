"""The plan of one state file: made, shown, and what it means as an exit code."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from reconciler.cli.options import Options, load_state
from reconciler.cli.output import put
from reconciler.exit_codes import ExitCode
from reconciler.report.style import visible

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from reconciler.host.model import Snapshot
    from reconciler.plan.document import Plan
    from reconciler.state.desired import Desired


class Format(StrEnum):
    """Views of a plan or of drift."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


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
