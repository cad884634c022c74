"""What guests make impossible or doubtful: slots for hot-plug, memory limits, and MACs that are not what they seem."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.diagnostics import Diagnostic
from reconciler.host.model import Domain, GuestHardware, Snapshot
from reconciler.kinds.domain.ports import free_ports, slots_of
from reconciler.kinds.nic.intent import NicIntent
from reconciler.kinds.nic.pair import new_ports
from reconciler.kinds.resolution import Resolution
from reconciler.plan.checks_failover import check_failover
from reconciler.plan.checks_macs import Macs
from reconciler.state.address import address
from reconciler.state.desired import ZERO_MAC, AttributeValue

_GIB = 1024 * 1024
"""KiB in a GiB: what libvirt adds to a guest's memory for its limit (qemuDomainGetMemLockLimitBytes)."""


def check_guests(resolution: Resolution, host: Snapshot) -> Iterator[Diagnostic]:
    """All findings."""
    by_guest: dict[str, list[NicIntent]] = {}
    for nic in resolution.nics:
        by_guest.setdefault(nic.domain.name, []).append(nic)
    for name in resolution.desired.domains:
        domain = host.libvirt.domains.get(name)
        if domain is None or domain.hardware is None:
            continue
        nics = by_guest.get(name, [])
        yield from _root_ports(resolution, domain)
        yield from _slots(resolution, host, domain, domain.hardware, nics)
        yield from _memory_limit(resolution, domain, domain.hardware, nics)
    macs = Macs(resolution, host)
    for nic in resolution.nics:
        if nic.nic.state == "present":
            yield from macs.used_twice(nic)
            yield from check_failover(resolution, host, nic)
            if nic.live is None and nic.config is None:  # Once it is there it was told.
                yield from _mac(resolution, nic)


def _slots(
    resolution: Resolution, host: Snapshot, domain: Domain, hardware: GuestHardware, nics: list[NicIntent]
) -> Iterator[Diagnostic]:
    """A running guest takes a card only on a free pcie-root-port (libvirt, docs/pci-hotplug.rst); a microvm takes none
    (QEMU, docs/system/i386/microvm.rst)."""
    joining = [nic for nic in nics if nic.nic.state == "present"] if domain.running else []
    new = [nic.address for nic in joining if nic.live is None]
    new += [f"what stands in for {nic.address}" for nic in joining if new_ports(host, nic, live=True) > 0]
    left = [nic for nic in nics if nic.nic.state == "absent"]
    leaving = sum((nic.live is not None) - new_ports(host, nic, live=True) for nic in left)
    where = address("domain", domain.name)
    if new and hardware.machine.startswith("microvm"):
        yield resolution.finding(
            "error",
            "no-hot-plug",
            "This kind of machine takes no card while it runs.",
            f"{domain.name} is a {hardware.machine} and runs. Shut it down before this is applied.",
            where,
        )
    elif hardware.free_root_ports is not None and len(new) - leaving > hardware.free_root_ports:
        yield resolution.finding(
            "error",
            "no-free-root-port",
            "The running guest has no slot left for these NICs.",
            f"{domain.name} runs with {hardware.free_root_ports} free PCIe root ports, and is to be given {len(new)} "
            f"more NICs: {', '.join(new)}. Ports can't be added while it runs. "
            f"{_way_to_ports(domain, len(new) - leaving)}",
            where,
        )


def _way_to_ports(domain: Domain, need: int) -> str:
    if free_ports(domain) >= need:
        return "Its definition has enough: shut it down and start it, then apply this."
    if not domain.persistent:
        return "It is transient: create it anew with more pcie-root-port controllers."
    return (
        f"Shut it down, apply this, and start it. Or declare root_ports = {need} for {domain.name} and apply that "
        "without these NICs: it has the ports from its next start on, and takes the NICs while it runs."
    )


def _root_ports(resolution: Resolution, domain: Domain) -> Iterator[Diagnostic]:
    wanted, where = resolution.desired.domains[domain.name].root_ports, address("domain", domain.name)
    machine = domain.hardware.machine if domain.hardware is not None else ""
    match slots_of(domain) if wanted is not None else "pcie":
        case "transient":
            yield resolution.finding(
                "error",
                "transient-guest",
                "A transient guest can't be given root ports.",
                f"{domain.name} has no definition to write them to, and they can't be added while it runs. Define it "
                "(virsh define), or take root_ports out.",
                where,
            )
        case "none":
            yield resolution.finding(
                "error",
                "no-root-ports",
                "This kind of machine has no PCIe root ports.",
                f"{domain.name} is a {machine or 'machine of an unknown type'}, and only those with PCIe (q35, virt) "
                "have them. Take root_ports out, or give it another machine type.",
                where,
            )
        case "pci":
            yield resolution.finding(
                "note",
                "root-ports-not-needed",
                "This kind of machine needs no PCIe root ports.",
                f"{domain.name} is a {machine}: any of its 31 PCI slots takes a card while it runs.",
                where,
            )


def _memory_limit(
    resolution: Resolution, domain: Domain, hardware: GuestHardware, nics: list[NicIntent]
) -> Iterator[Diagnostic]:
    """<hard_limit> takes the place of libvirt's own limit: the memory, all of which VFIO pins, and 1 GiB. (Of a guest
    with a vIOMMU `doctor` says more.)"""
    limit, least = hardware.hard_limit_kib, hardware.memory_kib + _GIB
    if limit is not None and limit < least and any(nic.nic.state == "present" for nic in nics):
        yield resolution.finding(
            "warning",
            "hard-limit-too-low",
            "The guest's memory limit leaves no room for a VF.",
            f"<memtune><hard_limit> of {domain.name} is {limit} KiB, a VF pins all {hardware.memory_kib} KiB of its "
            'memory: it may not start, or be given no VF ("Cannot allocate memory"). Take it out, or '
            f"raise it above {least} KiB.",
            address("domain", domain.name),
        )


def _mac(resolution: Resolution, nic: NicIntent) -> Iterator[Diagnostic]:
    mac, trust = _effective(resolution, nic, "mac"), _effective(resolution, nic, "trust")
    if nic.nic.method == "hostdev" and mac in (None, ZERO_MAC):
        told = 'mac = "none"' if mac is not None else "no MAC is declared"
        yield resolution.finding(
            "note",
            "guest-chooses-mac",
            "The guest may choose its own MAC.",
            f"{told}, and libvirt sets none with method hostdev. Declare one to keep the guest to it.",
            nic.address,
        )
    elif trust is True and mac not in (None, ZERO_MAC):
        yield resolution.finding(
            "note",
            "trusted-guest",
            "A trusted guest may change its MAC.",
            f"With trust = true the driver lets the guest set another one than {mac}, and receive what is not meant "
            "for it. Declare trust = false to keep it to its own.",
            nic.address,
        )


def _effective(resolution: Resolution, nic: NicIntent, name: str) -> AttributeValue | None:
    """What counts for the NIC: its own value, else that of its VF's tables."""
    if name in nic.nic.attributes or nic.vf is None:
        return nic.nic.attributes.get(name)
    intent = resolution.intents.get(nic.vf, {}).get(name)
    return intent.value if intent is not None else None
