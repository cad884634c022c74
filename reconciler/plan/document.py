"""The plan document, ``reconciler-plan/1``: pure data, which every view is rendered from and `apply` carries out.

The field names are the JSON names. A minor addition keeps ``/1``; readers ignore keys that they don't know.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Literal

from reconciler import __version__
from reconciler.diagnostics import Diagnostic, ReconcilerError
from reconciler.disruption import worst
from reconciler.exit_codes import ExitCode
from reconciler.host.model import HostIdentity
from reconciler.json_data import as_type, read_json, to_text
from reconciler.kinds.action import Action, Impact, Json, Step
from reconciler.plan.capacity import Capacity
from reconciler.plan.saved import problems_of_actions, problems_of_desired
from reconciler.state.desired import Disruption
from reconciler.state.errors import printable

PLAN_FORMAT = "reconciler-plan/1"
_SHOWN = 20
"""Of the problems of a file that is no plan."""

ChangeOp = Literal["create", "update", "replace", "delete"]
Verdict = Literal["in-sync", "changes", "blocked"]


@dataclass(slots=True)
class Tool:
    """Who wrote a document."""

    name: str = "reconciler"
    version: str = __version__


@dataclass(slots=True)
class Git:
    """Where the state file stood in git."""

    commit: str = ""
    dirty: bool = False


@dataclass(slots=True)
class Source:
    """The state file."""

    path: str = ""
    sha256: str = ""
    git: Git | None = None
    """``None``: not in a git work tree."""


@dataclass(slots=True)
class Summary:
    """Counts of changes by operation, of actions, and of actions above class ``none``."""

    create: int = 0
    update: int = 0
    replace: int = 0
    delete: int = 0
    actions: int = 0
    disruptive: int = 0
    reboot: bool = False


@dataclass(slots=True)
class FieldChange:
    """One declared field that differs. ``before`` null: it wasn't there."""

    name: str
    before: Json
    after: Json


@dataclass(slots=True)
class Change:
    """One thing that will be different, by its address in the state file."""

    address: str
    op: ChangeOp
    fields: list[FieldChange] = field(default_factory=list)
    reason: str = ""
    impact: Impact = field(default_factory=Impact)
    line: int = 0


@dataclass(slots=True)
class Plan:
    """The whole document."""

    created_at: str = ""
    host: HostIdentity = field(default_factory=HostIdentity)
    source: Source = field(default_factory=Source)
    desired: dict[str, Json] = field(default_factory=dict)
    verdict: Verdict = "in-sync"
    summary: Summary = field(default_factory=Summary)
    changes: list[Change] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    """Addresses that the plan was limited to; empty: everything."""
    dropped: list[str] = field(default_factory=list)
    """Addresses that ``--partial`` left out because of an error."""
    unobserved: list[str] = field(default_factory=list)
    """Addresses of what is declared and could not be observed."""
    capacity: Capacity = field(default_factory=Capacity)
    """How many VFs there are after it, and for whom."""
    tool: Tool = field(default_factory=Tool)
    format: str = PLAN_FORMAT

    @property
    def disruption(self) -> Disruption:
        """The worst class of its actions."""
        return worst(*(action.disruption for action in self.actions))


def plan_to_json(plan: Plan) -> dict[str, Json]:
    """The document as JSON data, in the order and with the names of the contract."""
    summary = plan.summary
    document: dict[str, Json] = {
        "format": plan.format,
        "tool": {"name": plan.tool.name, "version": plan.tool.version},
        "created_at": plan.created_at,
        "host": _host(plan.host),
        "source": _source(plan.source),
        "desired": plan.desired,
        "verdict": plan.verdict,
        "summary": {
            name: getattr(summary, name)
            for name in ("create", "update", "replace", "delete", "actions", "disruptive", "reboot")
        },
        "changes": [_change(change) for change in plan.changes],
        "actions": [_action(action) for action in plan.actions],
        "diagnostics": [_diagnostic(diagnostic) for diagnostic in plan.diagnostics],
    }
    for name in ("targets", "dropped", "unobserved"):
        if getattr(plan, name):
            document[name] = getattr(plan, name)
    if plan.capacity.pfs or plan.capacity.pools:
        document["capacity"] = asdict(plan.capacity)
    return document


def dump_plan(plan: Plan) -> str:
    """The document as text: the same plan gives the same bytes."""
    return to_text(plan_to_json(plan))


