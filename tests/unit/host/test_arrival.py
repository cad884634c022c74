"""Waiting for cards and for libvirt while the machine boots."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.host.local import arrival
from reconciler.host.local.arrival import wait_for_cards, wait_for_libvirt
from reconciler.host.local.reader import LocalReader
from reconciler.host.model import Pf, Snapshot
from tests.hosts import host, igb
from tests.unit.host.fake_libvirt import FakeLibvirt, libvirtError


class Booting(LocalReader):
    """A host whose card comes at the third look, and on which time passes with each."""

    def __init__(self, root: Path, card: Pf | None, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__("files", root)
        self.card, self.looks, self.now = card, 0, 0.0
        monkeypatch.setattr(arrival.time, "monotonic", lambda: self.now)

    def wait_for_change(self, seconds: float) -> None:
        self.now += seconds

    def observe_pfs(self) -> Snapshot:
        self.looks += 1
        self.now += 0.4
        return host(self.card) if self.card is not None and self.looks >= 3 else host()


def there(snapshot: Snapshot) -> bool:
    return bool(snapshot.pfs)


def test_it_goes_on_as_soon_as_the_card_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    booting = Booting(tmp_path, igb(1), monkeypatch)
    wait_for_cards(booting, there)
    assert booting.looks == 3


def test_a_card_that_does_not_come_is_waited_for_as_long_as_udev_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    booting = Booting(tmp_path, None, monkeypatch)
    wait_for_cards(booting, there)
    assert arrival.QUIET <= booting.now < arrival.QUIET + 2

    (tmp_path / "run/udev").mkdir(parents=True)
    (tmp_path / "run/udev/queue").touch()
    busy = Booting(tmp_path, None, monkeypatch)
    wait_for_cards(busy, there)
    assert arrival.CARDS_AT_MOST <= busy.now < arrival.CARDS_AT_MOST + 2


def test_a_card_is_there_once_udev_has_given_it_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run/udev/data").mkdir(parents=True)
    for name in ("control", "queue"):
        (tmp_path / "run/udev" / name).touch()

    class Naming(Booting):
        def wait_for_change(self, seconds: float) -> None:
            super().wait_for_change(seconds)
            if self.looks == 7:
                (tmp_path / "run/udev/data/n1").touch()

    naming = Naming(tmp_path, igb(1), monkeypatch)
    wait_for_cards(naming, there)
    assert naming.looks == 8


def test_libvirt_that_starts_its_guests_is_waited_for(libvirt: FakeLibvirt, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(arrival.time, "sleep", slept.append)
    answers = iter([arrival.Unavailable("late", late=True), arrival.Unavailable("late", late=True)])

    def ask(connection: object, work: object, seconds: float) -> int:
        for error in answers:
            raise error
        return 1

    monkeypatch.setattr(arrival.Connection, "ask", ask)
    assert wait_for_libvirt("qemu:///system", 600) == ""
    assert len(slept) == 2


@pytest.mark.parametrize(
    ("error", "most"),
    [
        (arrival.Unavailable("no rights", denied=True), 0),
        (arrival.Unavailable("no socket"), 22),
        (libvirtError("broken"), 22),
        (arrival.Unavailable("late", late=True), 602),
    ],
)
def test_libvirt_is_not_waited_for_in_vain(error: Exception, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(arrival.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(arrival.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))

    def ask(connection: object, work: object, seconds: float) -> int:
        raise error

    monkeypatch.setattr(arrival.Connection, "ask", ask)
    assert wait_for_libvirt("qemu:///system", 600)
    assert max(0, most - 4) <= now[0] <= most
