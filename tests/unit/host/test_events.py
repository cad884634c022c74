"""What is heard of libvirt and of network cards."""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.host.local import events
from reconciler.host.local.events import Cards, LibvirtEvents, LocalEvents, NoEvents, messages
from reconciler.host.open import open_events
from tests.unit.host.fake_libvirt import FakeLibvirt, Thing, libvirtError

NEWLINK, DELLINK, NEWADDR = 16, 17, 20


def link(kind: int, index: int) -> bytes:
    """A link message without attributes."""
    return struct.pack("=LHHLL", 32, kind, 0, 0, 0) + struct.pack("=BxHiII", 0, 1, index, 0, 0)


def tree(folder: Path) -> Path:
    """lo has no device, p1 is a PF, v1 a VF, e1 an ordinary card."""
    for name, index, part in (("lo", 1, ""), ("p1", 2, "sriov_numvfs"), ("v1", 3, "physfn"), ("e1", 4, "vendor")):
        where = folder / "sys/class/net" / name
        (where / "device").mkdir(parents=True)
        (where / "ifindex").write_text(f"{index}\n")
        if part:
            (where / "device" / part).write_text("0\n")
    return folder


# -------------------------------------------------------------------------------------- network cards


def test_only_pfs_and_vfs_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {1: "lo", 2: "p1", 3: "v1", 4: "e1"}
    monkeypatch.setattr(socket, "if_indextoname", lambda index: names[index])
    cards = Cards(tree(tmp_path))
    assert [cards.concern(link(NEWLINK, index)) for index in (1, 2, 3, 4)] == [False, True, True, False]
    assert not cards.concern(link(NEWADDR, 2))
    assert not cards.concern(link(NEWLINK, 2)[:20])
    assert [cards.concern(link(DELLINK, 3)) for _ in range(2)] == [True, False]
    assert not cards.concern(link(DELLINK, 4))


def test_one_datagram_may_have_several_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "if_indextoname", lambda index: {2: "p1", 4: "e1"}[index])
    data = link(NEWLINK, 4) + link(NEWLINK, 2)
    assert [kind for kind, _ in messages(data)] == [NEWLINK, NEWLINK]
    assert Cards(tree(tmp_path)).concern(data)
    assert messages(data[:40]) == messages(data[:32])


def test_an_interface_that_is_gone_by_now_counts_if_it_was_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(index: int) -> str:
        raise OSError(6, "No such device or address")

    monkeypatch.setattr(socket, "if_indextoname", gone)
    cards = Cards(tree(tmp_path))
    assert (cards.concern(link(NEWLINK, 2)), cards.concern(link(NEWLINK, 4))) == (True, False)


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[LocalEvents, socket.socket]]:
    """Without libvirt, and with a socket that plays the kernel's part."""
    monkeypatch.setitem(sys.modules, "libvirt", None)
    monkeypatch.setattr(socket, "if_indextoname", lambda index: {2: "p1", 4: "e1"}[index])
    made = LocalEvents("qemu:///system", tree(tmp_path))
    made._links.close()
    made._links, kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    made._links.setblocking(False)
    yield made, kernel
    kernel.close()
    made.close()


def test_a_card_ends_the_wait_and_any_other_interface_does_not(heard: tuple[LocalEvents, socket.socket]) -> None:
    made, kernel = heard
    kernel.send(link(NEWLINK, 4))
    assert not made.wait(0.05)
    kernel.send(link(NEWLINK, 4))
    kernel.send(link(NEWLINK, 2))
    kernel.send(link(NEWLINK, 2))
    assert made.wait(10)
    assert not made.wait(0)


def test_it_can_be_woken_and_says_what_it_does_not_hear(heard: tuple[LocalEvents, socket.socket]) -> None:
    made, _ = heard
    made.wake()
    made.wake()
    assert made.wait(10)
    assert not made.wait(0)
    assert "Python binding is not installed" in made.trouble


def test_the_kernel_lets_anybody_listen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "libvirt", None)
    made = LocalEvents("qemu:///system", tmp_path)
    assert made._links.getsockname()[1] == 1
    assert not made.wait(0)
    made.close()


def test_on_a_simulated_host_nothing_happens_but_waking() -> None:
    made = open_events("sim:x", "qemu:///system")
    assert isinstance(made, NoEvents)
    assert not made.wait(0.01)
    timer = threading.Timer(0.1, made.wake)
    timer.start()
    assert made.wait(30)
    made.close()
    made.wake()


def test_waking_never_waits() -> None:
    made = NoEvents()
    for _ in range(70000):
        made.wake()
    assert made.wait(0)
    assert not made.wait(0)
    made.close()