def load_plan(data: bytes, path: str) -> Plan:
    """Reads a saved plan. A plan is data that anybody may have written: it can ask for no more than its operations
    take, and declare no more than a state file can. Else `ReconcilerError` 65, with all that is wrong."""
    from pydantic import ValidationError

    try:
        document = read_json(data)
    except ValueError as error:
        raise _bad_plan(path, f"it is not JSON ({error})") from None
    if not isinstance(document, dict) or document.get("format") != PLAN_FORMAT:
        found = document.get("format") if isinstance(document, dict) else type(document).__name__
        raise _bad_plan(path, f'its "format" is {found!r} and not "{PLAN_FORMAT}"')
    for item in [*_items(document, "changes"), *_items(document, "actions")]:
        _unpack(item)
    try:
        plan = as_type(document, Plan)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        problems = [(".".join(map(str, item["loc"])), item["msg"]) for item in found]
    else:
        problems = [*problems_of_desired(plan.desired), *problems_of_actions(plan.actions)]
    if problems:
        raise _bad_plan(path, *(f"at {where}: {text}" for where, text in problems))
    return plan


def _items(document: dict[str, Json], key: str) -> list[dict[str, Json]]:
    items = document.get(key)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _unpack(item: dict[str, Json]) -> None:
    """From the names of the contract to those of the classes above."""
    told = item.pop("disruption", None)
    if isinstance(told, dict):
        item["impact"] = {**told, "disruption": told.get("class", "none")}
        source = item.pop("source", None)
        item["line"] = source.get("line", 0) if isinstance(source, dict) else 0
    elif isinstance(told, str):
        impact = item.get("impact")
        item["impact"] = {**(impact if isinstance(impact, dict) else {}), "disruption": told}


def _bad_plan(path: str, *why: str) -> ReconcilerError:
    """With a line for each reason, up to a number that can still be read."""
    lines = [f"{printable(reason).rstrip('.')}." for reason in why[:_SHOWN]]
    if len(why) > _SHOWN:
        lines.append(f"And {len(why) - _SHOWN} more.")
    told = f" {lines[0]} " if len(lines) == 1 else "\n  ".join(["", *lines]) + "\n"
    return ReconcilerError(
        "This is not a saved plan.",
        f"{path} can't be read as a plan:{told}Make one with: reconciler plan FILE -o PLAN",
        code=ExitCode.INVALID,
    )


def _host(host: HostIdentity) -> dict[str, Json]:
    return {
        "name": host.name,
        "machine_id": host.machine_id,
        "boot_id": host.boot_id,
        "kernel": host.kernel,
    }


def _source(source: Source) -> dict[str, Json]:
    document: dict[str, Json] = {"path": source.path, "sha256": source.sha256}
    if source.git is not None:
        document["git"] = {"commit": source.git.commit, "dirty": source.git.dirty}
    return document


def _impact(impact: Impact) -> dict[str, Json]:
    document: dict[str, Json] = {"class": impact.disruption, "domains": impact.domains}
    if impact.nics:
        document["nics"] = impact.nics
    if impact.host:
        document["host"] = impact.host
    return document


def _change(change: Change) -> dict[str, Json]:
    return {
        "address": change.address,
        "op": change.op,
        "fields": [{"name": f.name, "before": f.before, "after": f.after} for f in change.fields],
        "reason": change.reason,
        "disruption": _impact(change.impact),
        "source": {"line": change.line},
    }


def _step(step: Step) -> dict[str, Json]:
    return {"op": step.op, "address": step.address, "args": step.args}


def _action(action: Action) -> dict[str, Json]:
    undo: dict[str, Json] = {"steps": [_step(step) for step in action.undo.steps]}
    if action.undo.impossible:
        undo = {"impossible": action.undo.impossible}
    impact = _impact(action.impact)
    document: dict[str, Json] = {
        "id": action.id,
        "op": action.op,
        "address": action.address,
        "args": action.args,
        "needs": action.needs,
        "undo": undo,
        "disruption": impact.pop("class"),
    }
    named = {name: value for name, value in impact.items() if value}
    if named:
        document["impact"] = named
    return document


def _diagnostic(diagnostic: Diagnostic) -> dict[str, Json]:
    document: dict[str, Json] = {
        "severity": diagnostic.severity,
        "code": diagnostic.code,
        "summary": diagnostic.summary,
        "detail": diagnostic.detail,
        "address": diagnostic.address,
    }
    if diagnostic.line:
        document["line"] = diagnostic.line
    return document
