"""How the orders of a round are given: few at once, none behind one that hangs, each answered for by itself."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from reconciler.apply.journal import Journal, read_journal
from reconciler.apply.turns import give, next_turn, orders_of
from reconciler.host.local.side_by_side import side_by_side
from reconciler.host.model import Hang, Snapshot, Use
from reconciler.host.protocol import HostError, Scope, VfSet
from reconciler.kinds.action import Action, Impact
from reconciler.plan.planner import make_plan
from tests.hosts import FRESH, DataHost, desired, host, igb
from tests.unit.apply.test_executor import Listener, executor, run

PFS = [f"pci/0000:0{number}:00.0" for number in (1, 2, 3)]
FILE = "".join(
    f'[pf.p{number}]\nmatch = {{ name = "enp{number}s0" }}\nlink = "up"\nvfs = 7\nvf_driver = "vfio-pci"\n'
    for number in (1, 2, 3)
)


class Threads(DataHost):
    """Gives its orders in threads, as a real host does, and counts how many of them are under way at once."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(snapshot)
        self.lock = threading.Lock()
        self.tried: list[tuple[str, int]] = []
        self.under_way: list[str] = []
        self.at_once: dict[str, int] = {}
        self.reads = 0

    def refresh(self, snapshot: Snapshot, scope: Scope) -> None:
        self.reads += 1
        super().refresh(snapshot, scope)
        snapshot.hangs = list(self.state.hangs)

    def together(self, orders: Sequence[Callable[[], None]]) -> list[Exception | None]:
        return side_by_side(orders)

    def begin(self, op: str, pf: str, number: int) -> None:
        with self.lock:
            self.tried.append((pf, number))
            self.under_way.append(op)
            self.at_once[op] = max(self.at_once.get(op, 0), self.under_way.count(op))
        time.sleep(0.02)
        with self.lock:
            self.under_way.remove(op)

    def hang(self, pf: str, file: str) -> None:
        with self.lock:
            hang = Hang(100 + len(self.state.hangs), "reconciler-set", f"/sys/bus/pci/devices/{pf[4:]}/{file}", pf)
            self.state.hangs.append(hang)
        raise HostError("The kernel does not answer.", file, errno=errno.ETIMEDOUT)

    def set_numvfs(self, pf: str, count: int, deadline: float) -> None:
        self.begin("numvfs", pf, count)
        super().set_numvfs(pf, count, deadline)

    def bind_vf(self, pf: str, index: int, driver: str, deadline: float) -> None:
        self.begin("bind", pf, index)
        super().bind_vf(pf, index, driver, deadline)


def cards(vfs: int = 0) -> Snapshot:
    """Three PFs, whose VFs have a driver of the host."""
    found = host(*(igb(number, vfs, up=True, carrier=True) for number in (1, 2, 3)))
    for pf in found.pfs.values():
        for vf in pf.vfs:
            vf.driver = "igbvf"
    return found


def test_vfs_are_made_on_two_pfs_at_a_time_and_bound_at_most_eight_at_once(tmp_path: Path) -> None:
    machine = Threads(cards())
    outcomes, _ = run(machine, make_plan(desired(FILE), cards()), tmp_path)
    assert {outcome.outcome for outcome in outcomes.values()} == {"changed"}
    assert (machine.at_once["numvfs"], 1 < machine.at_once["bind"] <= 8) == (2, True)


def test_no_vfs_are_made_behind_a_write_that_hangs(tmp_path: Path) -> None:
    class Hangs(Threads):
        def set_numvfs(self, pf: str, count: int, deadline: float) -> None:
            self.begin("numvfs", pf, count)
            self.hang(pf, "sriov_numvfs")

    machine = Hangs(cards())
    outcomes, _ = run(machine, make_plan(desired(FILE), cards()), tmp_path)
    assert sorted(machine.tried) == [(PFS[0], 7), (PFS[1], 7)]
    said = {key: outcome.error for key, outcome in outcomes.items() if key.startswith("pf.set_numvfs")}
    assert "would wait behind one that hangs" in said.pop("pf.set_numvfs pf.p3")
    assert all("does not answer" in error for error in said.values())


