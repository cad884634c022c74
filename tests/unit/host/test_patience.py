"""Writes that take their time, and writes that hang."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.host.local import patience
from reconciler.host.local.patience import Patience
from reconciler.host.local.processes import Processes, Write
from reconciler.host.model import Hang

ROOT = Path("/")


class World:
    """Writes under way, with a clock that only pauses move. ``ours``: when the child is given up, by process; ``ends``:
    when it comes back."""

    def __init__(self) -> None:
        self.now = 100.0
        self.ours: dict[int, float] = {}
        self.others: dict[int, str] = {}
        self.ends: dict[int, float] = {}

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def look(self, root: Path, notes: list[str]) -> Processes:
        notes.append("a note")
        found = Processes({})
        for pid in [*self.ours, *self.others]:
            if self.ends.get(pid, self.now + 1) > self.now:
                left = self.ours[pid] - self.now if pid in self.ours else None
                found.hangs.append(Hang(pid, "sh", "/sys/x/sriov_numvfs"))
                found.writes[pid] = Write(f"{pid} {self.others.get(pid, '')}", left)
        return found


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    found = World()
    monkeypatch.setattr(patience, "look", found.look)
    monkeypatch.setattr(patience, "time", found)
    return found


def hangs(watch: Patience) -> list[int]:
    return [hang.pid for hang in watch.look(ROOT, []).hangs]


def test_another_runs_write_is_waited_for_as_long_as_that_run_does(world: World) -> None:
    world.ours[50] = 160.0
    world.ends[50] = 110.0
    assert hangs(Patience()) == []
    assert 110 <= world.now < 111


def test_a_write_that_its_run_has_given_up_hangs_at_once(world: World) -> None:
    world.ours[50] = 100.0
    assert hangs(Patience()) == [50]
    assert world.now == 100


def test_somebodys_write_that_comes_back_is_none_that_hangs(world: World) -> None:
    world.others[50] = "first"
    world.ends[50] = 101.0
    notes: list[str] = []
    assert Patience().look(ROOT, notes).hangs == []
    assert 101 <= world.now < 102
    assert notes == ["a note"]


def test_somebodys_write_that_does_not_come_back_hangs_and_is_waited_for_once(world: World) -> None:
    world.others[50] = "first"
    watch = Patience()
    assert hangs(watch) == [50]
    assert 105 <= world.now < 106
    then = world.now
    assert hangs(watch) == [50]
    assert world.now == then


def test_the_next_write_of_a_process_is_another_one(world: World) -> None:
    world.others[50] = "first"
    watch = Patience()
    assert hangs(watch) == [50]
    world.others[50], world.ends[50] = "second", world.now + 2
    assert hangs(watch) == []


def test_what_begins_meanwhile_is_not_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run with many writes would otherwise be waited for to its end."""
    world.ours[50] = 160.0
    world.ends[50] = 102.0
    pause = world.sleep

    def sleep(seconds: float) -> None:
        pause(seconds)
        world.ours[51] = 160.0

    monkeypatch.setattr(world, "sleep", sleep)
    assert hangs(Patience()) == []
    assert world.now < 103
