"""Pools that can't serve their guests, and what stands on their VFs."""

from __future__ import annotations

import pytest

from reconciler.host.model import Applied, Domain, Network, NetworkPort, Nic, Process, Snapshot, Use
from reconciler.plan.document import Plan
from reconciler.plan.drift import find_drift
from reconciler.plan.planner import make_plan
from tests.hosts import desired, guest, host, igb

PF = '[pf.int]\nmatch = { name = "enp1s0" }\nlink = "up"\nvfs = 4\n'
POOL = PF + '[pool.p]\nvfs = ["int/0-2"]\n'
MAC = "52:54:00:00:01:0"


def vf(index: int) -> str:
    return igb(1, 7).vfs[index].address or ""


def pool(*indices: int, active: bool = True, ports: tuple[NetworkPort, ...] = ()) -> Network:
    addresses = [vf(index) for index in indices or (0, 1, 2)]
    live = list(addresses) if active else []
    return Network("p", "u", active, True, False, "hostdev", None, addresses, live, list(ports))


def drawn(key: str, number: int, index: int | None = None, name: str = "p") -> Nic:
    """A NIC of the pool; with a VF: the live one."""
    return Nic("pool", f"ua-{key}", f"{MAC}{number}", vf(index) if index is not None else None, name)


def on(name: str, *nics: tuple[str, int, int]) -> Domain:
    """A running guest with NICs of the pool: key, number, and its VF."""
    live = [drawn(*nic) for nic in nics]
    return guest(name, running=True, live=live, config=[drawn(*nic[:2]) for nic in nics])


def port(owner: str, number: int, index: int) -> NetworkPort:
    return NetworkPort(owner, f"{MAC}{number}", vf(index))


def site(*domains: Domain, network: Network | None = None, vfs: int = 4) -> Snapshot:
    snapshot = host(igb(1, vfs, up=True, carrier=True), domains=domains, networks=[network or pool()])
    for domain in domains:
        for nic in domain.live:
            found = next(
                (item for item in snapshot.pfs["pci/0000:01:00.0"].vfs if item.address == nic.vf_address), None
            )
            if found is not None:
                found.driver = "vfio-pci"
    return snapshot


def plan(text: str, snapshot: Snapshot) -> Plan:
    return make_plan(desired(text), snapshot)


def finding(found: Plan, code: str) -> tuple[str, str, str]:
    """Severity, address and detail of the one finding with this code."""
    ((severity, address, detail),) = [(d.severity, d.address, d.detail) for d in found.diagnostics if d.code == code]
    return severity, address, detail


def codes(found: Plan) -> set[str]:
    return {d.code for d in found.diagnostics}


def nics(domain: str, *keys: str) -> str:
    return "".join(f'[domain.{domain}.nic.{key}]\npool = "p"\n' for key in keys)


def test_all_guests_of_the_host_want_vfs_of_a_pool_whether_declared_or_not() -> None:
    other = on("other", ("x", 1, 0))
    snapshot = site(guest("web"), other, network=pool(ports=(port("other", 1, 0),)))
    assert codes(plan(POOL + nics("web", "a", "b"), snapshot)) == set()
    severity, address, detail = finding(plan(POOL + nics("web", "a", "b", "c"), snapshot), "pool-oversubscribed")
    assert (severity, address) == ("error", "pool.p")
    assert "3 VFs, and 4 NICs" in detail
    assert "domain.web.nic.a (off)" in detail
    assert "other (ua-x)" in detail
    other.running, other.live = False, []
    snapshot.libvirt.networks["p"].ports = []
    severity, _, detail = finding(plan(POOL + nics("web", "a", "b", "c"), snapshot), "pool-oversubscribed")
    assert severity == "warning"
    assert "other (ua-x, off)" in detail


def test_a_nic_counts_once_and_where_it_will_be() -> None:
    """The live NIC and its definition are one; one that is only in the definition wants a VF at the next start; the
    portgroup, a transient guest and one that leaves."""
    transient = on("transient", ("t", 1, 0))
    transient.persistent, transient.config = False, []
    later = on("later", ("l", 2, 1))
    later.config.append(drawn("m", 3))
    ports = (port("transient", 1, 0), port("later", 2, 1))
    snapshot = site(transient, later, guest("web"), network=pool(ports=ports))
    severity, _, detail = finding(plan(POOL + nics("web", "a"), snapshot), "pool-oversubscribed")
    assert severity == "warning"
    assert "4 NICs: domain.web.nic.a (off), transient (ua-t), later (ua-l), later (ua-m, off)." in detail
    gone = POOL + nics("web", "a") + f'[domain.later.nic.l]\nstate = "absent"\npool = "p"\nmac = "{MAC}2"\n'
    assert "pool-oversubscribed" not in codes(plan(gone, snapshot))


