"""What happens on this machine: guests and networks by libvirt's events, network cards by rtnetlink's.

Nothing is taken from an event but that there was one: whoever hears it looks at the host.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from reconciler.host.local.libvirt_errors import message

_RTMGRP_LINK = 1
"""include/uapi/linux/rtnetlink.h: RTNLGRP_LINK as a bit."""
_NEWLINK, _DELLINK = 16, 17
_HEADER = struct.Struct("=LHHLL")
_IFINFO = struct.Struct("=BxHiII")
_BUFFER = 1 << 16
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two tries to reach libvirt, doubled each time."""
_STILL_THERE = 30.0
"""Seconds after which libvirt's connection is looked at, in case nobody told that it broke."""


class NoEvents:
    """Nothing ever happens; a wait can be ended all the same."""

    trouble = ""

    def __init__(self) -> None:
        self._inner, self._outer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def wake(self) -> None:
        """One byte in a pipe, which takes no lock: a signal may come at any moment."""
        with contextlib.suppress(OSError):  # Full of such bytes already, or closed.
            os.write(self._outer, b"x")

    def wait(self, seconds: float) -> bool:
        """Waits for a byte."""
        ready, _, _ = select.select([self._inner], [], [], max(0.0, seconds))
        return bool(ready) and self._rung()

    def _rung(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._inner, _BUFFER):
                pass
        return True

    def close(self) -> None:
        os.close(self._inner)
        os.close(self._outer)


class LocalEvents(NoEvents):
    """Both sources. To be opened before any connection to libvirt: its event loop serves only what comes after it."""

    def __init__(self, libvirt_uri: str, root: Path = Path("/")) -> None:
        super().__init__()
        self._cards = Cards(root)
        self._links = listen_to_links()
        self._libvirt = LibvirtEvents(libvirt_uri, self.wake)
        self._libvirt.start()

    @property
    def trouble(self) -> str:  # type: ignore[override]
        """Why libvirt's events are not heard."""
        return self._libvirt.trouble

    def wait(self, seconds: float) -> bool:
        """Waits for both. What happens to an interface of no such card is no event."""
        until = time.monotonic() + seconds
        sources: list[int] = [self._inner, self._links.fileno()]
        while True:
            ready, _, _ = select.select(sources, [], [], max(0.0, until - time.monotonic()))
            changed = self._links.fileno() in ready and drain(self._links, self._cards.concern)
            if (self._inner in ready and self._rung()) or changed:
                return True
            if time.monotonic() >= until:
                return False

    def close(self) -> None:
        """The thread of libvirt's events is left to end by itself."""
        self._libvirt.stop()
        self._links.close()
        super().close()


def listen(protocol: int, groups: int) -> socket.socket:
    """A netlink socket that gets what is sent to these groups, and never blocks. Raises OSError."""
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    opened = socket.socket(socket.AF_NETLINK, kind, protocol)
    try:
        opened.bind((0, groups))
    except OSError:
        opened.close()
        raise
    return opened


def listen_to_links() -> socket.socket:
    """Hears of every change of an interface in this network namespace. Raises OSError."""
    return listen(socket.NETLINK_ROUTE, _RTMGRP_LINK)


def drain(source: socket.socket, concern: Callable[[bytes], bool]) -> bool:
    """Reads all there is, even if the first says it all; whether any of it is of concern."""
    changed = False
    while True:
        try:
            data = source.recv(_BUFFER)
        except BlockingIOError:
            return changed
        except OSError:  # ENOBUFS: some were lost, and nobody knows which.
            changed = True
            continue
        changed = concern(data) or changed


