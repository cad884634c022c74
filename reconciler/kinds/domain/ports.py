"""How many PCIe root ports a guest has free, in its definition and while it runs."""

from __future__ import annotations

from typing import Literal

from reconciler.host.model import Domain, Snapshot
from reconciler.kinds.nic.operations import takes_port
from reconciler.kinds.nic.pair import new_ports
from reconciler.kinds.resolution import Resolution

Slots = Literal["pcie", "pci", "none", "transient", "unknown"]


def slots_of(domain: Domain) -> Slots:
    """What kind of slots a guest has for cards: PCIe root ports (q35, virt), plain PCI with 31 slots that take a card
    at any time (i440fx; libvirt, docs/pci-hotplug.rst), or none. A transient guest has no definition to add any to."""
    if domain.hardware is None:
        return "unknown"
    if domain.hardware.free_root_ports is not None:
        if not domain.persistent:
            return "transient"
        return "pcie" if domain.buses is not None else "unknown"
    machine = domain.hardware.machine
    return "pci" if machine == "pc" or machine.startswith("pc-i440fx") else "none"


def free_ports(domain: Domain) -> int:
    """Of its definition."""
    return sum(bus.free for bus in domain.buses or [])


def left_in_definition(resolution: Resolution, host: Snapshot, domain: Domain) -> int:
    """Free ports of the definition once the declared NICs are in it. libvirt itself adds one to a definition that has
    none left for a card (qemuDomainAssignPCIAddresses)."""
    return max(0, free_ports(domain) - to_be_taken(resolution, host, domain))


def to_be_taken(resolution: Resolution, host: Snapshot, domain: Domain) -> int:
    """How many ports of the definition the declared NICs take that are not in it yet."""
    return -sum(_change(resolution, host, domain, live=False))


def left_while_running(resolution: Resolution, host: Snapshot, domain: Domain) -> int:
    """Free ports of the running guest once the declared NICs are in it."""
    free = domain.hardware.free_root_ports if domain.hardware is not None else None
    return max(0, (free or 0) + sum(_change(resolution, host, domain, live=True)))


def _change(resolution: Resolution, host: Snapshot, domain: Domain, *, live: bool) -> list[int]:
    """What each of its declared NICs takes (-1), or gives back (1)."""
    changes = []
    for intent in resolution.nics:
        if intent.domain.name == domain.name:
            there = intent.find(host)[0 if live else 1]
            if intent.nic.state == "present" and there is None:
                changes.append(-1)
            elif intent.nic.state == "absent" and there is not None and takes_port(there):
                changes.append(1)
            changes.append(-new_ports(host, intent, live=live))
    return changes