def test_a_nic_that_moves_elsewhere_wants_none_of_the_pool() -> None:
    web = on("web", ("rec-a", 1, 0))
    snapshot = site(web, guest("db"), network=pool(0, ports=(port("web", 1, 0),)))
    text = PF + '[pool.p]\nvfs = ["int/0"]\n' + nics("db", "b")
    assert "pool-oversubscribed" in codes(plan(text, snapshot))
    assert "pool-oversubscribed" not in codes(plan(text + '[domain.web.nic.a]\nvf = "int/3"\n', snapshot))


def test_vfs_that_others_have_are_not_the_pools_to_give() -> None:
    byhand = Nic("interface", "ua-h", f"{MAC}9", vf(1))
    snapshot = site(guest("web"), guest("db", running=True, live=[byhand], config=[byhand]))
    severity, address, detail = finding(plan(POOL + nics("web", "a", "b"), snapshot), "pool-vf-held")
    assert (severity, address) == ("warning", "pool.p")
    assert "int/1: guest db (ua-h) has it" in detail
    assert 'vfs = ["int/0,2"]' in detail
    found = plan(POOL + nics("web", "a", "b", "c"), snapshot)
    severity, _, detail = finding(found, "pool-oversubscribed")
    assert severity == "error"
    assert "3 VFs, int/1 of them with guest db (ua-h), and 3 NICs" in detail


@pytest.mark.parametrize("kind", ["process", "host", "promised"])
def test_whoever_else_has_a_vf_of_a_pool(kind: str) -> None:
    snapshot = site(guest("web"))
    item = snapshot.pfs["pci/0000:01:00.0"].vfs[1]
    if kind == "process":
        item.driver, snapshot.vfio_open = "vfio-pci", {item.iommu_group or 0: [Process(77, "dpdk")]}
    elif kind == "host":
        item.driver, item.netdev, item.uses = "igbvf", "eth7", [Use("address", "192.0.2.7/24")]
    else:
        snapshot.libvirt.domains["off"] = guest("off", config=[Nic("hostdev", "ua-h", None, vf(1))])
    _, _, detail = finding(plan(POOL, snapshot), "pool-vf-held")
    expected = {
        "process": "dpdk (pid 77) has it",
        "host": "192.0.2.7/24) uses it. libvirt takes it away",
        "promised": "guest off (ua-h) is off and names it in its definition. Whoever comes second",
    }
    assert expected[kind] in detail
    whole = PF + '[pool.p]\npf = "int"\n'
    assert 'vfs = ["int/0,2-3"] in place of pf.' in finding(plan(whole, snapshot), "pool-vf-held")[2]


def test_a_nic_that_this_plan_takes_off_a_vf_of_the_pool_is_no_finding() -> None:
    web = Nic("interface", "ua-rec-a", f"{MAC}1", vf(1))
    snapshot = site(guest("web", running=True, live=[web], config=[Nic("interface", "ua-rec-a", f"{MAC}1", vf(1))]))
    snapshot.vfio_open = {101: [Process(5, "qemu-system-x86", "web")]}
    found = plan(POOL + f'[domain.web.nic.a]\nvf = "int/3"\nmac = "{MAC}1"\n', snapshot)
    assert codes(found) == set()
    assert found.verdict == "changes"


def test_a_vf_that_libvirt_would_give_twice_is_refused_before() -> None:
    """After net-destroy and net-start under a running guest the pool offers its VF to the next."""
    snapshot = site(on("other", ("x", 1, 0)), guest("web", running=True))
    found = plan(POOL + nics("web", "a"), snapshot)
    assert found.verdict == "blocked"
    severity, address, detail = finding(found, "pool-cannot-serve")
    assert (severity, address) == ("error", "domain.web.nic.a")
    assert "int/0" in detail
    assert "guest other" in detail
    assert "systemctl restart libvirtd" in detail
    assert finding(found, "pool-forgot")[0] == "warning"
    snapshot.libvirt.networks["p"].ports = [port("other", 1, 0)]
    found = plan(POOL + nics("web", "a"), snapshot)
    assert (found.verdict, codes(found)) == ("changes", set())


def test_a_vf_of_another_method_is_refused_before_libvirt_refuses_it() -> None:
    byhand = Nic("interface", "ua-h", f"{MAC}9", vf(0))
    snapshot = site(guest("web", running=True), guest("db", running=True, live=[byhand], config=[byhand]))
    found = plan(POOL + nics("web", "a"), snapshot)
    assert "guest db (ua-h) has it" in finding(found, "pool-cannot-serve")[2]
    assert "int/0 is the next" not in finding(found, "pool-vf-held")[2]


