"""That something has changed on this machine: uevents of devices (the kernel's own, and udev's, which come when it is
done with one) and rtnetlink's messages of interfaces.

Nothing is taken from an event but that there was one: whoever waits looks again. Much is never announced (an attribute
in sysfs, what a VF is set to, an open VFIO group), so nobody waits for an event alone.
"""

from __future__ import annotations

import select
import socket
import time
import weakref
from collections.abc import Callable
from pathlib import Path

from reconciler.host.local.events import Cards, drain, listen, listen_to_links

_KOBJECT_UEVENT = 15
"""include/uapi/linux/netlink.h: Python's socket doesn't know it."""
_KERNEL, _UDEV = 1, 2
"""Its groups (lib/kobject_uevent.c; systemd, src/libsystemd/sd-device/device-monitor.c)."""
_SUBSYSTEMS = (b"\0SUBSYSTEM=net\0", b"\0SUBSYSTEM=pci\0")
_VIRTUAL = b"\0DEVPATH=/devices/virtual/"
_LEAST = 0.02
"""Seconds from one look at the events, or at the host, to the next, however much happens."""

Heard = tuple[socket.socket, Callable[[bytes], bool]]
"""Where events come from, and whether one is about a card."""


class Changes:
    """Listens from when it is made on. What can't be listened to (in a sandbox) is not heard: a wait lasts as long as
    it may then."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._since = time.monotonic()
        self._sources: list[Heard] = []
        for opened, concern in ((_listen_to_devices, _is_of_a_card), (listen_to_links, Cards(root).concern)):
            try:
                self._sources.append((opened(), concern))
            except OSError:
                continue
        weakref.finalize(self, _close, self._sources)

    def forget(self) -> None:
        """A reading begins: what was told until now is in it."""
        self._since = time.monotonic()
        for source, _ in self._sources:
            drain(source, lambda data: False)

    def wait(self, seconds: float) -> None:
        """Returns after so many seconds, or earlier when something has changed since the reading began; but not before
        it has waited for as long as that reading took, so that a storm of events leaves the host half of the time."""
        begun = time.monotonic()
        until = begun + max(0.0, seconds)
        least = min(until, begun + max(_LEAST, begun - self._since))
        while not self._heard(until):
            if time.monotonic() >= until:
                return
            time.sleep(min(_LEAST, max(0.0, until - time.monotonic())))
        time.sleep(max(0.0, least - time.monotonic()))

    def _heard(self, until: float) -> bool:
        """Waits for the next events; whether one of them is about a card."""
        poll = select.poll()  # select.select takes no descriptor above 1023.
        for source, _ in self._sources:
            poll.register(source, select.POLLIN)
        poll.poll(max(0.0, until - time.monotonic()) * 1000)
        found = [drain(source, concern) for source, concern in self._sources]  # All, so that none is heard twice.
        return any(found)


def _listen_to_devices() -> socket.socket:
    return listen(_KOBJECT_UEVENT, _KERNEL | _UDEV)


def _is_of_a_card(data: bytes) -> bool:
    """The kernel's message and udev's both have properties with a zero byte after each. Interfaces that are no card's
    (of containers, bridges) may come and go in thousands."""
    return any(part in data for part in _SUBSYSTEMS) and _VIRTUAL not in data


def _close(sources: list[Heard]) -> None:
    for source, _ in sources:
        source.close()
