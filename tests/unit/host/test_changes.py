"""Waiting for a change of cards or interfaces."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.host.local import changes
from reconciler.host.local.changes import Changes
from reconciler.host.local.reader import LocalReader
from reconciler.host.model import Snapshot
from reconciler.host.protocol import Scope
from tests.unit.host.test_events import NEWLINK, link, tree

BIND = b"bind@/devices/pci0000:00/0000:01:10.0\0ACTION=bind\0DEVPATH=/devices/pci0000:00/0000:01:10.0\0SUBSYSTEM=pci\0"
UDEV = b"libudev\0\xfe\xed\xca\xfe(\0\0\0(\0\0\0ACTION=add\0DEVPATH=/devices/pci0/net/v1\0SUBSYSTEM=net\0INTERFACE=v1\0"
VETH = b"add@/devices/virtual/net/veth1\0ACTION=add\0DEVPATH=/devices/virtual/net/veth1\0SUBSYSTEM=net\0"
DISK = b"change@/devices/vda\0ACTION=change\0DEVPATH=/devices/vda\0SUBSYSTEM=block\0"
LONG = 30.0
"""Seconds that no test waits for."""


class Sources:
    """Stand in for both sockets."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        pairs = [socket.socketpair(socket.AF_UNIX, kind) for _ in range(2)]
        (self.devices, devices), (self.links, links) = pairs
        monkeypatch.setattr(changes, "_listen_to_devices", lambda: devices)
        monkeypatch.setattr(changes, "listen_to_links", lambda: links)
        monkeypatch.setattr(socket, "if_indextoname", lambda index: {2: "p1", 4: "e1"}[index])
        self.heard = Changes(tree(folder))

    def close(self) -> None:
        self.devices.close()
        self.links.close()


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sources]:
    made = Sources(tmp_path, monkeypatch)
    yield made
    made.close()


def waited(heard: Changes, seconds: float) -> float:
    begun = time.monotonic()
    heard.wait(seconds)
    return time.monotonic() - begun


@pytest.mark.parametrize("told", [BIND, UDEV])
def test_an_event_of_a_card_ends_a_wait(sources: Sources, told: bytes) -> None:
    timer = threading.Timer(0.1, lambda: sources.devices.send(told))
    timer.start()
    assert 0.05 < waited(sources.heard, LONG) < LONG / 2
    timer.join()


def test_so_does_one_of_its_interface(sources: Sources) -> None:
    sources.links.send(link(NEWLINK, 2))
    assert waited(sources.heard, LONG) < LONG / 2


def test_what_is_told_between_the_reading_and_the_wait_is_not_missed(sources: Sources) -> None:
    sources.heard.forget()
    sources.devices.send(BIND)
    assert waited(sources.heard, LONG) < LONG / 2
    assert waited(sources.heard, 0.1) >= 0.1


def test_what_was_told_before_the_reading_is_in_it(sources: Sources) -> None:
    for source, data in ((sources.devices, BIND), (sources.links, link(NEWLINK, 2))):
        source.send(data)
    sources.heard.forget()
    assert waited(sources.heard, 0.1) >= 0.1


def test_events_of_other_things_end_no_wait(sources: Sources) -> None:
    for data in (DISK, VETH):
        sources.devices.send(data)
    sources.links.send(link(NEWLINK, 4))
    assert waited(sources.heard, 0.1) >= 0.1


def test_a_storm_is_no_busy_loop(sources: Sources) -> None:
    """Of events that are none of ours, and of those that are."""
    ended = threading.Event()

    def storm() -> None:
        while not ended.is_set():
            for data in (VETH, BIND):
                try:
                    sources.devices.send(data)
                except BlockingIOError:
                    time.sleep(0.001)

    thread = threading.Thread(target=storm)
    thread.start()
    try:
        begun, looks = time.monotonic(), 0
        while time.monotonic() < begun + 0.5:
            sources.heard.forget()
            sources.heard.wait(LONG)
            looks += 1
    finally:
        ended.set()
        thread.join()
    assert 0 < looks <= 0.5 / changes._LEAST + 1


def test_a_wait_lasts_as_long_as_the_reading_before_it(sources: Sources) -> None:
    sources.heard.forget()
    time.sleep(1.0)
    sources.devices.send(BIND)
    assert 1.0 <= waited(sources.heard, LONG) < LONG / 2
    assert waited(sources.heard, 0.05) < 1.0, "never longer than it may"


def test_lost_events_are_a_change(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel says ENOBUFS, and nobody knows what was lost."""

    class Full:
        def __init__(self, inner: socket.socket) -> None:
            self.inner, self.told = inner, False

        def fileno(self) -> int:
            return self.inner.fileno()

        def recv(self, size: int) -> bytes:
            if not self.told:
                self.told = True
                raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
            return self.inner.recv(size)

        def close(self) -> None:
            self.inner.close()

    (devices, concern), links = sources.heard._sources
    sources.heard._sources[:] = [(Full(devices), concern), links]  # type: ignore[list-item]
    sources.links.send(link(NEWLINK, 4))
    assert waited(sources.heard, LONG) < LONG / 2


def test_where_nothing_can_be_heard_a_wait_lasts_as_long_as_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> socket.socket:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(socket, "socket", refused)
    heard = Changes(tmp_path)
    heard.forget()
    assert 0.1 <= waited(heard, 0.1) < LONG / 2
    assert waited(heard, -1.0) < 0.1


def test_one_source_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def refused() -> socket.socket:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(changes, "_listen_to_devices", refused)
    monkeypatch.setattr(changes, "listen_to_links", lambda: other)
    monkeypatch.setattr(socket, "if_indextoname", lambda index: "p1")
    heard = Changes(tree(tmp_path))
    one.send(link(NEWLINK, 2))
    assert waited(heard, LONG) < LONG / 2
    one.close()


def test_the_kernel_lets_anybody_listen() -> None:
    """Its own sockets, as they are: they are there, and closed with whoever has them."""
    heard = Changes()
    numbers = [source.fileno() for source, _ in heard._sources]
    assert len(numbers) == 2
    heard.forget()
    heard.wait(0.01)
    del heard
    for number in numbers:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)


def test_a_reader_hears_what_happens_from_the_beginning_of_a_reading_on(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = LocalReader("files", tmp_path)
    reader._changes = sources.heard

    def read(*_: object) -> None:
        sources.devices.send(BIND)

    monkeypatch.setattr(LocalReader, "_refresh_pfs", read)
    sources.devices.send(BIND)
    reader.refresh(Snapshot(), Scope("pf", "pci/0000:01:00.0"))
    assert waited(reader._changes, LONG) < LONG / 2
    monkeypatch.setattr(LocalReader, "_refresh_pfs", lambda *_: None)
    reader.refresh(Snapshot(), Scope("pf", "pci/0000:01:00.0"))
    begun = time.monotonic()
    reader.wait_for_change(0.1)
    assert time.monotonic() - begun >= 0.1
