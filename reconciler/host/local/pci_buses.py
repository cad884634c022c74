"""A guest's PCI controllers, in its XML: what there is, and PCIe root ports added and taken away."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.host.buses import removable
from reconciler.host.local.libvirt_xml import Element
from reconciler.host.model import PciBus

_PORT = "pcie-root-port"


def pci_buses(domain: Element) -> list[PciBus] | None:
    """The controllers below the root; ``None``: its machine has no PCIe (i440fx). A bus has the number of its
    controller (``index``), and a ``pcie-root-port`` takes one device (libvirt, docs/pci-addresses.rst)."""
    controllers = domain.findall("devices/controller[@type='pci']")
    if not any(controller.get("model") == "pcie-root" for controller in controllers):
        return None
    used = {_bus(address) for address in domain.iterfind("devices/*/address[@type='pci']")}
    found = {
        index: PciBus(index, controller.get("model") == _PORT and index not in used)
        for controller in controllers
        if (index := _index(controller)) is not None and controller.get("model") != "pcie-root"
    }
    return [found[index] for index in sorted(found)]


def add_ports(domain: Element, free: int) -> None:
    """Adds root ports until so many are free; libvirt gives them their numbers and addresses. Raises ValueError for a
    machine without PCIe."""
    buses, devices = pci_buses(domain), domain.find("devices")
    if buses is None or devices is None:
        raise ValueError("the guest has no PCIe")
    for _ in range(free - sum(bus.free for bus in buses)):
        devices.append(devices.makeelement("controller", {"type": "pci", "model": _PORT}))


def drop_ports(domain: Element, keep: Sequence[int]) -> None:
    """Takes free root ports away, from the last on, until one has a device or its index is in ``keep``."""
    gone = {bus.index for bus in removable(pci_buses(domain) or [], keep)}
    for controller in domain.findall("devices/controller[@type='pci']"):
        parent = controller.getparent()
        if parent is not None and _index(controller) in gone:
            parent.remove(controller)


def _index(controller: Element) -> int | None:
    text = controller.get("index") or ""
    return int(text) if text.isdigit() else None


def _bus(address: Element) -> int:
    try:
        return int(address.get("bus", "0"), 0)
    except ValueError:
        return 0
