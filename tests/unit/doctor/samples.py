"""A sound host, for tests that break one thing of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reconciler.doctor.diagnose import diagnose
from reconciler.doctor.document import Finding, Report
from reconciler.host.model import GuestHardware, Network, Nic, Snapshot
from reconciler.host.platform import CapableDevice, Inside, InsideNic, IommuGroup, Platform
from tests.hosts import guest, host, igb

GIB = 1024 * 1024
MAC = "52:54:00:00:01:00"
VF0, VF1 = "0000:01:10.0", "0000:01:10.2"


def sound() -> Snapshot:
    """One PF that is up, with two VFs; web1 has the first, from a pool, and runs."""
    nic = Nic("interface", "net0", "52:54:00:00:01:00", VF0, "p")
    config = Nic("pool", "ua-a", "52:54:00:00:01:00", None, "p")
    pool = Network("p", "u", active=True, mode="hostdev", pf_dev="enp1s0", live_addresses=[VF0, VF1])
    web1 = guest("web1", running=True, live=[nic], config=[config])
    web1.hardware = GuestHardware(4 * GIB, machine="pc-q35-10.0", hostdevs=1, free_root_ports=2)
    found = host(igb(1, 2, up=True, carrier=True), domains=[web1])
    found.libvirt.networks = {"p": pool}
    pool.ports = [_port()]
    return found


def _port():  # type: ignore[no-untyped-def]
    from reconciler.host.model import NetworkPort

    return NetworkPort("web1", "52:54:00:00:01:00", VF0)


def platform() -> Platform:
    """What `sound` stands on."""
    return Platform(
        iommu_groups=[
            IommuGroup(1, "identity", ["0000:01:00.0"]),
            IommuGroup(100, "DMA-FQ", [VF0]),
            IommuGroup(101, "identity", [VF1]),
        ],
        iommu_units=["dmar0"],
        cmdline="root=/dev/vda intel_iommu=on iommu=pt",
        cpu_vendor="GenuineIntel",
        cpu_virtualisation=True,
        kvm=True,
        capable=[CapableDevice("0000:01:00.0", 8, True, "igb", ["enp1s0"])],
        modules={"vfio": "installable", "vfio_pci": "installable", "igbvf": "installable"},
        qemu=10000002,
        memory_total_kib=16 * GIB,
        memory_available_kib=8 * GIB,
        huge_pages=[],
        owners=[],
        services={},
        inside={"web1": inside()},
    )


def inside(**changes: Any) -> Inside:
    """A guest in which all is well."""
    nics = [InsideNic("lo", "00:00:00:00:00:00", "", 1, ""), InsideNic("eth0", MAC, "iavf", 4, "")]
    return replace(Inside("answers", "", "debian", 4, True, nics), **changes)


def by_code(report: Report) -> dict[str, Finding]:
    """The findings."""
    return {finding.code: finding for finding in report.findings}


def examine(snapshot: Snapshot, facts: Platform) -> dict[str, Finding]:
    """What doctor finds without a state file."""
    return by_code(diagnose(snapshot, facts))
