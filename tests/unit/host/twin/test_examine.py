"""What doctor finds on a twin."""

from __future__ import annotations

from reconciler.doctor.diagnose import diagnose
from reconciler.host.platform import Inside, InsideNic
from reconciler.host.twin import hands
from reconciler.host.twin.host import TwinHost
from reconciler.host.twin.make import from_snapshot
from reconciler.host.twin.profiles import from_profile, read_profile
from tests.unit.host.twin.twins import attach, lab


def test_groups_modules_and_guests_are_as_they_are_now() -> None:
    host = lab(vfs=2)
    attach(host)
    found = host.examine()
    groups = {device: group.type for group in found.iommu_groups or [] for device in group.devices}
    assert set(groups) == {f"0000:0{bus}:00.0" for bus in (1, 2, 3)} | {"0000:01:10.0", "0000:01:10.2"}
    assert set(groups.values()) == {"identity"}
    assert found.modules == {
        "igbvf": "installable",
        "vfio": "loaded",
        "vfio_iommu_type1": "loaded",
        "vfio_pci": "loaded",
    }
    hardware = host.observe().libvirt.domains["web1"].hardware
    assert hardware is not None
    assert (hardware.hostdevs, hardware.free_root_ports, hardware.memory_kib) == (1, 5, 192 << 10)
    assert [(device.address, device.total_vfs, device.attribute) for device in found.capable or []] == [
        (f"0000:0{bus}:00.0", 7, True) for bus in (1, 2, 3)
    ]


def test_a_profile_may_have_its_iommu_off() -> None:
    profile = read_profile("igb-lab")
    profile.host.iommu, profile.host.cmdline = False, "quiet"
    found = TwinHost(from_profile(profile, "own")).examine()
    assert (found.iommu_groups, found.iommu_units, found.cmdline) == ([], [], "quiet")


def test_what_was_recorded_of_a_host_is_kept() -> None:
    host = lab(vfs=1)
    snapshot = host.observe()
    snapshot.platform = host.examine()
    snapshot.platform.memory_total_kib = 12345
    assert TwinHost(from_snapshot(snapshot)).examine() == snapshot.platform


def test_what_agents_say_is_as_it_was_recorded_and_others_have_none() -> None:
    host = lab(vfs=1)
    assert host.examine().inside == {}, "no guest has a VF"
    attach(host)
    assert host.examine().inside == {"web1": Inside("absent", "it has no channel for one")}
    told = Inside("answers", "", "debian", 2, False, [InsideNic("eth0", "52:54:00:6d:90:03", "igbvf", 1, "br0")])
    with host.changing() as twin:
        twin.platform.inside = {"web1": told}
    assert host.examine().inside == {"web1": told}
    found = {item.code for item in diagnose(host.observe(), host.examine()).findings}
    assert "no-irqbalance-in-guest" in found
    hands.run(host, "systemctl stop libvirtd")
    assert host.examine().inside is None


def test_a_snapshot_without_it_says_so() -> None:
    found = TwinHost(from_snapshot(lab(vfs=1).observe())).examine()
    assert found.cmdline is None
    assert "no firmware, kernel arguments or memory" in found.notes[0]
