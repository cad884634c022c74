"""The twin's time: what is due happens when its clock gets there."""

from __future__ import annotations

import time

from reconciler.host.twin import kernel, libvirt, losses, modules
from reconciler.host.twin.state import Event, Twin

_SETTLED = 120.0
"""Seconds in which everything that happens by itself has happened."""


def advance(twin: Twin, seconds: float) -> None:
    """Lets time pass. By itself it costs nothing; `Twin.pace` makes it last for whoever watches."""
    if twin.pace > 0 and seconds > 0:
        time.sleep(twin.pace * seconds)
    until = twin.clock + seconds
    while due := [event for event in twin.events if event.at <= until]:
        event = min(due, key=lambda item: item.at)
        twin.events.remove(event)
        twin.clock = max(twin.clock, event.at)
        before = losses.troubles(twin)
        _happen(twin, event)
        losses.note(twin, before)
    twin.clock = until


def settle(twin: Twin) -> None:
    """Lets time pass until nothing more happens by itself."""
    until = twin.clock + _SETTLED
    while twin.events and twin.clock < until:
        advance(twin, max(0.0, min(event.at for event in twin.events) - twin.clock))


def _happen(twin: Twin, event: Event) -> None:
    if event.kind == "autoload":
        modules.autoload(twin, event.key)
    elif event.kind == "libvirt":
        libvirt.service(twin, "start")
    elif event.kind in ("unplug", "ask-again", "off"):
        domain = twin.libvirt.domains.get(event.key)
        if domain is not None and domain.running:
            _answer(twin, event)
    elif event.key in twin.pfs:
        _happen_to(twin, event)


def _answer(twin: Twin, event: Event) -> None:
    if event.kind == "off":
        libvirt.stop(twin, event.key)
    elif event.kind == "ask-again":
        asked = twin.guest(event.key).unplugging
        asked[:] = [key for key in asked if key != event.nic]
    else:
        libvirt.unplugged(twin, event.key, event.nic)


def _happen_to(twin: Twin, event: Event) -> None:
    pf = twin.pfs[event.key]
    match event.kind:
        case "netdev":
            modules.netdev_appears(twin, pf, event.index)
        case "name":
            modules.netdev_named(twin, pf, event.index)
        case "carrier":
            kernel.carrier(twin, pf)
        case "vf-ready":
            resetting = twin.cards[pf.id].resetting
            if event.index in resetting:
                resetting.remove(event.index)
