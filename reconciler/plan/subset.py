"""Whether a fresh plan does no more than an approved one: reality may have moved towards the goal, but apply
never does more than was approved."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from reconciler.disruption import severity
from reconciler.kinds.action import Action, Json
from reconciler.plan.document import Plan

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Beyond:
    """An action of a fresh plan that goes beyond the approved one."""

    action: Action
    kind: Literal["new", "class", "domains"]
    """It is not in it; it is of a higher class; it touches more guests."""
    was: str = ""
    """The class that was approved."""
    domains: tuple[str, ...] = ()
    """Guests that it didn't touch when it was approved."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A declared field whose value is another one than when the plan was made."""

    address: str
    field: str
    was: Json
    now: Json
    declared: Json


def _key(action: Action) -> Key:
    return action.op, action.address, json.dumps(action.args, sort_keys=True)


def beyond(approved: Plan, fresh: Plan) -> list[Beyond]:
    """What the fresh plan does that the approved one doesn't; empty when it is a subset."""
    saved: dict[Key, list[Action]] = {}
    for action in approved.actions:
        saved.setdefault(_key(action), []).append(action)
    found = []
    for action in fresh.actions:
        same = saved.get(_key(action))
        if same is None:
            found.append(Beyond(action, "new"))
            continue
        worst = max(same, key=lambda item: severity(item.disruption))
        if severity(action.disruption) > severity(worst.disruption):
            found.append(Beyond(action, "class", was=worst.disruption))
        new = sorted(set(action.impact.domains) - {name for item in same for name in item.impact.domains})
        if new:
            found.append(Beyond(action, "domains", domains=tuple(new)))
    return found


def moved(approved: Plan, fresh: Plan) -> list[Moved]:
    """Declared fields that have moved away from the declaration, or to another wrong value, since the plan was made. A
    field that the approved plan doesn't list was as declared then."""
    before = {(c.address, f.name): f.before for c in approved.changes for f in c.fields}
    return [
        Moved(change.address, field.name, was, field.before, field.after)
        for change in fresh.changes
        for field in change.fields
        if (was := before.get((change.address, field.name), field.after)) != field.before
    ]
