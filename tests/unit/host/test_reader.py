"""The reader of this machine, below a root of its own."""

from __future__ import annotations

import json
import os
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.host.local import netlink, patience
from reconciler.host.local import reader as module
from reconciler.host.local.operator import Link, Links, Ssh
from reconciler.host.local.processes import Processes
from reconciler.host.local.reader import LocalReader
from reconciler.host.local.rtnl import attribute, ifinfo
from reconciler.host.local.saved import decode
from reconciler.host.model import Hang, HostIdentity, Use
from reconciler.host.protocol import Scope
from reconciler.host.snapshot import dump, load
from tests.unit.host.tree import Tree


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """A host with one PF and two VFs, whose netlink knows the PF."""
    tree = Tree(tmp_path)
    tree.pf(vfs=2)
    tree.write("proc/sys/kernel/hostname", "r620-01\n")
    tree.write("proc/sys/kernel/osrelease", "6.12.0\n")
    tree.write("proc/sys/kernel/random/boot_id", "b-1\n")
    link = Link(3, "enp1s0", True, 9000, True, "52:54:00:00:00:01")
    monkeypatch.setattr(netlink, "read_links", lambda ssh: Links({3: link}))
    monkeypatch.setattr(netlink, "fill_vfs", lambda pfs, notes: None)
    monkeypatch.setitem(sys.modules, "libvirt", None)
    return tree


def tell(monkeypatch: pytest.MonkeyPatch, told: Callable[[], bytes]) -> None:
    """Has the kernel say this of a PF's VFs."""
    monkeypatch.setattr(netlink.RtnlSocket, "get_link", lambda self, interface, mask: told())


def vlans(*found: int) -> bytes:
    """A link message of a PF with two VFs, and what these have."""
    entries = [
        attribute(1, struct.pack("=I32s", index, b"\2" * 6)) + attribute(2, struct.pack("=III", index, vlan, 0))
        for index, vlan in enumerate(found)
    ]
    listed = attribute(22, b"".join(attribute(1, entry) for entry in entries))
    return ifinfo(3) + attribute(21, struct.pack("=I", 2)) + listed


def test_observing(tree: Tree) -> None:
    snapshot = LocalReader("qemu:///system", tree.root).observe()
    assert snapshot.host == HostIdentity("r620-01", "", "b-1", "6.12.0")
    pf = snapshot.pfs["pci/0000:01:00.0"]
    assert (pf.mtu, pf.up, len(pf.vfs)) == (9000, True, 2)
    assert (snapshot.vfio_open, snapshot.libvirt.available, snapshot.notes) == ({}, False, [])
    assert snapshot.modules.loaded == ["igbvf", "vfio_pci"]
    assert pf.speed == 1000
    assert load(dump(snapshot).encode(), "f") == snapshot


def test_a_vf_is_known_by_its_address_before_it_is_made(tree: Tree) -> None:
    """A definition names it after a reboot. Of seven VFs two are there."""
    reader = LocalReader("qemu:///system", tree.root)
    is_vf = reader._is_vf(reader.observe())
    assert [is_vf(f"0000:01:{slot}") for slot in ("10.0", "10.2", "10.4", "11.4", "11.6", "00.0")] == [
        *[True] * 4,
        *[None, False],
    ]


def test_refreshing(tree: Tree) -> None:
    reader = LocalReader("qemu:///system", tree.root)
    snapshot = reader.observe()
    tree.vf("sys/devices/pci/0000:01:00.0", "0000:01:00.0", 2)
    tree.write("proc/modules", "")
    reader.refresh(snapshot, Scope("pf", "pci/0000:01:00.0"))
    assert snapshot.pfs["pci/0000:01:00.0"].num_vfs == 3
    assert snapshot.modules.loaded == ["igbvf", "vfio_pci"]
    reader.refresh(snapshot, Scope("modules", ""))
    assert snapshot.modules.loaded == []
    reader.refresh(snapshot, Scope("domain", "x"))
    reader.refresh(snapshot, Scope("pool", "x"))
    assert not snapshot.libvirt.available
    (tree.root / "sys/devices/pci/0000:01:00.0/sriov_numvfs").unlink()
    reader.refresh(snapshot, Scope("pf", "pci/0000:01:00.0"))
    assert snapshot.pfs == {}


