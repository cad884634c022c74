"""The subset rule: reality may have moved towards the goal, but apply never does more than was approved."""

from __future__ import annotations

from reconciler.host.model import Nic, Snapshot
from reconciler.plan.document import Plan
from reconciler.plan.planner import make_plan
from reconciler.plan.subset import Moved, beyond, moved
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


def test_more_to_do_is_named_with_the_field_behind_it() -> None:
    approved, fresh = plan(four(vlan=100)), plan(four(vlan=7))
    (found,) = beyond(approved, fresh)
    assert (found.kind, found.action.op, found.action.address) == ("new", "vf.set", "pf.int.vf.0")
    assert moved(approved, fresh) == [Moved("pf.int.vf.0", "vlan", was=100, now=7, declared=100)]


def test_another_value_before_is_a_note_and_no_obstacle() -> None:
    approved, fresh = plan(four(vlan=7)), plan(four(vlan=8))
    assert beyond(approved, fresh) == []
    assert moved(approved, fresh) == [Moved("pf.int.vf.0", "vlan", was=7, now=8, declared=100)]


def with_guest(*nics: Nic) -> Plan:
    domain = guest("web", running=True, live=list(nics))
    return plan(host(igb(1, 2, up=True, carrier=True), domains=[domain]))


def test_a_guest_that_came_since_is_named() -> None:
    nic = Nic("interface", "ua-x", "52:54:00:00:00:01", "0000:01:10.0")
    found = beyond(with_guest(), with_guest(nic))
    assert any((item.kind, item.was, item.action.disruption) == ("class", "vf-reset", "guest") for item in found)
    assert any((item.kind, item.domains) == ("domains", ("web",)) for item in found)
