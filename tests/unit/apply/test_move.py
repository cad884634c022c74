"""A move between two hosts that are mere dictionaries: what others do in between, and answers that come late."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.apply.move import Mover
from reconciler.apply.move_back import Left, MoveResult, finish, take_back
from reconciler.apply.moved import Cargo, begin
from reconciler.clock import Clock
from reconciler.exit_codes import ExitCode
from reconciler.host.guests import Definition, Destination, MovingGuest, Who
from reconciler.host.protocol import HostError, NoAnswer
from reconciler.plan.move import Move, Step

ORIGINAL = Definition("db1", "u", "<whole/>", {"name": "db1", "NIC": "VF"}, autostart=True)
SENT = {"name": "db1"}
ESSENCES = {"<whole/>": ORIGINAL.essence, "<sent/>": SENT}
CARGO = Cargo("db1", "u", "there", "<whole/>", ORIGINAL.essence, "<sent/>", SENT, True, "here", "there")


class Seconds:
    """Time that passes by waiting alone."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float, /) -> None:
        self.now += seconds


class Side:
    """One host. ``before``: what happens right before an order; ``unanswered``: an order that is carried out only when
    `late` is called."""

    clock: Clock = time

    def __init__(self, uri: str, *guests: Definition) -> None:
        self.uri = uri
        self.clock = Seconds()
        self.guests = {guest.uuid: guest for guest in guests}
        self.before: dict[str, Callable[[], None]] = {}
        self.unanswered = ""
        self.late: Callable[[], None] = lambda: None
        self.orders: list[str] = []

    def who(self) -> Who:
        return Who(self.uri, self.uri)

    def find(self, name: str) -> Definition | None:
        return next((guest for guest in self.guests.values() if guest.name == name), None)

    def definition(self, uuid: str) -> Definition | None:
        self.before.get("definition", lambda: None)()
        return self.guests.get(uuid)

    def moving(self, uuid: str) -> MovingGuest | None:
        raise NotImplementedError

    def destination(self, xml: str) -> Destination:
        raise NotImplementedError

    def define(self, xml: str) -> None:
        known = self.guests.get("u", Definition("db1", "u", xml, {}))
        made = replace(known, xml=xml, essence=ESSENCES[xml], persistent=True)
        self._do("define", lambda: self.guests.update(u=made))

    def undefine(self, uuid: str) -> None:
        self._do("undefine", lambda: self._gone(uuid))

    def _gone(self, uuid: str) -> None:
        self.guests.pop(uuid, None)

    def set_autostart(self, uuid: str, enabled: bool) -> None:
        self._do("autostart", lambda: self.guests.update(u=replace(self.guests[uuid], autostart=enabled)))

    def _do(self, order: str, act: Callable[[], None]) -> None:
        self.orders.append(order)
        self.before.pop(order, lambda: None)()
        if self.unanswered == order:
            self.unanswered, self.late = "", act
            raise NoAnswer("libvirt is not available.", "It did not answer.")
        act()


@pytest.fixture
def sides() -> tuple[Side, Side]:
    return Side("here", ORIGINAL), Side("there")


def carry_out(folder: Path, here: Side, there: Side) -> MoveResult:
    steps = [Step(name, name) for name in ("strip", "define", "verify", "undefine", "autostart")]  # type: ignore[arg-type]
    move = Move("db1", "u", here.uri, there.uri, "there", steps=steps)
    cargo = replace(CARGO, seen=[], left=[])
    journal = begin(folder, move, cargo, "boot")
    try:
        return Mover(move, cargo, here, there, journal, lambda text: None).carry_out()
    finally:
        journal.close()


def test_it_moves(sides: tuple[Side, Side], tmp_path: Path) -> None:
    here, there = sides
    assert carry_out(tmp_path, here, there).code == ExitCode.OK
    assert (here.guests, there.guests["u"].xml, there.guests["u"].autostart) == ({}, "<sent/>", True)


