"""What is carried out side by side, and what isn't."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.apply.journal import read_journal
from reconciler.apply.rounds import rounds
from reconciler.host.model import Snapshot, Use
from reconciler.kinds.action import Action, Impact
from reconciler.plan.planner import make_plan
from reconciler.plan.undo import undo_of
from tests.hosts import DataHost, desired, host, igb
from tests.unit.apply.test_executor import run

TWO_PFS = """
[pf.a]
match = { name = "enp1s0" }
link = "up"
vfs = 2
vf_driver = "vfio-pci"
vf_defaults = { trust = true }
[pf.b]
match = { name = "enp2s0" }
vfs = 2
vf_driver = "vfio-pci"
vf_defaults = { trust = true }
"""


def told(actions: list[Action], observed: Snapshot) -> list[list[str]]:
    return [[action.id for action in batch] for batch in rounds(actions, observed)]


def planned(observed: Snapshot) -> list[list[str]]:
    return told(make_plan(desired(TWO_PFS), observed).actions, observed)


def test_each_pf_takes_a_step_in_each_round() -> None:
    assert planned(host(igb(1), igb(2))) == [
        ["pf.set_link pf.a", "pf.set_autoprobe pf.a", "pf.set_autoprobe pf.b"],
        ["pf.set_numvfs pf.a", "pf.set_numvfs pf.b"],
        ["vf.bind pf.a.vf.0", "vf.bind pf.a.vf.1", "vf.bind pf.b.vf.0", "vf.bind pf.b.vf.1"],
        ["vf.set pf.a.vf.0", "vf.set pf.a.vf.1", "vf.set pf.b.vf.0", "vf.set pf.b.vf.1"],
    ]


@pytest.mark.parametrize("driver", ["i40e", "never-heard-of", None])
def test_pfs_of_a_driver_that_takes_one_at_a_time_wait_for_each_other(driver: str | None) -> None:
    """As those of a driver of which nothing is known."""
    found = planned(host(igb(1, driver=driver), igb(2, driver=driver)))
    assert [batch for batch in found if len({name.partition(" pf.")[2][:1] for name in batch}) > 1] == []
    assert ["vf.bind pf.a.vf.0", "vf.bind pf.a.vf.1"] in found


def test_what_the_host_would_notice_goes_by_itself() -> None:
    """Two PFs of one bond lose their links one after the other."""
    cards = [igb(1, up=True, carrier=True), igb(2, up=True, carrier=True)]
    for card in cards:
        card.uses = [Use("master", "bond0")]
    found = planned(host(*cards))
    assert [batch for batch in found if any("set_numvfs" in name for name in batch)] == [
        ["pf.set_numvfs pf.a"],
        ["pf.set_numvfs pf.b"],
    ]


AUTOPROBE = """
[pf.a]
match = { name = "enp1s0" }
link = "up"
mtu = 9000
vfs = 2
vf_driver = "none"
"""


def test_autoprobe_is_set_while_the_link_or_the_mtu_is() -> None:
    """On the way back, too. Link and MTU never go together."""
    before = host(igb(1))
    actions = make_plan(desired(AUTOPROBE), before).actions
    assert told(actions, before) == [
        ["pf.set_link pf.a"],
        ["pf.set_mtu pf.a", "pf.set_autoprobe pf.a"],
        ["pf.set_numvfs pf.a"],
    ]
    link, mtu, autoprobe, _ = actions
    assert told([autoprobe, link, mtu], before) == [[autoprobe.id, link.id], [mtu.id]]


def test_not_beside_what_it_needs() -> None:
    before = host(igb(1))
    link, mtu, autoprobe, _ = make_plan(desired(AUTOPROBE), before).actions
    waiting = replace(autoprobe, needs=[mtu.id])
    assert told([link, mtu, waiting], before) == [[link.id], [mtu.id], [waiting.id]]


def test_a_link_that_the_host_would_notice_goes_by_itself() -> None:
    before = host(igb(1))
    before.pfs["pci/0000:01:00.0"].uses = [Use("address", "192.0.2.1/24")]
    assert told(make_plan(desired(AUTOPROBE), before).actions, before)[0] == ["pf.set_link pf.a"]


MTU_AND_LINK = """
[pf.a]
match = { name = "enp1s0" }
link = "up"
mtu = 9000
[pf.b]
match = { name = "enp2s0" }
link = "up"
mtu = 9000
"""


def back(before: Snapshot, text: str) -> list[list[str]]:
    """The rounds of the way back."""
    actions = make_plan(desired(text), before).actions
    return told(undo_of(actions, {action.id for action in actions}, before), before)


@pytest.mark.parametrize(("text", "steps"), [(TWO_PFS, "numvfs"), (MTU_AND_LINK, "mtu"), (MTU_AND_LINK, "link")])
def test_on_the_way_back_two_pfs_of_one_bond_lose_their_links_one_after_the_other(text: str, steps: str) -> None:
    before = host(igb(1), igb(2))
    both = [batch for batch in back(before, text) if f"pf.set_{steps} pf.a" in str(batch)]
    assert steps == "link" or any(f"pf.set_{steps} pf.b" in str(batch) for batch in both), "nobody has them"
    for pf in before.pfs.values():
        pf.uses = [Use("master", "bond0")]
    found = [batch for batch in back(before, text) if f"pf.set_{steps}" in str(batch)]
    assert found
    assert {len(batch) for batch in found} == {1}


def test_on_the_way_back_a_pf_whose_vfs_guests_have_goes_by_itself() -> None:
    before = host(igb(1), igb(2))
    actions = [
        Action(f"undo {pf}", "pf.set_mtu", pf, {"pf": pf, "mtu": 1500}, impact=Impact(domains=["web"]))
        for pf in before.pfs
    ]
    assert [len(batch) for batch in told(actions, before)] == [1, 1]


def test_what_needs_a_step_of_another_pf_comes_after_it() -> None:
    def bind(pf: int, needs: list[str], impact: Impact) -> Action:
        args = {"pf": f"pci/0000:0{pf}:00.0", "vf": 0, "driver": "none"}
        return Action(f"bind {pf}", "vf.bind", f"pf.p{pf}.vf.0", args, needs, impact=impact)

    observed = host(igb(1, 1), igb(2, 1), igb(3, 1))
    actions = [bind(1, [], Impact()), bind(2, ["bind 1"], Impact()), bind(3, [], Impact("guest"))]
    assert told(actions, observed) == [["bind 1"], ["bind 2"], ["bind 3"]]


class Ticking:
    """A clock that goes on by so many seconds whenever somebody looks at it."""

    def __init__(self, step: float) -> None:
        self.step, self.now = step, 0.0

    def monotonic(self) -> float:
        self.now += self.step
        return self.now

    def sleep(self, seconds: float, /) -> None:
        self.now += seconds


class Counted(DataHost):
    """Counts how often it is read."""

    reads = 0

    def refresh(self, snapshot, scope):  # type: ignore[no-untyped-def]
        self.reads += 1
        super().refresh(snapshot, scope)


@pytest.mark.parametrize(("step", "reads"), [(0.0, 6), (2.0, 8)])
def test_a_round_is_one_record_and_two_readings(tmp_path: Path, step: float, reads: int) -> None:
    """One, when what it begins with was read back just now, and it can't take anything from anybody."""
    before = host(igb(1), igb(2))
    machine = Counted(before)
    machine.clock = Ticking(step)
    plan = make_plan(desired(TWO_PFS), before)
    outcomes, _ = run(machine, plan, tmp_path, before)
    assert {outcome.outcome for outcome in outcomes.values()} == {"changed"}
    begun = [record["actions"] for record in read_journal(tmp_path / "runs" / "run") if record["event"] == "begin"]
    assert begun == told(plan.actions, before)
    assert (machine.reads, len(begun)) == (reads, 4)
    assert make_plan(desired(TWO_PFS), machine.observe()).verdict == "in-sync"


def test_one_that_is_refused_stops_only_what_needs_it(tmp_path: Path) -> None:
    before = host(igb(1), igb(2))
    machine = DataHost(before)
    bind = machine.bind_vf

    def refuse(pf: str, index: int, driver: str, deadline: float) -> None:
        if (pf, index) == ("pci/0000:01:00.0", 1):
            del machine.state.pfs["pci/0000:01:00.0"].vfs[1]
        else:
            bind(pf, index, driver, deadline)

    machine.bind_vf = refuse  # type: ignore[method-assign]
    plan = make_plan(desired(TWO_PFS), before)
    outcomes, _ = run(machine, plan, tmp_path, before)
    failed = {name for name, outcome in outcomes.items() if not outcome.done}
    assert failed == {"vf.bind pf.a.vf.1", "vf.set pf.a.vf.1"}
