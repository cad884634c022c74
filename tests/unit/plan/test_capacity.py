"""How many VFs there are after a plan, and for whom."""

from __future__ import annotations

from reconciler.host.model import Network, NetworkPort, Nic, Snapshot, Use
from reconciler.plan.capacity import PfCapacity, PoolCapacity
from reconciler.plan.document import dump_plan, load_plan
from reconciler.plan.planner import make_plan
from tests.hosts import desired, guest, host, igb

PF = '[pf.int]\nmatch = { name = "enp1s0" }\nlink = "up"\nvfs = 7\n'
TEXT = (
    PF
    + '[pf.int.vf.6]\ntrust = true\n[pool.p]\nvfs = ["int/0-2"]\n'
    + '[domain.web.nic.a]\npool = "p"\n[domain.web.nic.b]\nvf = "int/3"\n[domain.db.nic.a]\npf = "int"\n'
)


def vf(index: int) -> str:
    return igb(1, 7).vfs[index].address or ""


def site() -> Snapshot:
    """Web runs and db is off, both without a NIC; another guest that isn't declared has a VF of a pool."""
    card = igb(1, 7, up=True, carrier=True)
    card.vfs[5].netdev, card.vfs[5].uses = "eth5", [Use("address", "192.0.2.5/24")]
    card.vfs[0].driver = "vfio-pci"
    other = guest("other", running=True)
    other.live = [Nic("pool", "ua-x", "52:54:00:00:00:01", vf(0), "p")]
    other.config = [Nic("pool", "ua-x", "52:54:00:00:00:01", None, "p"), Nic("pool", "ua-y", pool="p")]
    addresses = [vf(index) for index in range(3)]
    ports = [NetworkPort("other", "52:54:00:00:00:01", vf(0))]
    network = Network("p", "u", True, True, False, "hostdev", None, addresses, list(addresses), ports)
    return host(card, domains=[guest("web", running=True), guest("db"), other], networks=[network])


def test_each_vf_counts_once() -> None:
    found = make_plan(desired(TEXT), site()).capacity
    assert found.pfs == [PfCapacity("pf.int", 7, pooled=3, running=1, off=1, other=1, declared=1, free=0)]
    assert found.pools == [PoolCapacity("pool.p", 3, ["web", "other"], ["other"], other=0, free=0)]


def test_names_are_quoted_as_everywhere() -> None:
    found = make_plan(desired(TEXT.replace("[pool.p]", '[pool."p.1"]').replace('pool = "p"', 'pool = "p.1"')), site())
    assert [pool.address for pool in found.capacity.pools] == ['pool."p.1"']


def test_it_is_that_of_the_actions_that_are_left() -> None:
    """A plan for one target doesn't promise what the others would take."""
    found = make_plan(desired(TEXT), site(), targets=["domain.db"]).capacity
    assert (found.pfs[0].running, found.pfs[0].off) == (0, 1)


def test_vfs_that_the_plan_makes_count() -> None:
    snapshot = host(igb(1), domains=[guest("web")])
    text = PF + '[pool.p]\npf = "int"\n[domain.web.nic.a]\npool = "p"\n'
    found = make_plan(desired(text), snapshot).capacity
    assert (found.pfs[0].vfs, found.pfs[0].pooled) == (7, 7)
    assert found.pools == [PoolCapacity("pool.p", 7, [], ["web"], other=0, free=6)]


def test_vfs_of_a_pool_that_others_have() -> None:
    snapshot = site()
    nic = Nic("interface", "ua-h", "52:54:00:00:00:09", vf(1))
    snapshot.libvirt.domains["byhand"] = guest("byhand", running=True, live=[nic], config=[nic])
    found = make_plan(desired(PF + '[pool.p]\nvfs = ["int/0-2"]\n'), snapshot).capacity
    assert found.pools == [PoolCapacity("pool.p", 3, ["other"], ["other"], other=1, free=0)]


def test_it_is_part_of_the_document_and_comes_back_from_it() -> None:
    plan = make_plan(desired(TEXT), site())
    assert load_plan(dump_plan(plan).encode(), "p").capacity == plan.capacity


def test_vfs_that_a_pool_lists_and_that_are_not_there_are_none() -> None:
    snapshot = site()
    network = snapshot.libvirt.networks["p"]
    network.live_addresses += ["0000:01:12.0", "zz"]
    found = make_plan(desired(PF + '[pool.p]\nvfs = ["int/0-2"]\n'), snapshot).capacity
    assert found.pools == [PoolCapacity("pool.p", 3, ["other"], ["other"], other=0, free=1)]


def test_nics_that_are_not_in_the_plan_want_nothing_yet() -> None:
    """Of those that a target, or an error, leaves out."""
    snapshot = site()
    text = TEXT.replace('[domain.web.nic.b]\nvf = "int/3"\n', '[domain.db.nic.b]\npool = "p"\n')
    found = make_plan(desired(text), snapshot, targets=["domain.db.nic.a"]).capacity
    assert (found.pools[0].running, found.pools[0].off) == (["other"], ["other"])
    snapshot.libvirt.domains["web"].other_aliases = ["ua-rec-a"]
    found = make_plan(desired(text), snapshot, partial=True).capacity
    assert (found.pools[0].running, found.pools[0].off) == (["other"], ["db", "other"])