@pytest.mark.parametrize("threads", [True, False])
@pytest.mark.parametrize("already", [0, 7])
def test_at_most_eight_writes_hang(tmp_path: Path, threads: bool, already: int) -> None:
    """Orders that are under way at once may all hang; those after them are given when it is known which PFs do."""

    class Hangs(Threads):
        def together(self, orders: Sequence[Callable[[], None]]) -> list[Exception | None]:
            return side_by_side(orders) if threads else DataHost.together(self, orders)

        def bind_vf(self, pf: str, index: int, driver: str, deadline: float) -> None:
            self.begin("bind", pf, index)
            self.hang(pf, "driver/unbind")

    before = cards(7)
    for number in range(already):
        before.hangs.append(Hang(50 + number, "tee", "/sys/bus/pci/devices/0000:09:00.0/reset", "pci/0000:09:00.0"))
    machine = Hangs(before)
    outcomes, _ = run(machine, make_plan(desired(FILE), before), tmp_path)
    assert len(machine.state.hangs) <= 8
    assert len(machine.tried) == len(machine.state.hangs) - already
    if not threads and not already:
        assert [pf for pf, _ in machine.tried] == PFS, "a PF on which nothing hangs is still asked"
    assert all(outcome.error for key, outcome in outcomes.items() if key.startswith("vf.bind"))


def test_what_hangs_lets_nothing_else_of_its_turn_begin() -> None:
    def ask(order: list[Action]) -> None:
        if order[0].id == "b":
            raise HostError("No answer.", "", errno=errno.ETIMEDOUT)

    actions = [Action(name, "vf.bind", name, {"pf": PFS[0], "vf": 0, "driver": "none"}) for name in "abc"]
    given = give(DataHost(cards()), orders_of(actions), ask)
    assert [order[0].id for order, _ in given.errors] == ["b"]
    assert [order[0].id for order in given.not_begun] == ["c"]


def test_turns() -> None:
    def action(op: str, number: int) -> Action:
        return Action(f"{op} {number}", op, "", {"pf": PFS[number]})

    counts, sets = [action("pf.set_numvfs", n) for n in (0, 1)], [action("vf.set", 2) for _ in range(3)]
    orders = orders_of([*counts, *sets])
    assert [len(order) for order in orders] == [1, 1, 3]
    assert next_turn(orders, 8) == (orders, [])
    counts[1].args["pf"] = "pci/0000:01:00.1"
    assert next_turn(orders, 8) == ([orders[0], orders[2]], [orders[1]]), "two ports of one card"
    assert next_turn(orders, 0) == ([orders[0]], [orders[1], orders[2]])


def test_a_fault_in_one_order_is_the_outcome_of_that_one_alone(tmp_path: Path) -> None:
    class Broken(Threads):
        def bind_vf(self, pf: str, index: int, driver: str, deadline: float) -> None:
            if (pf, index) == (PFS[0], 1):
                raise KeyError("nobody thought of it")
            if (pf, index) == (PFS[1], 2):
                raise HostError("A VF did not get its driver.", "The reason.")
            super().bind_vf(pf, index, driver, deadline)

    machine = Broken(cards())
    outcomes, _ = run(machine, make_plan(desired(FILE), cards()), tmp_path)
    failed = {key: outcome.error for key, outcome in outcomes.items() if not outcome.done}
    assert failed.keys() == {"vf.bind pf.p1.vf.1", "vf.bind pf.p2.vf.2"}
    assert "KeyError: 'nobody thought of it'. This is a fault in reconciler" in failed["vf.bind pf.p1.vf.1"]
    assert failed["vf.bind pf.p2.vf.2"] == "A VF did not get its driver. The reason."
    faults = [record["traceback"] for record in read_journal(tmp_path / "runs" / "run") if record["event"] == "fault"]
    assert len(faults) == 1
    assert "bind_vf" in faults[0]


def test_who_has_a_vf_is_looked_at_again_before_each_turn(tmp_path: Path) -> None:
    """Between the first turn and the last somebody takes one."""

    class Taken(Threads):
        def bind_vf(self, pf: str, index: int, driver: str, deadline: float) -> None:
            super().bind_vf(pf, index, driver, deadline)
            self.state.pfs[PFS[2]].vfs[6].uses = [Use("address", "192.0.2.7/24")]

    machine = Taken(cards(7))
    outcomes, _ = run(machine, make_plan(desired(FILE), cards(7)), tmp_path, cards(7))
    failed = {key: outcome.error for key, outcome in outcomes.items() if not outcome.done}
    assert failed.keys() == {"vf.bind pf.p3.vf.6"}
    assert "Somebody has it now." in failed["vf.bind pf.p3.vf.6"]
    assert (PFS[2], 6) not in machine.tried


