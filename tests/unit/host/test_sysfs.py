"""PFs and VFs from sysfs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from reconciler.host.local import sysfs as module
from reconciler.host.local.child import Reads
from reconciler.host.local.sysfs import Sysfs
from reconciler.host.model import Use
from tests.unit.host.tree import Tree


def test_a_pf_with_its_vfs(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.pf(vfs=3)
    notes: list[str] = []
    (pf,) = Sysfs(tmp_path, notes).pfs().values()
    assert (pf.id, pf.netdev, pf.driver, pf.vendor, pf.device_id) == (
        "pci/0000:01:00.0",
        "enp1s0",
        "igb",
        "8086",
        "10c9",
    )
    assert (pf.num_vfs, pf.total_vfs, pf.offset, pf.stride, pf.vf_device_id) == (3, 7, 128, 2, "10ca")
    assert (pf.autoprobe, pf.numa_node) == (True, None)
    assert [(vf.index, vf.address, vf.iommu_group, vf.driver, vf.driver_override) for vf in pf.vfs] == [
        (0, "0000:01:10.0", 10, None, None),
        (1, "0000:01:10.2", 11, None, None),
        (2, "0000:01:10.4", 12, None, None),
    ]
    assert notes == []


def test_vfs_stand_in_index_order_beyond_ten(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.pf(vfs=12)
    (pf,) = Sysfs(tmp_path, []).pfs().values()
    assert [vf.index for vf in pf.vfs] == list(range(12))


def test_what_is_no_pf_is_left_out(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.netdev("eth0", tree.device("virtio", "virtio0", "virtio_net"))
    tree.write("sys/class/net/bonding_masters", "")
    assert Sysfs(tmp_path, []).pfs() == {}
    assert Sysfs(tmp_path / "nothing", []).pfs() == {}


def test_the_links_count_and_not_the_number(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.write(f"{tree.pf(vfs=2)}/sriov_numvfs", "5\n")
    (pf,) = Sysfs(tmp_path, []).pfs().values()
    assert pf.num_vfs == len(pf.vfs) == 2


def test_sriov_numvfs_of_a_pci_device_is_never_read(tmp_path: Path) -> None:
    path = tmp_path / Tree(tmp_path).pf(vfs=1) / "sriov_numvfs"
    path.unlink()
    os.mkfifo(path)  # reading it would hang, as in the kernel while a write to it is stuck
    (pf,) = Sysfs(tmp_path, []).pfs().values()
    assert pf.num_vfs == 1


def test_netdevsim_has_vfs_by_index_alone(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.netdev("eni1np1", tree.device("netdevsim", "netdevsim1", "netdevsim", sriov_numvfs="2"))
    pf = Sysfs(tmp_path, []).pfs()["netdevsim/netdevsim1"]
    assert (pf.num_vfs, pf.total_vfs, pf.autoprobe, pf.vendor) == (2, None, None, None)
    assert [(vf.index, vf.address) for vf in pf.vfs] == [(0, None), (1, None)]


def test_of_several_netdevs_the_pf_is_no_representor(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    path = tree.pf(netdev="uplink")
    tree.netdev("aa_rep", path, phys_port_name="pf0vf1")
    tree.netdev("ab_rep", path, phys_port_name="c1pf0vf12")
    tree.netdev("ac_port2", path, phys_port_name="p1", dev_port="1")
    (pf,) = Sysfs(tmp_path, []).pfs().values()
    assert pf.netdev == "uplink"


def test_how_vf_drivers_show(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    path = tree.pf()
    tree.netdev("enp1s0v0", tree.vf(path, "0000:01:00.0", 0, "igbvf"))
    (tmp_path / tree.vf(path, "0000:01:00.0", 1, "igbvf") / "net").mkdir()
    tree.vf(path, "0000:01:00.0", 2, "igbvf")
    tree.write(f"{tree.vf(path, '0000:01:00.0', 3, 'vfio-pci')}/driver_override", "vfio-pci\n")
    tree.vf(path, "0000:01:00.0", 4, "mlx5_vfio_pci")
    vfs = Sysfs(tmp_path, []).pfs()["pci/0000:01:00.0"].vfs
    assert [(vf.netdev, [use.kind for use in vf.uses]) for vf in vfs] == [
        ("enp1s0v0", []),
        (None, ["namespace"]),
        (None, ["unknown"]),
        (None, []),
        (None, []),
    ]
    assert vfs[3].driver_override == "vfio-pci"


def test_uppers(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    path = tree.pf()
    tree.link(f"{path}/net/enp1s0/upper_br0", path)
    assert Sysfs(tmp_path, []).uppers("enp1s0") == ["br0"]


def test_refreshing_a_pf_that_is_gone(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.pf()
    sysfs = Sysfs(tmp_path, [])
    assert sysfs.some_pfs(["pci/0000:01:00.0", "pci/0000:09:00.0"]) == sysfs.pfs()


def test_a_pf_pulled_while_it_is_read_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / Tree(tmp_path).pf(vfs=1)
    notes: list[str] = []
    sysfs = Sysfs(tmp_path, notes)

    def pull(file: str) -> None:
        if path.exists():
            path.rename(tmp_path / "pulled")

    monkeypatch.setattr(sysfs, "_hex", pull)
    assert sysfs.pfs() == {}
    assert notes == ["pci/0000:01:00.0 disappeared while it was being read."]


def test_strange_contents_become_unknown_with_a_note(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    path = tree.pf()
    tree.write(f"{path}/sriov_totalvfs", "many\n")
    (tmp_path / path / "numa_node").unlink()
    (tmp_path / path / "numa_node").mkdir()
    notes: list[str] = []
    (pf,) = Sysfs(tmp_path, notes).pfs().values()
    assert (pf.total_vfs, pf.numa_node) == (None, None)
    assert any("'many'" in note for note in notes)
    assert any("Is a directory" in note for note in notes)


def test_an_override_that_hangs_is_unknown_with_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Tree(tmp_path).pf(vfs=2)
    monkeypatch.setattr(module, "read_files", lambda paths, _: Reads({paths[0]: "vfio-pci"}, paths[1]))
    notes: list[str] = []
    (pf,) = Sysfs(tmp_path, notes).pfs().values()
    assert [vf.driver_override for vf in pf.vfs] == ["vfio-pci", None]
    assert "does not answer" in notes[0]


def test_an_override_that_hangs_says_nothing_of_another_pf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2):
        Tree(tmp_path).pf(f"0000:0{number}:00.0", f"enp{number}s0", vfs=2)

    def read(paths: Sequence[str], seconds: float) -> Reads:
        hangs = next((path for path in paths if "/0000:01:" in path), None)
        before = paths[: paths.index(hangs)] if hangs else paths
        return Reads(dict.fromkeys(before, "vfio-pci"), hangs)

    monkeypatch.setattr(module, "read_files", read)
    notes: list[str] = []
    found = Sysfs(tmp_path, notes).some_pfs(["pci/0000:01:00.0", "pci/0000:02:00.0"])
    overrides = [[vf.driver_override for vf in pf.vfs] for pf in found.values()]
    assert (overrides, len(notes)) == ([[None, None], ["vfio-pci", "vfio-pci"]], 1)


def test_no_uses_are_shared_between_vfs(tmp_path: Path) -> None:
    Tree(tmp_path).pf(vfs=2)
    (pf,) = Sysfs(tmp_path, []).pfs().values()
    pf.vfs[0].uses.append(Use("unknown", ""))
    assert pf.vfs[1].uses == []