class Cards:
    """The interfaces of PFs and VFs: a host with many containers has many others that come and go."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._net = root / "sys/class/net"
        self._known: set[int] = set()
        with contextlib.suppress(OSError):
            for path in self._net.iterdir():
                with contextlib.suppress(OSError, ValueError):
                    if self._is_card(path.name):
                        self._known.add(int((path / "ifindex").read_text()))

    def concern(self, data: bytes) -> bool:
        """Whether one of the link messages in a datagram is about one of them."""
        found = [self._concerns(kind, body) for kind, body in messages(data)]  # All, since each is kept in mind.
        return any(found)

    def _concerns(self, kind: int, body: bytes) -> bool:
        if kind not in (_NEWLINK, _DELLINK) or len(body) < _IFINFO.size:
            return False
        index = int(_IFINFO.unpack_from(body)[2])
        if kind == _DELLINK:
            known = index in self._known
            self._known.discard(index)
            return known
        try:
            is_card = self._is_card(socket.if_indextoname(index))
        except OSError:
            return index in self._known  # It is gone again.
        if is_card:
            self._known.add(index)
        return is_card

    def _is_card(self, name: str) -> bool:
        """A PF has ``sriov_numvfs`` (drivers/pci/pci-sysfs.c; netdevsim has its own), a VF ``physfn``."""
        device = self._net / name / "device"
        return (device / "sriov_numvfs").exists() or (device / "physfn").exists()


def messages(data: bytes) -> list[tuple[int, bytes]]:
    """Type and body of the netlink messages in a datagram; what is cut short is left out."""
    found = []
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or offset + length > len(data):
            break
        found.append((kind, data[offset + _HEADER.size : offset + length]))
        offset += (length + 3) & ~3
    return found


class LibvirtEvents:
    """Rings when a guest or a network starts or stops, and when a guest gets a device or loses one. Its connection is
    read-only, and made again when libvirt was away."""

    def __init__(self, uri: str, ring: Callable[[], None]) -> None:
        self.trouble = ""
        self._uri = uri
        self._ring = ring
        self._registered: list[Callable[[], object]] = []
        """Takes back what was registered on the connection."""
        self._lost = threading.Event()
        self._stopped = threading.Event()

    def start(self) -> None:
        """From now on. Without the binding nothing is heard, which `trouble` says."""
        try:
            import libvirt
        except ImportError:
            self.trouble = "libvirt's events are not heard: its Python binding is not installed."
            return
        libvirt.registerErrorHandler(_silent, None)
        libvirt.virEventRegisterDefaultImpl()
        threading.Thread(target=self._loop, args=(libvirt,), name="libvirt events", daemon=True).start()
        threading.Thread(target=self._keep, args=(libvirt,), name="libvirt connection", daemon=True).start()

    def stop(self) -> None:
        """Rings no more."""
        self._stopped.set()
        self._lost.set()

    def _loop(self, libvirt: Any) -> None:
        while not self._stopped.is_set():
            try:
                libvirt.virEventRunDefaultImpl()
            except libvirt.libvirtError:
                self._stopped.wait(_FIRST_PAUSE)

    def _keep(self, libvirt: Any) -> None:
        """Connects, waits until the connection breaks, connects again."""
        pause = _FIRST_PAUSE
        while not self._stopped.is_set():
            try:
                connection = self._connect(libvirt)
            except libvirt.libvirtError as error:
                self.trouble = f"libvirt's events are not heard: {message(error)}."
                self._stopped.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            pause, self.trouble = _FIRST_PAUSE, ""
            self._rung()  # Whatever happened while nobody listened.
            while not self._lost.wait(_STILL_THERE) and _is_alive(libvirt, connection):
                pass
            for let_go in (*self._registered, connection.close):  # libvirt keeps a connection that is listened to.
                with contextlib.suppress(libvirt.libvirtError):
                    let_go()
            self._rung()

    def _connect(self, libvirt: Any) -> Any:
        self._lost.clear()
        connection = libvirt.openReadOnly(self._uri)
        with contextlib.suppress(libvirt.libvirtError):  # Not every driver can; then a broken one is noticed by asking.
            connection.setKeepAlive(5, 3)
        connection.registerCloseCallback(lambda *_: self._lost.set(), None)
        self._registered = [connection.unregisterCloseCallback]
        for event in (
            libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE,
            libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED,
            libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
        ):
            number = connection.domainEventRegisterAny(None, event, self._rung, None)
            self._registered.append(partial(connection.domainEventDeregisterAny, number))
        event = libvirt.VIR_NETWORK_EVENT_ID_LIFECYCLE
        number = connection.networkEventRegisterAny(None, event, self._rung, None)
        self._registered.append(partial(connection.networkEventDeregisterAny, number))
        return connection

    def _rung(self, *_: object) -> None:
        if not self._stopped.is_set():
            self._ring()


def _is_alive(libvirt: Any, connection: Any) -> bool:
    """Asked something, since `isAlive` alone doesn't notice that the daemon was restarted."""
    try:
        connection.getLibVersion()
    except libvirt.libvirtError:
        return False
    return True


def _silent(*_: object) -> None:
    """Instead of libvirt's own handler, which prints each error on stderr before it is raised."""
