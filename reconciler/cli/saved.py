"""A saved plan against the host as it is: same machine, still fitting, and what has moved since."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler import __version__
from reconciler.cli.output import say
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode

if TYPE_CHECKING:
    from reconciler.host.model import Snapshot
    from reconciler.plan.document import Plan
    from reconciler.state.desired import Desired


def note_origin(plan: Plan) -> None:
    """Notes of what was otherwise when the plan was made, and doesn't count: its actions do."""
    if plan.tool.version != __version__:
        say(f"Note: the plan was made by {plan.tool.name} {plan.tool.version}, and this is {__version__}.")
    if _has_changed(plan.source.path, plan.source.sha256):
        say(
            f"Note: {plan.source.path} has changed since the plan was made. What is carried out is the plan; "
            f"for the file as it is: reconciler plan {plan.source.path}"
        )


def _has_changed(path: str, sha256: str) -> bool:
    """Whether the state file is there and is another one now. Where it is not there, a plan stands for itself."""
    from reconciler.files import read_regular

    with contextlib.suppress(OSError, ValueError):  # ValueError: a name that can't be one.
        return bool(path and sha256) and hashlib.sha256(read_regular(Path(path).resolve())).hexdigest() != sha256
    return False


def same_machine(plan: Plan, observed: Snapshot) -> None:
    """A plan is for one machine; another boot of it is only worth a note."""
    if plan.host.machine_id != observed.host.machine_id:
        raise ReconcilerError(
            "The plan is for another machine.",
            f"It was made for {plan.host.name} ({plan.host.machine_id}), and this is {observed.host.name} "
            f"({observed.host.machine_id}). Nothing was changed.",
            code=ExitCode.STALE,
        )
    if plan.host.boot_id != observed.host.boot_id:
        say("Note: the host was rebooted since the plan was made.")


def fresh_plan(approved: Plan, desired: Desired, observed: Snapshot, again: str) -> Plan:
    """The plan of now, which must do no more than the approved one; else the difference is explained (6). ``again``:
    what to do then."""
    from reconciler.plan.planner import make_plan

    fresh = make_plan(
        desired,
        observed,
        source=approved.source,
        created_at=approved.created_at,
        targets=approved.targets,
        partial=bool(approved.dropped),
    )
    difference = _difference(approved, fresh)
    if difference:
        detail = "\n  ".join(["Nothing was changed.", *difference, again])
        raise ReconcilerError("The plan no longer fits the host.", detail, code=ExitCode.STALE)
    return fresh


def note_moved(approved: Plan, fresh: Plan) -> None:
    """Notes of fields that have moved since the plan was made, without need for more than was approved."""
    from reconciler.plan.subset import moved
    from reconciler.report.stale_text import render_moved

    for line in render_moved([asdict(item) for item in moved(approved, fresh)]):
        say(f"Note: since the plan was made, {line}.")


def _difference(approved: Plan, fresh: Plan) -> list[str]:
    """Why the fresh plan can't stand for the approved one, in lines."""
    from reconciler.plan.document import plan_to_json
    from reconciler.plan.subset import beyond, moved
    from reconciler.report.stale_text import render_beyond

    errors = [f"  {d.address}: {d.summary} {d.detail}" for d in fresh.diagnostics if d.severity == "error"]
    if errors:
        return ["A new plan is blocked:", *errors]
    found = beyond(approved, fresh)
    if not found:
        return []
    documents = {action["id"]: action for action in plan_to_json(fresh)["actions"]}
    return [
        "What would be done now beyond it:",
        *render_beyond(
            [
                {"action": documents[item.action.id], "kind": item.kind, "was": item.was, "domains": [*item.domains]}
                for item in found
            ],
            [asdict(item) for item in moved(approved, fresh)],
        ),
    ]
