"""A plan that is to be confirmed, in two halves: what is done now and is gone after a power cycle, and what would
outlast one and so is written by the confirmation alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from reconciler.kinds.action import Action, Step, Undo

_LASTING = frozenset(
    {
        "kernel.set_cmdline",
        "modules.rebuild_initramfs",
        "modules.set_load",
        "pf.set_host_network",
        "pool.set_autostart",
        "pool.undefine",
        "nic.update",
        "domain.set_root_ports",
    }
)
"""Operations that only write what outlasts a reboot."""
_NOW_OR_AT_BOOT = frozenset({"service.set", "hugepages.set"})
"""Operations that do one of the two."""
_BOTH = frozenset({"nic.attach", "nic.detach", "nic.attach_standby", "nic.detach_standby", "nic.move_standby"})
"""Operations with a running half (``live``) and a lasting half (``config``)."""


@dataclass(slots=True)
class Halves:
    """The actions of a plan, divided."""

    now: list[Action] = field(default_factory=list)
    later: list[Action] = field(default_factory=list)


def halves_of(actions: Sequence[Action]) -> Halves:
    """Divides a plan. Pools are made without a lasting definition now and defined later, the blacklist is put where it
    is gone after a reboot, and guests' NICs are attached to the running guest alone."""
    defined = {action.args["pool"]: action for action in actions if action.op == "pool.define"}
    halves = Halves()
    for action in actions:
        if action.op in _LASTING or (action.op in _NOW_OR_AT_BOOT and "boot" in action.args):
            halves.later.append(action)
        elif action.op in _BOTH:
            _divide(halves, action)
        elif action.op == "modules.set_blacklist":
            halves.now.append(_until_reboot(action))
            halves.later += [action, _no_longer_until_reboot(action)]
        elif action.op == "pool.define":
            halves.later.append(action)
        elif action.op == "pool.start" and action.args["pool"] in defined:
            halves.now.append(_create(action, defined[action.args["pool"]]))
        else:
            halves.now.append(action)
    _keep_needs(halves.now)
    _keep_needs(halves.later)
    return halves


def without_way_back(actions: Sequence[Action]) -> list[str]:
    """The actions of a plan that can't be taken back, and why: nothing with such a step can wait for a confirmation."""
    return [f"{a.op} of {a.address}: {a.undo.impossible}" for a in actions if a.undo.impossible]


def _divide(halves: Halves, action: Action) -> None:
    if action.args["live"]:
        halves.now.append(_only(action, live=True))
    if action.args["config"]:
        halves.later.append(_only(action, live=False))


def _only(action: Action, *, live: bool) -> Action:
    """One half of an action on a NIC, and of its undo."""
    which = {"live": live, "config": not live}
    steps = [
        replace(step, args={**step.args, **which}) if step.op in _BOTH else step
        for step in action.undo.steps
        if step.op in _BOTH or live
    ]
    return replace(action, args={**action.args, **which}, undo=replace(action.undo, steps=steps))


def _until_reboot(action: Action) -> Action:
    undo = [Step("modules.set_blacklist", action.address, {"modules": None, "until_reboot": True})]
    return replace(action, args={**action.args, "until_reboot": True}, undo=Undo(undo))


def _no_longer_until_reboot(action: Action) -> Action:
    args = {"modules": None, "until_reboot": True}
    return Action(f"{action.id} (until reboot)", action.op, action.address, args, [action.id])


def _create(start: Action, define: Action) -> Action:
    """A network that runs and has no lasting definition of its own."""
    needs = [*define.needs, *(need for need in start.needs if need != define.id)]
    undo = Undo([Step("pool.stop", start.address, {"pool": start.args["pool"]})])
    return replace(start, op="pool.create", args=dict(define.args), needs=needs, undo=undo)


def _keep_needs(actions: list[Action]) -> None:
    """An action needs what is in its own half; the other half is done when it begins, or comes later."""
    here = {action.id for action in actions}
    for number, action in enumerate(actions):
        actions[number] = replace(action, needs=[need for need in action.needs if need in here])