def test_attributes_are_read_back_with_nothing_else(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = LocalReader("qemu:///system", tree.root)
    snapshot = reader.observe()
    (pf,) = snapshot.pfs.values()
    pf.mtu = 1  # Stays, as long as it isn't read.
    tell(monkeypatch, lambda: vlans(5, 6))
    reader.refresh(snapshot, Scope("vfs", pf.id))
    assert ([(vf.attributes or {})["vlan"] for vf in pf.vfs], snapshot.pfs[pf.id].mtu) == ([5, 6], 1)
    for message, why in ((vlans(5), "an entry is missing"), (b"", "it is cut short")):
        tell(monkeypatch, lambda told=message: told)
        snapshot.pfs[pf.id].mtu = 1
        reader.refresh(snapshot, Scope("vfs", pf.id))
        assert snapshot.pfs[pf.id].mtu == 9000, f"{why}: all is read"
    tell(monkeypatch, lambda: sys.exit("no such thing"))
    snapshot.pfs[pf.id].mtu = 1
    reader.refresh(snapshot, Scope("vfs", pf.id))
    assert snapshot.pfs[pf.id].mtu == 9000, "no answer: all is read"


def test_processes_are_looked_at_again_after_a_while_only(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = LocalReader("qemu:///system", tree.root)
    snapshot = reader.observe()
    (pf,) = snapshot.pfs.values()
    tell(monkeypatch, lambda: vlans(5, 6))
    looks = []
    real = reader._patience.look
    monkeypatch.setattr(reader._patience, "look", lambda *given: looks.append(given) or real(*given))
    reader.refresh(snapshot, Scope("vfs", pf.id))
    assert looks == []
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 6)
    reader.refresh(snapshot, Scope("vfs", pf.id))
    assert len(looks) == 1


def test_attributes_are_not_asked_for_behind_a_question_that_hangs(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """One process waits, of this run; no other is made to wait behind it until it is back."""
    reader = LocalReader("qemu:///system", tree.root)
    snapshot = reader.observe()
    (identity,) = snapshot.pfs
    made: list[str] = []
    real = module.ask

    def count(function: Callable[..., object], *arguments: object, seconds: float, name: str) -> object:
        made.append(name)
        return real(function, *arguments, seconds=seconds, name=name)

    monkeypatch.setattr(module, "ask", count)
    monkeypatch.setattr(module, "_NETWORK_SECONDS", 0.2)
    os.mkfifo(tree.root / "stuck")
    tell(monkeypatch, lambda: (tree.root / "stuck").read_bytes())
    for _ in range(3):
        reader.refresh(snapshot, Scope("vfs", identity))
        assert (len(made), snapshot.pfs[identity].uses[0].kind) == (1, "unknown")
    with open(tree.root / "stuck", "w"):
        pass
    os.waitid(os.P_PID, reader._left_behind, os.WEXITED | os.WNOWAIT)
    tell(monkeypatch, lambda: vlans(5, 6))
    reader.refresh(snapshot, Scope("vfs", identity))
    assert (len(made), [(vf.attributes or {})["vlan"] for vf in snapshot.pfs[identity].vfs]) == (2, [5, 6])


def test_attributes_are_not_asked_for_behind_another_run(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = LocalReader("qemu:///system", tree.root)
    snapshot = reader.observe()
    (identity,) = snapshot.pfs
    monkeypatch.setattr(patience, "look", lambda root, notes: Processes(waiting={"reconciler-net": [4711]}))
    reader.refresh(snapshot, Scope("pf", identity))
    monkeypatch.setattr(module, "ask", lambda *_, **__: pytest.fail("it was asked"))
    reader.refresh(snapshot, Scope("vfs", identity))
    assert "process 4711 waits" in snapshot.notes[-1]


def test_without_netlink_everything_counts_as_used(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(ssh: Ssh | None) -> Links:
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr(netlink, "read_links", refuse)
    tree.netdev("enp1s0v0", "sys/devices/pci/0000:01:10.0")
    snapshot = LocalReader("qemu:///system", tree.root).observe()
    pf = snapshot.pfs["pci/0000:01:00.0"]
    unknown = [Use("unknown", "the network interfaces can't be read")]
    assert (pf.uses, pf.vfs[0].uses, pf.vfs[1].uses) == (unknown, unknown, [])
    assert "Address family not supported" in snapshot.notes[0]
    assert (pf.up, pf.mtu, pf.carrier) == (None, None, None)


def test_a_kernel_that_does_not_answer_is_not_waited_for(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netlink, "read_links", lambda ssh: time.sleep(30))
    monkeypatch.setattr(module, "_NETWORK_SECONDS", 0.1)
    reader = LocalReader("qemu:///system", tree.root)
    started = time.monotonic()
    snapshot = reader.observe()
    assert time.monotonic() - started < 5
    pf = snapshot.pfs["pci/0000:01:00.0"]
    assert (pf.up, pf.uses[0].kind, len(pf.vfs)) == (None, "unknown", 2)
    (note,) = snapshot.notes
    assert "the kernel does not answer" in note
    assert "RTNL" in note


def test_nor_are_the_processes_above_us(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """What they have in their environment is read under the lock of their memory (fs/proc/base.c, environ_open)."""
    monkeypatch.setattr(netlink, "find_ssh", lambda *asker: time.sleep(60))
    monkeypatch.setattr(module, "_NETWORK_SECONDS", 0.1)
    begun = time.monotonic()
    snapshot = LocalReader("qemu:///system", tree.root).observe()
    assert time.monotonic() < begun + 30
    assert any("network interfaces can't be read" in note for note in snapshot.notes)


def test_where_one_of_ours_waits_already_no_other_is_sent(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Processes({}, waiting={"reconciler-net": [50], "reconciler-get": [51]})
    monkeypatch.setattr(patience, "look", lambda root, notes: seen)
    tree.write("sys/devices/pci/0000:01:10.0/driver_override", "vfio-pci\n")
    snapshot = LocalReader("qemu:///system", tree.root).observe()
    pf = snapshot.pfs["pci/0000:01:00.0"]
    assert (pf.up, pf.vfs[0].driver_override) == (None, None)
    assert "process 50 waits" in snapshot.notes[0]


def test_of_a_pf_on_which_the_kernel_hangs_nothing_is_read_that_takes_its_lock(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang = Hang(
        50, "sh", "/sys/x/sriov_numvfs", "pci/0000:01:00.0", "2026-01-01T00:00:00Z", "f", ["VF 1: dpdk (pid 9)"]
    )
    monkeypatch.setattr(patience, "look", lambda root, notes: Processes({}, [hang]))
    for path in ("0000:01:10.0/driver_override", "0000:01:00.0/sriov_numvfs"):
        (tree.root / "sys/devices/pci" / path).unlink()
        os.mkfifo(tree.root / "sys/devices/pci" / path)
    reader = LocalReader("qemu:///system", tree.root)
    snapshot = reader.observe()
    reader.refresh(snapshot, Scope("pf", "pci/0000:01:00.0"))
    assert snapshot.hangs == [hang]
    assert snapshot.notes == [
        "The kernel hangs: process 50 (sh) has been writing to /sys/x/sriov_numvfs since 2026-01-01T00:00:00Z (in f). "
        "Held: VF 1: dpdk (pid 9)."
    ]


def test_what_libvirt_puts_back(tree: Tree) -> None:
    tree.bind("sys/devices/pci/0000:01:10.0", "pci", "vfio-pci")
    tree.bind("sys/devices/pci/0000:01:10.2", "pci", "vfio-pci")
    saved = json.dumps({"adminMac": "52:54:00:00:00:33", "vlanTag": 55})
    tree.write("run/libvirt/hostdevmgr/enp1s0_vf0", saved)
    tree.write("run/libvirt/hostdevmgr/enp1s0_vf1", "[]")
    snapshot = LocalReader("qemu:///system", tree.root).observe()
    vfs = snapshot.pfs["pci/0000:01:00.0"].vfs
    assert [vf.saved for vf in vfs] == [{"mac": "52:54:00:00:00:33", "vlan": 55}, None]
    assert snapshot.notes == ["What libvirt saved of enp1s0 vf 1 can't be read: it is no JSON object."]


def test_the_mac_of_the_hosts_netdev_goes_first() -> None:
    text = b'{"mac": "52:54:00:00:00:AA", "adminMac": "00:00:00:00:00:00", "vlanTag": 0}'
    assert decode(text) == {"mac": "52:54:00:00:00:aa", "vlan": 0}
    assert decode(b"{}") == {"vlan": 0}
    with pytest.raises(ValueError, match="line 1"):
        decode(b"")
