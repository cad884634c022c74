"""A guest that moves from one simulated host to another, with everything that can go wrong at every order on both
sides: it is never on neither, in the end on exactly one, and whole there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.moves import MOVE, NICS, Point, begin, command, db1, judge, told, tried, watch, where
from tests.faults.world import Disk

KINDS = [
    "error",
    "hangs",
    "killed",
    "SIGTERM",
    "systemctl stop libvirtd",
    "systemctl restart libvirtd",
    "virsh start db1",
]
ORDERS = {"A": 2, "B": 2}
"""To take the NICs out and to undefine; to define and to set autostart."""
POINTS = [
    Point(side, number, kind, after)
    for side, orders in ORDERS.items()
    for number in range(1, orders + 1)
    for kind in KINDS
    for after in (False, True)
]
SECOND = [
    (first, Point(side, number, kind, after))
    for first in (Point("B", 1, "error", after=True), Point("A", 2, "error"), Point("B", 1, "hangs"))
    for side, number in (("A", 2), ("A", 3), ("B", 2))
    for kind in ("error", "hangs", "killed", "systemctl stop libvirtd", "virsh start db1")
    for after in (False, True)
]
"""On the way back, too."""


@pytest.fixture(scope="module")
def nowhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("made")


@pytest.fixture(autouse=True)
def _watched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    watch(monkeypatch, tmp_path)


def test_without_a_fault_it_moves(nowhere: Path) -> None:
    begin(nowhere)
    before = db1("A")
    assert before is not None
    assert tried((), before) == []
    assert where() == "B"


def test_whatever_goes_wrong_it_is_on_one_side(nowhere: Path) -> None:
    lost = {}
    for point in POINTS:
        begin(nowhere)
        before = db1("A")
        assert before is not None
        wrong = tried((point,), before)
        if wrong:
            lost[str(point)] = wrong
    assert not lost, told(lost)


def test_also_when_the_way_back_goes_wrong(nowhere: Path) -> None:
    lost = {}
    for points in SECOND:
        begin(nowhere)
        before = db1("A")
        assert before is not None
        wrong = tried(points, before)
        if wrong:
            lost[" and ".join(map(str, points))] = wrong
    assert not lost, told(lost)


def test_a_full_disk_loses_nothing(nowhere: Path) -> None:
    """Neither at the first record nor at any other one."""
    lost = {}
    for number in range(1, 14):
        for stays in (False, True):
            begin(nowhere)
            before = db1("A")
            assert before is not None
            with Disk(number, stays).mounted():
                code, said = command(*MOVE)
            wrong = judge(code, said, before)
            again = command(*MOVE)[0] if code != 0 and where() != "B" else 0
            if again != 0 or where() != "B":
                wrong.append(f"run again: exit {again}, and it is on {where() or 'neither'}")
            if wrong:
                lost[f"record {number}, stays {stays}"] = [*wrong, said]
    assert not lost, told(lost)


def test_one_without_vfs_moves_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    begin(tmp_path_factory.mktemp("no-vfs"), NICS[NICS.index("[domain.db1.nic.data]") :])
    code, said = command(*MOVE)
    assert (code, where()) == (0, "B"), said
