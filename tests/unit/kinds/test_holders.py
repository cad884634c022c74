"""Who holds VFs: libvirt and the open VFIO groups are both asked."""

from __future__ import annotations

from reconciler.host.model import Libvirt, Nic, Pf, Process, Snapshot, Use
from reconciler.kinds.holders import find_holders
from tests.hosts import guest, host, igb

VF1 = ("pci/0000:01:00.0", 1)
QEMU = "qemu-system-x86"


def held(*processes: Process, known: bool = True) -> Snapshot:
    """VF 1 is bound to vfio-pci and opened by these; libvirt says that guest web has it, or nothing."""
    pf: Pf = igb(1, 2)
    pf.vfs[1].driver = "vfio-pci"
    nic = Nic("interface", "ua-rec-a", None, "0000:01:10.2")
    found = host(pf, domains=[guest("web", running=True, live=[nic] if known else [])])
    found.vfio_open = {101: list(processes)}
    return found


def who(snapshot: Snapshot) -> list[str]:
    return [str(holder) for holder in find_holders(snapshot).get(VF1, [])]


def test_the_qemu_of_the_guest_that_libvirt_names_is_that_guest() -> None:
    assert who(held(Process(9, QEMU, "web"))) == ["guest web (ua-rec-a)"]
    assert who(held(Process(9, QEMU))) == ["guest web (ua-rec-a)"], "its arguments could not be read"
    assert who(held()) == ["guest web (ua-rec-a)"], "it is being attached"


def test_another_process_holds_it_beside_the_guest_that_libvirt_names() -> None:
    assert who(held(Process(9, QEMU, "web"), Process(10, "dpdk-testpmd"))) == [
        "guest web (ua-rec-a)",
        "process dpdk-testpmd (pid 10)",
    ]
    assert who(held(Process(9, QEMU, "other"))) == [
        "guest web (ua-rec-a)",
        f"process {QEMU} (pid 9, guest other)",
    ]


def test_a_guest_that_libvirt_does_not_tell_of_is_named_by_its_qemu() -> None:
    assert who(held(Process(9, QEMU, "web"), known=False)) == [f"process {QEMU} (pid 9, guest web)"]
    down = held(Process(9, QEMU, "web"))
    down.libvirt = Libvirt(reason="It is down.")
    assert who(down) == [f"process {QEMU} (pid 9, guest web)"]


def test_groups_that_can_not_be_read_make_a_vf_held() -> None:
    hidden = held(known=False)
    hidden.vfio_open = None
    assert who(hidden) == ["unknown (bound to vfio-pci, and the open VFIO groups could not be read)"]
    known = held()
    known.vfio_open = None
    assert who(known) == ["guest web (ua-rec-a)"]
    hidden.pfs[VF1[0]].vfs[1].driver = None
    assert who(hidden) == []


def test_a_vf_that_carries_the_operators_connection_says_so() -> None:
    found = held(known=False)
    vf = found.pfs[VF1[0]].vfs[1]
    vf.driver, vf.netdev = "igbvf", "enp1s0v1"
    vf.uses = [Use("ssh", "your SSH connection from 192.0.2.7 comes in over enp1s0v1"), Use("route", "default")]
    assert who(found) == [
        "the host (enp1s0v1: your SSH connection from 192.0.2.7 comes in over enp1s0v1)",
        "the host (enp1s0v1: route default)",
    ]
