"""Whether a fresh plan does no more than an approved one: reality may have moved towards the goal, but apply
never does more than was approved."""

from __future__ import annotations

import json

from reconciler.disruption import severity
from reconciler.kinds.action import Action
from reconciler.plan.document import Plan

Key = tuple[str, str, str]


def _key(action: Action) -> Key:
    return action.op, action.address, json.dumps(action.args, sort_keys=True)


def beyond(approved: Plan, fresh: Plan) -> list[str]:
    """What the fresh plan does that the approved one doesn't, in sentences; empty when it is a subset."""
    saved: dict[Key, list[Action]] = {}
    for action in approved.actions:
        saved.setdefault(_key(action), []).append(action)
    found = []
    for action in fresh.actions:
        same = saved.get(_key(action))
        told = f"{action.op} of {action.address} ({_args(action)})"
        if same is None:
            found.append(f"{told} is not in the approved plan{_instead(approved, action)}")
            continue
        worst = max(same, key=lambda item: severity(item.disruption))
        if severity(action.disruption) > severity(worst.disruption):
            found.append(f"{told} is now of class {action.disruption}, and was {worst.disruption}")
        new = sorted(set(action.impact.domains) - set(worst.impact.domains))
        if new:
            found.append(f"{told} now affects {', '.join(new)}")
    return found


def _args(action: Action) -> str:
    return ", ".join(f"{key} = {json.dumps(value)}" for key, value in action.args.items())


def _instead(approved: Plan, action: Action) -> str:
    """What the approved plan does at the same place, if anything."""
    for other in approved.actions:
        if (other.op, other.address) == (action.op, action.address):
            return f", which has {_args(other)}"
    return ""


def moved(approved: Plan, fresh: Plan) -> list[str]:
    """Fields whose value before is another one than when the plan was made: no obstacle, but worth a note."""
    before = {(c.address, f.name): f.before for c in approved.changes for f in c.fields}
    return [
        f"{change.address}.{field.name} was {before[change.address, field.name]!r} and is now {field.before!r}"
        for change in fresh.changes
        for field in change.fields
        if (change.address, field.name) in before and before[change.address, field.name] != field.before
    ]
