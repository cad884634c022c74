"""The subset rule: reality may have moved towards the goal, but apply never does more than was approved."""

from __future__ import annotations

from reconciler.host.model import Nic, Snapshot
from reconciler.plan.document import Plan
from reconciler.plan.planner import make_plan
from reconciler.plan.subset import beyond, moved
from tests.hosts import desired, guest, host, igb

FILE = """
[pf.int]
match = { name = "enp1s0" }
vfs = 4
[pf.int.vf."0-1"]
vlan = 100
[pf.int.vf.2]
spoofchk = false
"""


def plan(snapshot: Snapshot) -> Plan:
    return make_plan(desired(FILE), snapshot)


def four(**attributes: int) -> Snapshot:
    snapshot = host(igb(1, 4, up=True, carrier=True))
    values = snapshot.pfs["pci/0000:01:00.0"].vfs[0].attributes
    assert values is not None
    values.update(attributes)
    return snapshot


def test_the_same_host_gives_no_more() -> None:
    assert beyond(plan(four()), plan(four())) == []


def test_less_to_do_is_fine() -> None:
    assert beyond(plan(four()), plan(four(vlan=100))) == []


def test_more_to_do_is_named() -> None:
    found = beyond(plan(four(vlan=100)), plan(four()))
    assert len(found) == 1
    assert "vf.set of pf.int.vf.0" in found[0]
    assert '"vlan": 100' in found[0]


def test_another_value_before_is_a_note_and_no_obstacle() -> None:
    approved, fresh = plan(four(vlan=7)), plan(four(vlan=8))
    assert beyond(approved, fresh) == []
    assert moved(approved, fresh) == ["pf.int.vf.0.vlan was 7 and is now 8"]


def test_a_guest_that_came_since_is_named() -> None:
    before = host(igb(1, 2, up=True, carrier=True), domains=[guest("web", running=True)])
    after = host(
        igb(1, 2, up=True, carrier=True),
        domains=[guest("web", running=True, live=[Nic("interface", "ua-x", "52:54:00:00:00:01", "0000:01:10.0")])],
    )
    found = beyond(plan(before), plan(after))
    assert any("class guest" in item for item in found)
    assert any("affects web" in item for item in found)
