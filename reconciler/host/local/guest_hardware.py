"""A guest's memory, its place in the host and its PCI slots, from its XML."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.host.local.libvirt_xml import Element
from reconciler.host.local.numa import guest_nodes
from reconciler.host.local.pci_buses import pci_buses
from reconciler.host.model import GuestHardware

_UNITS = {
    "b": 1,
    "bytes": 1,
    **{name: 1000**power for power, name in enumerate(("kb", "mb", "gb", "tb"), 1)},
    **{name: 1024**power for power, name in enumerate(("k", "m", "g", "t"), 1)},
    **{name: 1024**power for power, name in enumerate(("kib", "mib", "gib", "tib"), 1)},
}
"""libvirt's units of memory in bytes (docs/formatdomain.rst, memory allocation); without a unit it is KiB."""


def guest_hardware(domain: Element, nodes: Mapping[int, int]) -> GuestHardware:
    """From a domain's XML. ``nodes``: the NUMA node of each of the host's CPUs."""
    machine = domain.find("os/type")
    hostdevs = [
        *domain.iterfind("devices/hostdev[@type='pci']"),
        *domain.iterfind("devices/interface[@type='hostdev']"),
    ]
    pools = [
        nic
        for nic in domain.iterfind("devices/interface[@type='network']")
        if nic.find("source/address[@type='pci']") is not None
    ]
    buses = pci_buses(domain)
    return GuestHardware(
        memory_kib=_kib(domain.find("memory")) or 0,
        hard_limit_kib=_kib(domain.find("memtune/hard_limit")),
        huge_page_kib=_huge_page_kib(domain.find("memoryBacking/hugepages")),
        viommu=domain.find("devices/iommu") is not None,
        machine=machine.get("machine", "") if machine is not None else "",
        hostdevs=len(hostdevs) + len(pools),
        free_root_ports=None if buses is None else sum(bus.free for bus in buses),
        numa_nodes=sorted(guest_nodes(domain, nodes)),
    )


def _kib(element: Element | None) -> int | None:
    if element is None:
        return None
    unit = _UNITS.get((element.get("unit") or "KiB").lower())
    text = (element.text or "").strip()
    return int(text) * unit // 1024 if unit is not None and text.isdigit() else None


def _huge_page_kib(element: Element | None) -> int | None:
    if element is None:
        return None
    page = element.find("page")
    if page is None:
        return 0
    size, unit = page.get("size", ""), _UNITS.get(page.get("unit", "KiB").lower())
    return int(size) * unit // 1024 if unit is not None and size.isdigit() else 0
