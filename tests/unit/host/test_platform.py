"""What doctor reads of this machine, from recorded and broken files."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import pytest

from reconciler.host.local.capability import sriov_total
from reconciler.host.local.guest_hardware import guest_hardware
from reconciler.host.local.libvirt_xml import parse
from reconciler.host.local.numa import nodes_of_cpus
from reconciler.host.local.owners import read_owners
from reconciler.host.local.platform import read_platform
from reconciler.host.model import GuestHardware
from reconciler.host.platform import IommuGroup
from tests.unit.host.tree import Tree

PFS = {"0000:01:00.0": ["enp1s0"]}


def config(*capabilities: tuple[int, int, int]) -> bytes:
    """4096 bytes with extended capabilities: where, id, where the next one is."""
    data = bytearray(4096)
    for offset, identity, following in capabilities:
        struct.pack_into("<I", data, offset, identity | 1 << 16 | following << 20)
        struct.pack_into("<H", data, offset + 0x0E, 63)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "total"),
    [
        (config((0x100, 0x10, 0)), 63),
        (config((0x100, 0x01, 0x160), (0x160, 0x10, 0)), 63),
        (config((0x100, 0x01, 0x160), (0x160, 0x03, 0x100)), None),
        (config((0x100, 0x01, 0)), None),
        (b"\xff" * 4096, None),
        (b"\0" * 64, None),
        (b"", None),
        (config((0x100, 0x10, 0))[:0x108], None),
    ],
)
def test_the_capability_is_found_wherever_it_stands_and_a_circle_ends(data: bytes, total: int | None) -> None:
    assert sriov_total(data) == total


def owners(root: Path, path: str, content: str | bytes) -> list[tuple[str, int, list[str], bool]]:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [(line.owner, line.line, line.names, line.makes_vfs) for line in read_owners(root, PFS, [])]


@pytest.mark.parametrize(
    ("path", "content", "found"),
    [
        (
            "etc/rc.local",
            "#!/bin/sh\necho 4 >/sys/class/net/enp1s0/device/sriov_numvfs",
            ("rc.local", 2, ["enp1s0"], True),
        ),
        ("etc/rc.local", "ip link set eth7 vf 0 mac 02:00:00:00:00:01", ("rc.local", 1, [], True)),
        ("etc/sysfs.conf", "bus/pci/devices/0000:01:00.0/sriov_numvfs = 4", ("sysfsutils", 1, ["0000:01:00.0"], True)),
        ("etc/udev/rules.d/9.rules", 'ATTR{device/sriov_numvfs}="4"', ("udev", 1, [], True)),
        ("etc/systemd/network/a.network", "[Match]\nName=enp1s0", ("systemd-networkd", 2, ["enp1s0"], False)),
        ("etc/systemd/network/a.link", "[SR-IOV]", ("systemd-networkd", 1, [], True)),
        ("etc/netplan/a.yaml", "  enp1s0:\n    virtual-function-count: 4", ("netplan", 2, ["enp1s0"], True)),
        (
            "etc/NetworkManager/system-connections/a.nmconnection",
            "[sriov]\ntotal-vfs=4",
            ("NetworkManager", 1, [], True),
        ),
        ("etc/network/interfaces", "iface enp1s0 inet dhcp", ("ifupdown", 1, ["enp1s0"], False)),
        ("etc/os-net-config/config.yaml", "- type: sriov_pf\n  numvfs: 4", ("os-net-config", 1, [], True)),
        ("etc/sriov-operator/a.json", '{"name": "enp1s0"}', ("sriov-network-operator", 1, ["enp1s0"], False)),
    ],
)
def test_lines_of_other_tools(tmp_path: Path, path: str, content: str, found: object) -> None:
    assert found in owners(tmp_path, path, content)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("etc/rc.local", "# echo 4 >/sys/class/net/enp1s0/device/sriov_numvfs"),
        ("etc/rc.local", "ip addr add 192.0.2.1/24 dev enp1s0"),
        (
            "etc/network/interfaces",
            "iface enp1s0f1 inet dhcp\niface enp1s0.100 inet dhcp\niface enp1s0:1 inet dhcp\niface xenp1s0 inet dhcp",
        ),
        ("etc/systemd/system/reconciler.service", "ExecStart=echo sriov_numvfs"),
        ("etc/netplan/a.yaml~", "virtual-function-count: 4"),
        ("etc/rc.local", bytes(range(256)) * 100),
    ],
)
def test_what_is_no_matter_of_ours(tmp_path: Path, path: str, content: str | bytes) -> None:
    assert owners(tmp_path, path, content) == []


def test_a_long_line_takes_no_time(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/rc.local").write_text("ip link set " * 20_000 + "\nip link set enp1s0 vf 0 trust on\n")
    begin = time.process_time()
    (line,) = read_owners(tmp_path, PFS, [])
    assert (line.line, time.process_time() - begin < 5) == (2, True)


def test_a_huge_file_is_read_in_part_and_an_unreadable_one_is_a_note(tmp_path: Path) -> None:
    notes: list[str] = []
    (tmp_path / "etc/sysfs.d").mkdir(parents=True)
    (tmp_path / "etc/sysfs.conf").write_bytes(b"x sriov_numvfs " * 1_000_000)
    loop = tmp_path / "etc/sysfs.d/loop.conf"
    loop.symlink_to(loop)
    (line,) = read_owners(tmp_path, PFS, notes)
    assert len(line.text) <= 200
    assert notes == ["/etc/sysfs.conf is large: only its first 256 KiB were searched."]


def test_the_platform_of_a_tree(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.pf(vfs=1)
    tree.write("proc/meminfo", "MemTotal:  16000 kB\nMemFree: 1 kB\nMemAvailable: 8000 kB\nHugepagesize: 2048 kB\n")
    tree.write("proc/cpuinfo", "processor : 0\nvendor_id : GenuineIntel\nflags : fpu vmx\n\nprocessor : 1\n")
    tree.write("sys/kernel/iommu_groups/7/type", "identity\n")
    tree.write("sys/kernel/iommu_groups/7/devices/0000:01:00.0", "")
    tree.write("proc/sys/kernel/osrelease", "6.12.0\n")
    tree.write("lib/modules/6.12.0/modules.dep", "kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/x.ko\n")
    tree.write("lib/modules/6.12.0/modules.builtin", "kernel/drivers/vfio/vfio.ko\n")
    tree.write("proc/modules", "igbvf 1 0 - Live 0x0\n")
    tree.write("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "4\n")
    tree.write("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "3\n")
    tree.write("sys/kernel/mm/hugepages/hugepages-2048kB/surplus_hugepages", "0\n")
    tree.write("sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages", "0\n")
    found = read_platform(tmp_path)
    assert (found.memory_total_kib, found.memory_available_kib, found.default_huge_page_kib) == (16000, 8000, 2048)
    assert (found.cpu_vendor, found.cpu_virtualisation, found.kvm) == ("GenuineIntel", True, False)
    assert found.iommu_groups is not None
    assert IommuGroup(7, "identity", ["0000:01:00.0"]) in found.iommu_groups
    assert found.modules == {
        "igbvf": "loaded",
        "vfio": "builtin",
        "vfio_iommu_type1": "missing",
        "vfio_pci": "installable",
    }
    assert found.huge_pages is not None
    assert (found.huge_pages[0].total, found.huge_pages[0].free) == (4, 3)
    assert found.services is None


def test_an_empty_machine_is_read_without_an_error(tmp_path: Path) -> None:
    found = read_platform(tmp_path)
    assert (found.iommu_groups, found.capable, found.owners) == ([], [], [])
    assert (found.memory_total_kib, found.cpu_vendor) == (None, None)


GUEST = """
<domain><memory unit='GiB'>4</memory><memtune><hard_limit unit='MB'>4000</hard_limit></memtune>
<os><type machine='pc-q35-10.0'>hvm</type></os>
<devices>
<controller type='pci' index='0' model='pcie-root'/>
<controller type='pci' index='1' model='pcie-root-port'><address type='pci' bus='0x00' slot='0x01'/></controller>
<controller type='pci' index='2' model='pcie-root-port'><address type='pci' bus='0x00' slot='0x02'/></controller>
<interface type='hostdev'><address type='pci' bus='0x02' slot='0x00'/></interface>
<hostdev mode='subsystem' type='pci'/><iommu model='intel'/>
</devices></domain>
"""


def hardware(xml: str) -> GuestHardware:
    return guest_hardware(parse(xml), {0: 0, 1: 0, 2: 1, 3: 1})


@pytest.mark.parametrize(
    ("xml", "nodes"),
    [
        ("<vcpu>2</vcpu>", []),
        ("<vcpu cpuset='2-3'>2</vcpu>", [1]),
        ("<vcpu cpuset='0-3,^2,^3'>2</vcpu>", [0]),
        ("<vcpu cpuset='0-3'>2</vcpu><cputune><vcpupin vcpu='0' cpuset='3'/></cputune>", [1]),
        ("<cputune><vcpupin vcpu='0' cpuset='0'/><vcpupin vcpu='1' cpuset='2'/></cputune>", [0, 1]),
        ("<vcpu cpuset='0'>1</vcpu><numatune><memory mode='preferred' nodeset='1'/></numatune>", [1]),
        ("<numatune><memory mode='strict' placement='auto'/></numatune><vcpu cpuset='9'>1</vcpu>", []),
        ("<numatune><memnode cellid='0' mode='strict' nodeset='0,1'/></numatune>", [0, 1]),
        ("<vcpu cpuset='x-y,1-,4-2'>2</vcpu>", []),
    ],
)
def test_the_numa_nodes_of_a_guest(xml: str, nodes: list[int]) -> None:
    assert hardware(f"<domain>{xml}<devices/></domain>").numa_nodes == nodes


def test_the_node_of_each_cpu(tmp_path: Path) -> None:
    for node, cpus in ((0, "0-1,4"), (1, "2-3"), (2, "")):
        folder = tmp_path / f"sys/devices/system/node/node{node}"
        folder.mkdir(parents=True)
        (folder / "cpulist").write_text(f"{cpus}\n")
    assert nodes_of_cpus(tmp_path) == {0: 0, 1: 0, 4: 0, 2: 1, 3: 1}
    assert nodes_of_cpus(tmp_path / "none") == {}


def test_the_hardware_of_a_guest() -> None:
    found = hardware(GUEST)
    assert (found.memory_kib, found.hard_limit_kib) == (4 * 1024 * 1024, 3906250)
    assert (found.machine, found.viommu, found.hostdevs, found.free_root_ports) == ("pc-q35-10.0", True, 2, 1)
    old = hardware("<domain><memory>1024</memory><devices/></domain>")
    assert (old.memory_kib, old.hard_limit_kib, old.free_root_ports) == (1024, None, None)
    assert hardware("<domain><memory unit='furlong'>x</memory></domain>").memory_kib == 0


@pytest.mark.parametrize(
    ("backing", "size"),
    [
        ("", None),
        ("<memoryBacking><locked/></memoryBacking>", None),
        ("<memoryBacking><hugepages/></memoryBacking>", 0),
        ("<memoryBacking><hugepages><page size='1' unit='G'/></hugepages></memoryBacking>", 1024 * 1024),
        ("<memoryBacking><hugepages><page size='2048'/></hugepages></memoryBacking>", 2048),
    ],
)
def test_the_huge_pages_of_a_guest(backing: str, size: int | None) -> None:
    assert hardware(f"<domain><memory>1024</memory>{backing}<devices/></domain>").huge_page_kib == size


def test_groups_that_can_not_be_listed_are_unknown_and_not_none_at_all(tmp_path: Path) -> None:
    place = tmp_path / "sys/kernel/iommu_groups"
    place.parent.mkdir(parents=True)
    place.symlink_to(place)
    found = read_platform(tmp_path)
    assert found.iommu_groups is None
    assert any("iommu_groups" in note for note in found.notes)