def test_what_a_plan_starts_has_forgotten_its_guests_too() -> None:
    """The pool was stopped under a guest: this very plan starts it."""
    snapshot = site(on("other", ("x", 1, 0)), network=pool(active=False))
    found = plan(POOL, snapshot)
    assert [action.op for action in found.actions] == ["pool.start"]
    assert "is started by this plan" in finding(found, "pool-forgot")[2]


def test_an_old_libvirt_that_tells_no_ports_is_not_taken_for_one_that_forgot() -> None:
    snapshot = site(on("other", ("x", 1, 0)), guest("web", running=True))
    snapshot.libvirt.version = 4_005_000
    assert codes(plan(POOL + nics("web", "a"), snapshot)) == set()


def test_a_pool_that_grows_while_in_use_has_nothing_more_to_give_yet() -> None:
    snapshot = site(on("other", ("x", 1, 0)), guest("web", running=True))
    snapshot.libvirt.networks["p"] = pool(0, ports=(port("other", 1, 0),))
    found = plan(POOL + nics("web", "a"), snapshot)
    detail = finding(found, "pool-cannot-serve")[2]
    assert "p gives out int/0, and all of them are given." in detail
    assert "virsh net-destroy p; virsh net-start p" in detail
    severity, _, detail = finding(found, "pending-restart")
    assert severity == "note"
    assert "Guests have VFs of it (other" in detail


def test_a_list_with_vfs_that_are_no_longer_there() -> None:
    snapshot = site(on("other", ("x", 1, 0)), guest("web", running=True), vfs=2)
    snapshot.libvirt.networks["p"] = pool(0, 3, ports=(port("other", 1, 0),))
    snapshot.libvirt.networks["p"].addresses, snapshot.libvirt.networks["p"].pf_dev = [], "enp1s0"
    text = PF.replace("vfs = 4\n", "") + '[pool.p]\npf = "int"\n'
    severity, _, detail = finding(plan(text, snapshot), "pending-restart")
    assert severity == "warning"
    assert f"{vf(3)} isn't there" in detail
    found = plan(text + nics("web", "a"), snapshot)
    assert f"would be {vf(3)}, which isn't there" in finding(found, "pool-cannot-serve")[2]


def test_what_was_set_for_a_guest_that_is_gone() -> None:
    snapshot = site(guest("web"))
    card = snapshot.pfs["pci/0000:01:00.0"]
    for item in card.vfs:
        assert item.attributes is not None
        item.attributes["max_tx_rate"] = 100
    severity, address, detail = finding(plan(POOL, snapshot), "vf-left-over")
    assert (severity, address) == ("warning", "pool.p")
    assert "int/0: max_tx_rate 100; int/1: max_tx_rate 100; int/2: max_tx_rate 100." in detail  # 3 is in no pool.
    assert "reconciler reset enp1s0/0 enp1s0/1 enp1s0/2." in detail
    told = [d for d in find_drift(desired(POOL), snapshot).diagnostics if d.code == "vf-left-over"]
    assert [d.severity for d in told] == ["warning"]
    assert codes(plan(POOL + '[pf.int.vf."0-3"]\nmax_tx_rate = 100\n', snapshot)) == set()


def test_what_was_set_for_a_guest_and_another_one_has_now() -> None:
    snapshot = site(on("other", ("x", 1, 0)), network=pool(ports=(port("other", 1, 0),)))
    attributes = snapshot.pfs["pci/0000:01:00.0"].vfs[0].attributes
    assert attributes is not None
    attributes |= {"max_tx_rate": 100, "trust": True}
    assert codes(plan(POOL, snapshot)) == set()  # Somebody may have set it for him.
    snapshot.ledger = {"pci/0000:01:00.0/0": {"max_tx_rate": Applied(100, "boot-1", "run")}}
    detail = finding(plan(POOL, snapshot), "vf-left-over")[2]
    assert "int/0 (guest other (ua-x) has it now): max_tx_rate 100." in detail
    assert "reset enp1s0/0 --allow guest." in detail
    snapshot.ledger["pci/0000:01:00.0/0"]["max_tx_rate"].boot_id = "boot-0"
    assert codes(plan(POOL, snapshot)) == set()


def test_attributes_follow_a_nic_to_the_vf_that_libvirt_chose_this_time() -> None:
    text = POOL + f'[domain.web.nic.a]\npool = "p"\nmac = "{MAC}1"\nmax_tx_rate = 100\n'
    snapshot = site(on("web", ("rec-a", 1, 1)), network=pool(ports=(port("web", 1, 1),)))
    before = snapshot.pfs["pci/0000:01:00.0"].vfs[0].attributes
    assert before is not None
    before["max_tx_rate"] = 100  # Where it was until its last stop.
    snapshot.pfs["pci/0000:01:00.0"].vfs[1].attributes["mac"] = f"{MAC}1"  # type: ignore[index]
    found = plan(text, snapshot)
    assert [(a.op, a.args["vf"], a.args["set"]) for a in found.actions] == [("vf.set", 1, {"max_tx_rate": 100})]
    assert "int/0: max_tx_rate 100." in finding(found, "vf-left-over")[2]


