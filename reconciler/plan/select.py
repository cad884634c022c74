"""A plan cut down: to some targets with what they depend on, or to what has no error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.kinds.action import Action
from reconciler.plan.document import Plan


def within(address: str, parent: str) -> bool:
    """Whether an address is the other one, or inside it (``pf.int.vf.3`` is inside ``pf.int``)."""
    return address == parent or address.startswith(f"{parent}.")


def select_targets(plan: Plan, targets: Sequence[str]) -> None:
    """Keeps the actions of these addresses and, through ``needs``, all that these depend on."""
    known = {change.address for change in plan.changes} | {action.address for action in plan.actions}
    known |= {d.address for d in plan.diagnostics} | set(plan.desired.get("lines", {}))
    for target in targets:
        if not any(within(address, target) for address in known):
            raise ReconcilerError(
                "No such target.",
                f"The state file declares nothing at {target}. An address is the path in the file, like pf.int.vf.3.",
                code=ExitCode.USAGE,
            )
    chosen = {a.id for a in plan.actions if any(within(a.address, target) for target in targets)}
    chosen = _with_needs(plan.actions, chosen)
    plan.actions = [action for action in plan.actions if action.id in chosen]
    _keep_changes(plan, targets)
    addresses = {action.address for action in plan.actions} | set(targets)
    plan.diagnostics = [d for d in plan.diagnostics if not d.address or any(_related(d.address, a) for a in addresses)]
    plan.unobserved = [u for u in plan.unobserved if any(_related(u, a) for a in addresses)]
    plan.targets = list(targets)


def _related(one: str, other: str) -> bool:
    return within(one, other) or within(other, one)


def _with_needs(actions: list[Action], chosen: set[str]) -> set[str]:
    chosen = set(chosen)
    for action in reversed(actions):
        if action.id in chosen:
            chosen.update(action.needs)
    return chosen


def _keep_changes(plan: Plan, targets: Iterable[str]) -> None:
    acted = {action.address for action in plan.actions}
    plan.changes = [
        change
        for change in plan.changes
        if change.address in acted or any(within(change.address, target) for target in targets)
    ]


def drop_errors(plan: Plan, left_out: dict[str, str]) -> None:
    """``--partial``: drops what has an error and all that depends on it. The errors become warnings, since the rest is
    no longer blocked by them."""
    bad = {d.address for d in plan.diagnostics if d.severity == "error" and d.address}
    bad |= {address for address, cause in left_out.items() if cause in bad}
    dropped_ids = {a.id for a in plan.actions if any(within(a.address, item) for item in bad)}
    for action in plan.actions:
        if not dropped_ids.isdisjoint(action.needs):
            dropped_ids.add(action.id)
    dropped = bad | {action.address for action in plan.actions if action.id in dropped_ids}
    plan.actions = [action for action in plan.actions if action.id not in dropped_ids]
    acted = {action.address for action in plan.actions}
    plan.changes = [
        c for c in plan.changes if c.address in acted or not any(within(c.address, item) for item in dropped)
    ]
    plan.diagnostics = [
        replace(d, severity="warning") if d.severity == "error" and d.address else d for d in plan.diagnostics
    ]
    plan.dropped = sorted(dropped)