# -------------------------------------------------------------------------------------- libvirt


class EventfulLibvirt(FakeLibvirt):
    """With an event loop that does nothing, and connections that can break."""

    VIR_DOMAIN_EVENT_ID_LIFECYCLE = 0
    VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED = 15
    VIR_DOMAIN_EVENT_ID_DEVICE_ADDED = 22
    VIR_NETWORK_EVENT_ID_LIFECYCLE = 0

    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []
        self.callbacks: dict[tuple[str, int], Callable[..., None]] = {}
        self.broken: Callable[..., None] | None = None
        self.let_go: list[str] = []
        self.connection.answers |= {
            "setKeepAlive": libvirtError("this driver can't"),
            "registerCloseCallback": self._on_close,
            "unregisterCloseCallback": lambda: self.let_go.append("close callback"),
            "domainEventRegisterAny": lambda domain, event, call, opaque: self._on("domain", event, call),
            "networkEventRegisterAny": lambda network, event, call, opaque: self._on("network", event, call),
            "domainEventDeregisterAny": lambda number: self.let_go.append(f"domain {number}"),
            "networkEventDeregisterAny": lambda number: self.let_go.append(f"network {number}"),
            "close": lambda: self.let_go.append("connection"),
        }

    def _on(self, kind: str, event: int, call: Callable[..., None]) -> int:
        self.callbacks[kind, event] = call
        return event

    def _on_close(self, call: Callable[..., None], opaque: object) -> None:
        self.broken = call

    def virEventRegisterDefaultImpl(self) -> None:
        self.order.append("loop")

    def virEventRunDefaultImpl(self) -> None:
        time.sleep(0.01)

    def open(self, uri: str, kind: str = "rw") -> Thing:
        self.order.append("connection")
        return super().open(uri, kind)


class Bell:
    """Counts rings, and waits for the n-th."""

    def __init__(self) -> None:
        self.rings = 0
        self._changed = threading.Condition()

    def ring(self) -> None:
        with self._changed:
            self.rings += 1
            self._changed.notify_all()

    def until(self, rings: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.rings >= rings, 10), self.rings


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> EventfulLibvirt:
    made = EventfulLibvirt()
    monkeypatch.setitem(sys.modules, "libvirt", made)
    monkeypatch.setattr(events, "_FIRST_PAUSE", 0.02)
    return made


def test_guests_and_networks_ring(fake: EventfulLibvirt) -> None:
    bell = Bell()
    made = LibvirtEvents("qemu:///system", bell.ring)
    made.start()
    bell.until(1)  # Once connected: what happened before was not heard.
    assert fake.order == ["loop", "connection"]
    assert fake.opened == ["ro"]
    assert set(fake.callbacks) == {("domain", 0), ("domain", 15), ("domain", 22), ("network", 0)}
    fake.callbacks["domain", 22]("connection", "domain", "alias", None)
    fake.callbacks["network", 0]("connection", "network", 0, 0, None)
    bell.until(3)
    made.stop()
    fake.callbacks["domain", 0]("connection", "domain", 2, 0, None)
    assert bell.rings == 3


def test_it_connects_again_when_libvirt_went_away(fake: EventfulLibvirt) -> None:
    bell = Bell()
    made = LibvirtEvents("qemu:///system", bell.ring)
    made.start()
    bell.until(1)
    fake.refuses = libvirtError("Connection refused", 38)
    assert fake.broken is not None
    fake.broken("connection", 2, None)
    bell.until(2)
    _until(lambda: "Connection refused" in made.trouble)
    assert fake.let_go == ["close callback", "domain 0", "domain 22", "domain 15", "network 0", "connection"]
    fake.refuses = None
    bell.until(3)
    assert made.trouble == ""
    made.stop()


def test_a_connection_that_broke_in_silence_is_noticed(fake: EventfulLibvirt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_STILL_THERE", 0.02)
    bell = Bell()
    made = LibvirtEvents("qemu:///system", bell.ring)
    made.start()
    bell.until(1)
    fake.connection.answers["getLibVersion"] = libvirtError("client socket is closed")
    _until(lambda: len(fake.opened) > 1)
    made.stop()


def test_between_two_tries_ever_more_time_passes(fake: EventfulLibvirt, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    made = LibvirtEvents("qemu:///system", lambda: None)
    fake.refuses = libvirtError("Connection refused", 38)

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        if len(pauses) == 15:
            made._stopped.set()
        return False

    monkeypatch.setattr(made._stopped, "wait", wait)
    made._keep(fake)
    assert pauses[:4] == [0.02, 0.04, 0.08, 0.16]
    assert max(pauses) == 60.0


def _until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        os.sched_yield()