def test_a_guest_that_has_the_vf_by_hand_would_not_get_it_a_second_time_either() -> None:
    byhand = Nic("interface", "ua-h", f"{MAC}9", vf(0))
    snapshot = site(guest("web", running=True, live=[byhand], config=[]))
    assert "guest web (ua-h) has it" in finding(plan(POOL + nics("web", "a"), snapshot), "pool-cannot-serve")[2]


def test_a_file_that_leaves_a_held_vf_out_waits_for_the_pool_to_be_started_anew() -> None:
    byhand = Nic("interface", "ua-h", f"{MAC}9", vf(1))
    db = guest("db", running=True, live=[byhand], config=[byhand])
    snapshot = site(
        on("other", ("x", 1, 0)), guest("web", running=True), db, network=pool(ports=(port("other", 1, 0),))
    )
    text = PF + '[pool.p]\nvfs = ["int/0,2-3"]\n'
    assert "net-destroy p; virsh net-start p" in finding(plan(text, snapshot), "pool-vf-held")[2]
    assert (
        "net-destroy p; virsh net-start p" in finding(plan(text + nics("web", "a"), snapshot), "pool-cannot-serve")[2]
    )


def test_vfs_that_are_made_again_are_nobodys_any_more() -> None:
    """A guest that is not declared loses its VF with the others: what it had is no obstacle to what comes after."""
    snapshot = site(on("other", ("x", 1, 0)), guest("web", running=True), network=pool(ports=(port("other", 1, 0),)))
    found = plan(POOL.replace("vfs = 4", "vfs = 6") + nics("web", "a"), snapshot)
    assert codes(found) == set()
    assert found.disruption == "guest"


def test_a_guest_whose_nic_the_pool_forgot_would_not_get_its_vf_a_second_time_either() -> None:
    """What the pool is predicted to give to the one NIC doesn't make it know of the other."""
    snapshot = site(on("web", ("x", 1, 0)))
    found = plan(POOL + nics("web", "a"), snapshot)
    assert "systemctl restart libvirtd" in finding(found, "pool-cannot-serve")[2]
    assert "int/0 (guest web)" in finding(found, "pool-forgot")[2]


def test_a_pool_that_becomes_another_pfs_while_a_vf_of_its_old_list_is_held() -> None:
    byhand = Nic("interface", "ua-h", f"{MAC}9", vf(1))
    db = guest("db", running=True, live=[byhand], config=[byhand])
    snapshot = site(on("other", ("x", 1, 0)), db, network=pool(ports=(port("other", 1, 0),)))
    snapshot.pfs["pci/0000:02:00.0"] = igb(2, 3, up=True, carrier=True)
    text = '[pf.int]\nmatch = { name = "enp1s0" }\n[pf.ext]\nmatch = { name = "enp2s0" }\n[pool.p]\npf = "ext"\n'
    found = plan(text, snapshot)
    assert [action.op for action in found.actions] == ["pool.define"]
    assert "net-destroy p; virsh net-start p" in finding(found, "pool-vf-held")[2]


def test_what_a_pool_of_a_whole_pf_would_be_without_a_vf_when_no_count_is_declared() -> None:
    snapshot = site(guest("off", config=[Nic("hostdev", "ua-h", None, vf(1))]))
    text = PF.replace("vfs = 4\n", "") + '[pool.p]\npf = "int"\n'
    assert 'vfs = ["int/0,2-3"] in place of pf.' in finding(plan(text, snapshot), "pool-vf-held")[2]


def test_a_vf_that_was_put_into_a_guest_of_the_pool_by_hand_is_no_vf_that_the_pool_forgot() -> None:
    web = on("web", ("rec-a", 1, 0))
    web.live.append(Nic("hostdev", "hostdev1", None, vf(1)))
    snapshot = site(web, guest("idle", running=True), network=pool(ports=(port("web", 1, 0),)))
    found = plan(POOL + nics("web", "a"), snapshot)
    assert codes(found) == {"pool-vf-held"}
    assert "int/1: guest web (hostdev1) has it" in finding(found, "pool-vf-held")[2]
    detail = finding(plan(POOL + nics("web", "a") + nics("idle", "z"), snapshot), "pool-cannot-serve")[2]
    assert "leave it out of the pool" in detail
    assert "restart" not in detail, "it would put nothing right"
