"""A move that is killed: what others do before the same command is run again, and what goes wrong while it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.host.twin import guests
from reconciler.host.twin.host import TwinHost
from reconciler.host.twin.state import Twin
from tests.faults.moves import MOVE, SIDES, UUID, Point, begin, command, db1, heal, judge, told, tried, watch

POINTS_OF_KILLS = (("A", 1), ("B", 1), ("A", 2), ("B", 2))
KILLED = [Point(side, number, "killed", after) for side, number in POINTS_OF_KILLS for after in (False, True)]
AGAIN = [
    Point(side, number, kind, after)
    for side in SIDES
    for number in (1, 2)
    for kind, after in (("killed", False), ("killed", True), ("error", False))
]
"""While the same command takes back, or finishes, what a kill has left."""
OTHERS = {
    "redefined": ("A", None),
    "renamed": ("A", ["virsh", "domrename", "db1", "db2"]),
    "undefined": ("A", ["virsh", "undefine", "db1"]),
    "started": ("A", ["virsh", "start", "db1"]),
    "started there": ("B", ["virsh", "start", "db1"]),
    "undefined there": ("B", ["virsh", "undefine", "db1"]),
}
"""What somebody does between a kill and the next command."""


@pytest.fixture(scope="module")
def nowhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("made")


@pytest.fixture(autouse=True)
def _watched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    watch(monkeypatch, tmp_path)


def test_whatever_it_reads_goes_wrong(nowhere: Path) -> None:
    """At every reading on both sides libvirt goes away, or the command is killed."""
    begin(nowhere)
    for name in SIDES:
        Point(name, 1000, "error", reading=True).inject()  # Else they are not counted.
    before = {name: TwinHost.open(Path(f"{name}.sim")).twin().reads for name in SIDES}
    assert command(*MOVE)[0] == 0
    counts = {name: TwinHost.open(Path(f"{name}.sim")).twin().reads - before[name] for name in SIDES}
    assert min(counts.values()) >= 5
    lost = {}
    for side, count in counts.items():
        for number in range(1, count + 1):
            for kind in ("killed", "systemctl stop libvirtd"):
                begin(nowhere)
                was = db1("A")
                assert was is not None
                point = Point(side, number, kind, reading=True)
                wrong = tried((point,), was)
                if wrong:
                    lost[str(point)] = wrong
    assert not lost, told(lost)


def test_killed_also_while_the_first_kill_is_dealt_with(nowhere: Path) -> None:
    lost = {}
    for first in KILLED:
        for again in AGAIN:
            begin(nowhere)
            before = db1("A")
            assert before is not None
            first.inject()
            assert command(*MOVE)[0] is None
            heal()
            wrong = tried((again,), before)
            if wrong:
                lost[f"{first} and {again}"] = wrong
    assert not lost, told(lost)


@pytest.mark.parametrize("what", OTHERS)
def test_what_others_do_after_a_kill_is_left_as_it_is(nowhere: Path, what: str) -> None:
    """At whichever order it was killed: nobody's change is lost, and the guest is in the end on at most one side, on
    none only if somebody has undefined it."""
    lost = {}
    for first in KILLED:
        begin(nowhere)
        first.inject()
        assert command(*MOVE)[0] is None
        heal()
        side, words = OTHERS[what]
        if db1(side) is None:
            continue
        theirs = _done_by_others(side, words)
        code, said = command(*MOVE)
        wrong = []
        twin = TwinHost.open(Path("A.sim")).twin()
        names = [name for name, domain in twin.libvirt.domains.items() if domain.uuid == UUID]
        if what == "redefined" and "THEIRS" not in "".join(item.xml for name in SIDES if (item := db1(name))):
            wrong.append("their change is lost")
        if what == "renamed" and names != ["db2"]:
            wrong.append(f"it is called {names} here")
        if what == "undefined" and names:
            wrong.append("it was defined anew")
        if what.startswith("started") and not theirs():
            wrong.append("it was undefined while it ran")
        if len([*names, *filter(None, [db1("B")])]) > 1 and code != 4:
            wrong.append(f"exit {code}, and it is on both sides")
        if what not in ("undefined", "undefined there") and not names and db1("B") is None:
            wrong.append("it is on neither side")
        if wrong:
            lost[f"{first}, then {what}"] = [*wrong, f"exit {code}", said]
    assert not lost, told(lost)


def _done_by_others(side: str, words: list[str] | None) -> Callable[[], bool]:
    """Does it; whether the guest runs, to be asked later."""
    if words is None:
        made_by_hand = guests.TwinGuests(TwinHost.open(Path(f"{side}.sim")), Path(f"{side}.sim"))
        found = made_by_hand.find("db1")
        assert found is not None
        made_by_hand.define(found.xml.replace("keep me", "THEIRS"))
    else:
        assert command("sim", "run", f"{side}.sim", *words)[0] == 0

    def runs() -> bool:
        domain = TwinHost.open(Path(f"{side}.sim")).twin().libvirt.domains.get("db1")
        return domain is not None and domain.running

    return runs


def test_what_the_destination_drops_brings_it_back(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As libvirt does with what it doesn't know."""
    genuine = guests._define

    def define(twin: Twin, xml: str) -> None:
        genuine(twin, xml.replace('<unheard-of level="3"/>', "") if twin.host.name == "B" else xml)

    monkeypatch.setattr(guests, "_define", define)
    begin(nowhere)
    before = db1("A")
    assert before is not None
    code, said = command(*MOVE)
    assert (code, judge(code, said, before)) == (3, []), said
    assert "/unheard-of (empty) is not there" in said
