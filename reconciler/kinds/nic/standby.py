"""Steps on the virtio NIC that stands in for a guest's VF while the guest is migrated."""

from __future__ import annotations

from reconciler.host.model import Nic
from reconciler.kinds.action import Impact, Step
from reconciler.kinds.builder import Builder
from reconciler.kinds.nic.intent import NicIntent
from reconciler.kinds.nic.pair import Side, goes_too, is_strange, of_another_mac
from reconciler.kinds.operation import Args


def release(builder: Builder, intent: NicIntent) -> None:
    """Takes it off after its VF, which is declared absent."""
    live, config = goes_too(builder.host, intent)
    if live is not None or config is not None:
        _detach(builder, intent, (live, config))


def plan(builder: Builder, intent: NicIntent) -> None:
    """Puts it right, before its VF is attached or defined, which names it."""
    live, config = of_another_mac(builder.observed, intent)
    if live is not None or config is not None:
        _detach(builder, intent, (live, config))
    if intent.bridge is None:
        _attach_again(builder, intent, (live, config))
    elif intent.mac is not None and not any(nic is not None and is_strange(nic) for nic in _found(builder, intent)):
        _attach(builder, intent, intent.bridge)
        _move(builder, intent)


def _found(builder: Builder, intent: NicIntent) -> Side:
    return intent.find_standby(builder.host)


def _attach_again(builder: Builder, intent: NicIntent, taken: Side) -> None:
    """Where the file doesn't name a bridge, each where it was."""
    for number, nic in enumerate(taken):
        if nic is not None and nic.bridge is not None:
            same = taken[1] is not None and taken[1].bridge == nic.bridge
            _attach(builder, intent, nic.bridge, live=number == 0, config=number == 1 or same)


def _attach(builder: Builder, intent: NicIntent, bridge: str, *, live: bool = True, config: bool = True) -> None:
    """``live``, ``config``: to which XMLs, where it isn't there already."""
    domain, found = intent.on(builder.host), _found(builder, intent)
    live, config = live and domain.running and found[0] is None, config and domain.persistent and found[1] is None
    if not live and not config:
        return
    builder.add(
        "nic.attach_standby",
        intent.address,
        {
            "domain": domain.name,
            "standby": {"alias": intent.standby, "mac": intent.mac, "bridge": bridge},
            "live": live,
            "config": config,
        },
        needs=[f"detached {intent.address}", f"no standby {intent.address}"],
        makes=f"standby {intent.address}",
        undo=[
            Step(
                "nic.detach_standby",
                intent.address,
                {"domain": domain.name, "alias": intent.standby, "live": live, "config": config},
            )
        ],
    )


def _detach(builder: Builder, intent: NicIntent, sides: Side) -> None:
    """One step for both XMLs, unless they have to be given back different ones."""
    live, config = sides
    if live is not None and config is not None and _spec(intent, live) != _spec(intent, config):
        _detach(builder, intent, (live, None))
        _detach(builder, intent, (None, config))
        return
    device, name = live or config, intent.domain.name
    if device is None:
        return
    which = {"live": live is not None, "config": config is not None}
    told = f"{name}: {intent.standby}, which stands in for {intent.alias}"
    builder.add(
        "nic.detach_standby",
        intent.address,
        {"domain": name, "alias": intent.standby, **which},
        needs=[f"detached {intent.address}"],
        makes=f"no standby {intent.address}",
        impact=Impact("guest", [name], [told]) if live is not None else Impact(),
        undo=[
            Step(
                "nic.attach_standby",
                intent.address,
                {"domain": name, "standby": _spec(intent, device), **which},
            )
        ],
    )


def _spec(intent: NicIntent, device: Nic) -> Args:
    return {"alias": intent.standby, "mac": device.mac, "bridge": device.bridge}


def _move(builder: Builder, intent: NicIntent) -> None:
    """To another bridge, in place: the guest keeps both NICs. One that has no VF at that moment, or can't use the pair,
    lives on this one, and its link is gone until the other bridge forwards: hence class ``guest``."""
    name, told = intent.domain.name, f"{intent.domain.name}: {intent.standby}, which stands in for {intent.alias}"
    found = intent.find_standby(builder.host)
    wrong = [nic if nic is not None and nic.bridge != intent.bridge else None for nic in found]
    for number, nic in enumerate(wrong):
        if nic is None or (number == 1 and wrong[0] is not None and wrong[0].bridge == nic.bridge):
            continue  # Both at once, if both go back to the same.
        which = {"live": number == 0, "config": number == 1 or (wrong[1] is not None and wrong[1].bridge == nic.bridge)}
        args: Args = {"domain": name, "alias": intent.standby, **which}
        builder.add(
            "nic.move_standby",
            intent.address,
            {**args, "bridge": intent.bridge},
            makes=f"standby {intent.address}",
            impact=Impact("guest", [name], [told]) if which["live"] else Impact(),
            undo=[Step("nic.move_standby", intent.address, {**args, "bridge": nic.bridge})],
        )
