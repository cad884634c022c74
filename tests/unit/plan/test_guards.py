"""What apply refuses."""

from __future__ import annotations

from reconciler.host.model import Nic, Process, Snapshot, Use
from reconciler.plan.guards import refusals, way_out
from reconciler.plan.planner import make_plan
from reconciler.state.desired import Disruption
from tests.hosts import desired, guest, host, igb

GROW = '[pf.int]\nmatch = { name = "enp1s0" }\nvfs = 4\n'
NIC = '[domain.web.nic.a]\nvf = "int/1"\nmac = "52:54:00:00:00:01"\n'


def held() -> Snapshot:
    pf = igb(1, 2, up=True, carrier=True)
    nic = Nic("interface", "ua-rec-a", "52:54:00:00:00:01", "0000:01:10.2")
    return host(pf, domains=[guest("web", running=True, live=[nic], config=[nic])])


def refused(text: str, snapshot: Snapshot, *allow: Disruption) -> list[str]:
    wanted = desired(text)
    return refusals(make_plan(wanted, snapshot), wanted, snapshot, allow)


def test_vfs_that_nobody_holds_may_be_made_again() -> None:
    assert refused(GROW, host(igb(1, 2))) == []


def test_a_stricter_policy_counts() -> None:
    found = refused('[policy]\ndisruption = "none"\n' + GROW, host(igb(1, 2)))
    assert len(found) == 1
    assert "is of class vf-reset" in found[0]


def test_a_guest_is_named_with_its_nic() -> None:
    found = refused(GROW + NIC, held())
    assert any("is of class guest: web: ua-rec-a on VF 1" in item for item in found)


def test_a_declared_nic_may_be_taken_off_when_that_is_allowed() -> None:
    assert refused(GROW + 'link = "up"\n' + NIC, held(), "guest") == []
    assert refused(GROW + NIC, held(), "management") == []


def test_a_nic_that_the_file_does_not_manage_is_never_destroyed() -> None:
    found = refused(GROW, held(), "management")
    assert len(found) == 1
    assert "virsh detach-device-alias web ua-rec-a --live" in found[0]


def test_a_pf_that_the_host_uses_takes_management() -> None:
    pf = igb(1, 0, up=True, carrier=True)
    pf.uses = [Use("address", "192.0.2.1/24")]
    found = refused(GROW, host(pf), "guest")
    assert len(found) == 1
    assert "192.0.2.1/24" in found[0]
    assert refused(GROW, host(pf), "management") == []


def test_another_host_is_refused() -> None:
    text = '[host]\nname = "other"\n' + GROW
    assert "this is 'lab'" in refused(text, host(igb(1, 0)))[0]
    named = host(igb(1, 0))
    named.host.name = "other.example.net"
    assert refused(text, named) == []


def test_a_driver_that_has_more_than_vfs_takes_management() -> None:
    pf = igb(1, 2)
    pf.vfs[0].driver = "igbvf"
    snapshot = host(pf, loaded=["igbvf"])
    text = '[modules]\nblacklist = ["igbvf"]\n'
    snapshot.modules.devices = {"igbvf": [pf.vfs[0].address or ""]}
    assert refused(text, snapshot) == []
    snapshot.modules.devices["igbvf"].append("0000:00:05.0")
    assert "0000:00:05.0" in refused(text, snapshot, "guest")[0]
    assert refused(text, snapshot, "management") == []


WAY = "your SSH connection from 192.0.2.7 comes in over br0 → bond0.100 → bond0 → enp1s0"


def test_the_way_to_the_operator_is_named_step_by_step() -> None:
    pf = igb(1, 0, up=True, carrier=True)
    pf.uses = [Use("ssh", WAY), Use("master", "bond0")]
    (found,) = refused(GROW + "mtu = 9000\n", host(pf), "guest")[:1]
    for part in ("of pf.int is of class management", f"enp1s0: {WAY}", "enp1s0: master bond0"):
        assert part in found
    plan = make_plan(desired(GROW + "mtu = 9000\n"), host(pf))
    told = way_out(plan, desired(GROW), ["guest"])
    assert told == ("management", "a PF that the host itself uses may lose its link")
    assert refused(GROW + "mtu = 9000\n", host(pf), "management") == []


def test_each_refused_step_is_a_line_of_its_own() -> None:
    pf, other = igb(1, 2, up=True, carrier=True), igb(2, 2)
    pf.uses = [Use("ssh", WAY)]
    text = f'[policy]\ndisruption = "none"\n{GROW}[pf.ext]\nmatch = {{ name = "enp2s0" }}\nvfs = 3\n'
    found = refused(text, host(pf, other))
    assert len(found) == len(set(found))
    assert {line.split(": ")[0] for line in found} >= {
        "pf.set_numvfs of pf.int is of class management",
        "pf.set_numvfs of pf.ext is of class vf-reset",
    }


def test_a_guest_without_which_the_count_would_hang_is_refused_with_whoever_else_holds_the_vf() -> None:
    snapshot = held()
    vf = snapshot.pfs["pci/0000:01:00.0"].vfs[1]
    vf.driver, snapshot.vfio_open = "vfio-pci", {101: [Process(9, "qemu-system-x86", "web"), Process(10, "dpdk")]}
    found = refused(GROW + NIC, snapshot, "management")
    assert found == ["pf.int: VF 1 is held by process dpdk (pid 10), and can't be removed before that lets go of it."]


def test_once_guests_run_libvirt_has_to_be_asked() -> None:
    snapshot = host(igb(1, 2))
    snapshot.libvirt.by_files = True
    assert refused(GROW, snapshot) == []
    snapshot.vfio_open = {101: [Process(7, "qemu-system-x86", "web")]}
    (found,) = refused(GROW, snapshot)
    assert "in use by qemu-system-x86 (pid 7, guest web): apply without --early" in found
    assert refused(GROW.replace("4", "2"), snapshot) == []
    snapshot.vfio_open = None
    assert "not known who" in refused(GROW, snapshot)[0]