@pytest.mark.parametrize("order", ["define", "undefine"])
@pytest.mark.parametrize("side", ["here", "there"])
def test_an_answer_that_comes_late_loses_nothing(
    sides: tuple[Side, Side], tmp_path: Path, side: str, order: str
) -> None:
    here, there = sides
    late = here if side == "here" else there
    late.unanswered = order
    result = carry_out(tmp_path, here, there)
    if late.orders.count(order) == 0 or (side, order) == ("there", "undefine"):
        assert result.code == ExitCode.OK  # Nothing is undefined there when all goes well.
        return
    assert result.code == ExitCode.PARTIAL
    assert result.unmet
    late.late()
    assert here.guests or there.guests
    again = finish(CARGO, here, there, lambda text: None)
    assert len(here.guests) + len(there.guests) == 1
    assert again is None or again.code == ExitCode.OK


def test_what_arrives_as_something_else_is_taken_back(
    sides: tuple[Side, Side], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = sides
    genuine = there.define

    def define(xml: str) -> None:
        genuine(xml)
        there.guests["u"] = replace(there.guests["u"], essence={"name": "db1", "memory": "1"})

    monkeypatch.setattr(there, "define", define)
    result = carry_out(tmp_path, here, there)
    assert result.code == ExitCode.ROLLED_BACK
    assert "memory: none -> 1" in result.error
    assert (here.guests["u"], there.guests) == (ORIGINAL, {})


def test_one_that_was_changed_here_meanwhile_stays(sides: tuple[Side, Side], tmp_path: Path) -> None:
    here, there = sides
    there.before["define"] = lambda: here.guests.update(u=replace(here.guests["u"], xml="<sent other='1'/>"))
    result = carry_out(tmp_path, here, there)
    assert (result.code, result.over) == (ExitCode.PARTIAL, True)
    assert "was changed in the meantime" in result.error
    assert here.guests["u"].xml == "<sent other='1'/>"
    assert not there.guests
    (told,) = result.notes
    assert "lacks NIC, which the move has taken off" in told
    assert str(tmp_path) in told


def test_one_that_runs_there_is_not_taken_away(sides: tuple[Side, Side]) -> None:
    here, there = sides
    there.guests["u"] = replace(ORIGINAL, xml="<sent/>", essence=SENT, running=True)
    (left,) = take_back(CARGO, here, there, lambda text: None).unmet
    assert "runs on there: don't start it here" in left
    result = finish(CARGO, here, there, lambda text: None)
    assert result is not None
    assert (result.code, there.orders) == (ExitCode.PARTIAL, [])
    here.guests.clear()  # As the message says, when it is to stay there.
    done = finish(CARGO, here, there, lambda text: None)
    assert done is not None
    assert done.code == ExitCode.OK


def test_one_that_somebody_changed_there_is_not_taken_away(sides: tuple[Side, Side]) -> None:
    here, there = sides
    there.guests["u"] = replace(ORIGINAL, xml="<sent more='1'/>", essence=SENT)
    (left,) = take_back(replace(CARGO, seen=["<sent/>"]), here, there, lambda text: None).unmet
    assert "was changed on there by somebody else" in left
    assert there.orders == []
    assert take_back(replace(CARGO, seen=[]), here, there, lambda text: None) == Left()


def test_one_on_neither_side_is_defined_here_again_unless_it_had_arrived(sides: tuple[Side, Side]) -> None:
    here, there = sides
    here.guests.clear()
    gone = finish(replace(CARGO, undefined="done"), here, there, lambda text: None)
    assert gone is not None
    assert (gone.code, here.guests, there.guests) == (ExitCode.FAILED, {}, {})
    back = finish(replace(CARGO, undefined="begun"), here, there, lambda text: None)
    assert back is not None
    assert (back.code, here.guests["u"]) == (ExitCode.ROLLED_BACK, ORIGINAL)


def test_as_long_as_a_side_does_not_answer_nothing_is_done(sides: tuple[Side, Side]) -> None:
    here, there = sides
    there.guests["u"] = replace(ORIGINAL, xml="<sent/>", essence=SENT)

    def silent() -> None:
        raise HostError("libvirt is not available.", "Connection refused.")

    here.before["definition"] = silent
    (left,) = take_back(CARGO, here, there, lambda text: None).unmet
    assert "what there has of it stays" in left
    result = finish(CARGO, here, there, lambda text: None)
    assert result is not None
    assert (result.code, here.orders, there.orders) == (ExitCode.PARTIAL, [], [])
    assert here.clock.monotonic() < 120


def test_what_somebody_made_of_it_after_a_kill_stays(sides: tuple[Side, Side]) -> None:
    here, there = sides
    changed = replace(ORIGINAL, xml="<sent other='1'/>", essence=SENT)
    for left in (["<sent/>"], []):
        here.guests["u"] = changed
        there.guests["u"] = replace(ORIGINAL, xml="<sent/>", essence=SENT)
        result = finish(replace(CARGO, left=left, record="move.json"), here, there, lambda text: None)
        assert result is not None
        assert (result.code, result.over) == (ExitCode.PARTIAL, True)
        assert "lacks NIC" in result.notes[0]
        assert "move.json" in result.notes[0]
        assert (here.guests["u"], here.orders, there.guests) == (changed, [], {})


def test_one_that_is_renamed_is_found_by_its_uuid_and_left(sides: tuple[Side, Side]) -> None:
    here, there = sides
    here.guests["u"] = replace(ORIGINAL, name="db2", xml="<sent name='db2'/>", essence={"name": "db2"})
    result = finish(replace(CARGO, left=["<sent/>"]), here, there, lambda text: None)
    assert result is not None
    assert "(db2 now)" in result.notes[0]
    assert "virsh dumpxml db2" in result.notes[0]


def test_one_that_somebody_else_took_away_is_not_defined_anew(sides: tuple[Side, Side], tmp_path: Path) -> None:
    here, there = sides
    here.guests.clear()
    result = finish(CARGO, here, there, lambda text: None)
    assert result is not None
    assert (result.code, result.over, here.guests, there.guests) == (ExitCode.FAILED, True, {}, {})
    assert "undefined or moved it" in result.error
    # What is there is all that is left of it then.
    there.guests["u"] = replace(ORIGINAL, xml="<sent/>", essence=SENT)
    (note,) = take_back(CARGO, here, there, lambda text: None).notes
    assert "It is on there, and stays there, without NIC." in note
    assert (here.guests, there.orders) == ({}, [])
    # While it is under way, that is as it was to be.
    there.guests.clear()
    here.guests["u"] = ORIGINAL
    there.before["define"] = here.guests.clear
    assert carry_out(tmp_path, here, there).code == ExitCode.OK
    assert (here.guests, there.guests["u"].xml) == ({}, "<sent/>")


def test_one_that_somebody_undefined_while_it_runs_keeps_the_other(sides: tuple[Side, Side]) -> None:
    here, there = sides
    here.guests["u"] = replace(ORIGINAL, running=True, persistent=False)
    there.guests["u"] = replace(ORIGINAL, xml="<sent/>", essence=SENT)
    result = finish(CARGO, here, there, lambda text: None)
    assert result is not None
    assert (result.code, result.over, here.orders, there.orders) == (ExitCode.PARTIAL, False, [], [])
    assert "somebody has undefined it" in result.unmet[0]
    # If it was us, it is defined again; but it was started without its NICs.
    again = finish(replace(CARGO, undefined="begun"), here, there, lambda text: None)
    assert again is not None
    assert (again.code, again.over) == (ExitCode.PARTIAL, True)
    assert "runs without NIC" in again.notes[0]
    assert (here.guests["u"].persistent, there.guests) == (True, {})


@pytest.mark.parametrize("is_here", [True, False])
def test_a_uri_that_leads_elsewhere_now_is_not_touched(sides: tuple[Side, Side], is_here: bool) -> None:
    here, _ = sides
    if not is_here:
        here.guests.clear()
    other = Side("other", replace(ORIGINAL, xml="<sent/>", essence=SENT))
    result = finish(replace(CARGO, undefined="begun"), here, other, lambda text: None)
    assert result is not None
    assert (result.code, result.over, here.orders, other.orders) == (ExitCode.PARTIAL, False, [], [])
    told = result.error + "".join(result.unmet)
    assert "leads to other" in told
    assert "virsh undefine" not in told


def test_a_uri_that_leads_elsewhere_during_the_move_keeps_it_here(sides: tuple[Side, Side], tmp_path: Path) -> None:
    here, there = sides

    def swap() -> None:
        there.uri = "other"

    there.before["define"] = swap
    result = carry_out(tmp_path, here, there)
    assert (result.code, here.guests["u"]) == (ExitCode.PARTIAL, ORIGINAL)
    assert "The destination is another host now." in result.error


def test_a_record_of_another_source_is_refused(sides: tuple[Side, Side]) -> None:
    _, there = sides
    session = Side("session")
    result = finish(CARGO, session, there, lambda text: None)
    assert result is not None
    assert (result.code, result.over, session.orders) == (ExitCode.FAILED, False, [])
    assert "--forget" in result.unmet[0]


def test_what_the_destination_drops_is_named_and_it_comes_back(
    sides: tuple[Side, Side], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = sides
    genuine = there.define

    def define(xml: str) -> None:
        genuine(xml)
        there.guests["u"] = replace(there.guests["u"], xml="<sent/>")

    monkeypatch.setattr(there, "define", define)
    monkeypatch.setitem(ESSENCES, "<sent><new/></sent>", SENT)
    monkeypatch.setattr("tests.unit.apply.test_move.CARGO", replace(CARGO, sent="<sent><new/></sent>"))
    result = carry_out(tmp_path, here, there)
    assert result.code == ExitCode.ROLLED_BACK
    assert "/new (empty) is not there" in result.error
    assert (here.guests["u"], there.guests) == (ORIGINAL, {})


def test_autostart_that_undefining_took_away_comes_back(sides: tuple[Side, Side]) -> None:
    here, there = sides
    here.guests["u"] = replace(ORIGINAL, autostart=False)
    assert finish(replace(CARGO, undefined="begun"), here, there, lambda text: None) is None
    assert here.guests["u"].autostart
    here.guests["u"] = replace(ORIGINAL, autostart=False)  # Somebody has switched it off, since we did nothing to it.
    assert finish(CARGO, here, there, lambda text: None) is None
    assert not here.guests["u"].autostart


def test_one_that_is_started_meanwhile_is_told_to_lack_its_nics(sides: tuple[Side, Side], tmp_path: Path) -> None:
    here, there = sides
    there.before["define"] = lambda: here.guests.update(u=replace(here.guests["u"], running=True))
    result = carry_out(tmp_path, here, there)
    assert (result.code, result.over) == (ExitCode.PARTIAL, True)
    assert (here.guests["u"].xml, there.guests) == ("<whole/>", {})
    assert "runs without NIC" in result.notes[0]


def test_one_that_is_started_there_while_it_is_taken_away(
    sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = sides
    there.guests["u"] = replace(ORIGINAL, xml="<sent/>", essence=SENT)
    runs = replace(there.guests["u"], running=True, persistent=False)
    monkeypatch.setattr(there, "_gone", lambda uuid: there.guests.update(u=runs))
    (left,) = take_back(CARGO, here, there, lambda text: None).unmet
    assert "don't start it here" in left


def test_one_that_only_runs_there_has_not_arrived(sides: tuple[Side, Side]) -> None:
    here, there = sides
    here.guests.clear()
    there.guests["u"] = replace(ORIGINAL, xml="<sent/>", essence=SENT, running=True, persistent=False)
    result = finish(replace(CARGO, undefined="done"), here, there, lambda text: None)
    assert result is not None
    assert (result.code, result.over) == (ExitCode.PARTIAL, False)
    assert "without a definition" in result.unmet[0]
