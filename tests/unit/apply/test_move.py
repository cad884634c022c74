"""A move between two hosts that are mere dictionaries: what others do in between, and answers that come late."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.apply.move import Mover, MoveResult, finish, take_back
from reconciler.apply.moved import Cargo, begin
from reconciler.clock import Clock
from reconciler.exit_codes import ExitCode
from reconciler.host.guests import Definition, Destination, MovingGuest, NoAnswer, Who
from reconciler.host.protocol import HostError
from reconciler.plan.move import Move, Step

ORIGINAL = Definition("db1", "u", "<whole/>", {"name": "db1", "NIC": "VF"}, autostart=True)
SENT = {"name": "db1"}
ESSENCES = {"<whole/>": ORIGINAL.essence, "<sent/>": SENT}
CARGO = Cargo("db1", "u", "there", "<whole/>", ORIGINAL.essence, "<sent/>", SENT, True)


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
    journal = begin(folder, move, CARGO, "boot")[1]
    cargo = replace(CARGO, seen=[])
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
    again = finish(CARGO, False, here, there, lambda text: None)
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
    assert result.code == ExitCode.ROLLED_BACK
    assert "was changed in the meantime" in result.error
    assert not there.guests


def test_one_that_runs_there_is_not_taken_away(sides: tuple[Side, Side]) -> None:
    here, there = sides
    there.guests["u"] = replace(ORIGINAL, xml="<sent/>", essence=SENT, running=True)
    (left,) = take_back(CARGO, here, there, lambda text: None)
    assert "runs on there: don't start it here" in left
    result = finish(CARGO, False, here, there, lambda text: None)
    assert result is not None
    assert (result.code, there.orders) == (ExitCode.PARTIAL, [])
    here.guests.clear()  # As the message says, when it is to stay there.
    done = finish(CARGO, False, here, there, lambda text: None)
    assert done is not None
    assert done.code == ExitCode.OK


def test_one_that_somebody_changed_there_is_not_taken_away(sides: tuple[Side, Side]) -> None:
    here, there = sides
    there.guests["u"] = replace(ORIGINAL, xml="<sent more='1'/>", essence=SENT)
    (left,) = take_back(replace(CARGO, seen=["<sent/>"]), here, there, lambda text: None)
    assert "was changed on there by somebody else" in left
    assert there.orders == []
    assert take_back(replace(CARGO, seen=[]), here, there, lambda text: None) == []


def test_one_on_neither_side_is_defined_here_again_unless_it_had_arrived(sides: tuple[Side, Side]) -> None:
    here, there = sides
    here.guests.clear()
    gone = finish(CARGO, True, here, there, lambda text: None)
    assert gone is not None
    assert (gone.code, here.guests, there.guests) == (ExitCode.FAILED, {}, {})
    back = finish(CARGO, False, here, there, lambda text: None)
    assert back is not None
    assert (back.code, here.guests["u"]) == (ExitCode.ROLLED_BACK, ORIGINAL)


def test_as_long_as_a_side_does_not_answer_nothing_is_done(sides: tuple[Side, Side]) -> None:
    here, there = sides
    there.guests["u"] = replace(ORIGINAL, xml="<sent/>", essence=SENT)

    def silent() -> None:
        raise HostError("libvirt is not available.", "Connection refused.")

    here.before["definition"] = silent
    (left,) = take_back(CARGO, here, there, lambda text: None)
    assert "what there has of it stays" in left
    result = finish(CARGO, False, here, there, lambda text: None)
    assert result is not None
    assert (result.code, here.orders, there.orders) == (ExitCode.PARTIAL, [], [])
    assert here.clock.monotonic() < 120