def test_waiting_for_a_vf_to_be_let_go_of_reads_all_pfs_in_one_pass(tmp_path: Path) -> None:
    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

        def sleep(self, seconds: float, /) -> None:
            self.now += seconds

    machine = Threads(cards(7))
    machine.clock = Clock()
    machine.state.pfs[PFS[0]].vfs[0].uses = [Use("address", "192.0.2.7/24")]
    plan = make_plan(desired(FILE), cards(7))
    outcomes, _ = run(machine, plan, tmp_path, cards(7))
    assert {key for key, outcome in outcomes.items() if not outcome.done} == {"vf.bind pf.p1.vf.0"}
    assert machine.reads < 40


@pytest.mark.parametrize("by_a_step", [True, False])
def test_half_of_a_struct_is_completed_from_what_is_there_now(tmp_path: Path, by_a_step: bool) -> None:
    """A step by itself, such as a guest's, or anybody may change VFs that the round before it has read."""

    class Host(DataHost):
        def refresh(self, snapshot: Snapshot, scope: Scope) -> None:
            fresh = self.observe()
            for key in scope.key.split():
                snapshot.pfs[key] = fresh.pfs[key]

        def set_vfs(self, pf: str, requests: Sequence[VfSet]) -> list[HostError | None]:
            sent.extend((request.index, dict(request.attributes)) for request in requests)
            return super().set_vfs(pf, requests)

        def set_mtu(self, pf: str, mtu: int) -> None:
            super().set_mtu(pf, mtu)
            change()

    def change() -> bool:
        vf = machine.state.pfs[PFS[0]].vfs[0]
        vf.attributes = {**(vf.attributes or {}), "qos": 5}
        return False

    sent: list[tuple[int, dict[str, object]]] = []
    before = host(igb(1, 2, up=True, carrier=True), igb(2, up=True, carrier=True))
    actions = [Action(f"p{n}", "pf.set_autoprobe", "", {"pf": PFS[n], "autoprobe": False}) for n in (0, 1)]
    if by_a_step:
        actions.append(Action("m", "pf.set_mtu", "", {"pf": PFS[1], "mtu": 9000}, impact=Impact("guest")))
    actions += [Action(f"v{n}", "vf.set", "", {"pf": PFS[0], "vf": n, "set": {"vlan": 9}}) for n in (0, 1)]
    machine, journal = Host(before), Journal(tmp_path, "run", {}, {"at": "now"})
    carried = executor(machine, journal, Listener(), before)
    if not by_a_step:  # Asked before each step.
        carried.stopped = lambda: bool(carried.outcomes) and change()
    outcomes = carried.execute(actions)
    journal.close()
    assert {outcome.outcome for outcome in outcomes} == {"changed"}
    assert sent[0] == (0, {"vlan": 9, "qos": 5, "vlan_proto": "802.1Q"})


def test_a_later_turn_sends_what_goes_with_what_was_read_right_before_it(tmp_path: Path) -> None:
    """VLAN and priority are one struct. The other VF's priority changes while the first turn is under way."""

    class Changing(Threads):
        def set_vfs(self, pf: str, requests: Sequence[VfSet]) -> list[HostError | None]:
            if not self.tried:
                self.state.pfs[PFS[1]].vfs[0].attributes = {**FRESH, "vlan": 7, "qos": 3}
            self.tried.append((pf, int(str(requests[0].attributes["qos"]))))
            return super().set_vfs(pf, requests)

    before = cards(1)
    for number in range(7):
        before.hangs.append(Hang(50 + number, "tee", "/sys/bus/pci/devices/0000:09:00.0/reset", "pci/0000:09:00.0"))
    text = "".join(
        f'[pf.p{number}]\nmatch = {{ name = "enp{number}s0" }}\n[pf.p{number}.vf.0]\nvlan = 5\n' for number in (1, 2)
    )
    machine = Changing(before)
    outcomes, _ = run(machine, make_plan(desired(text), before), tmp_path)
    assert {outcome.outcome for outcome in outcomes.values()} == {"changed"}
    assert machine.tried == [(PFS[0], 0), (PFS[1], 3)]
