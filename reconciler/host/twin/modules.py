"""Drivers of VFs: who binds to a new one, loading and unloading, and what becomes of one that is taken from a guest.

Sources: drivers/pci/pci-driver.c (pci_device_can_probe, pci_match_device), udev's 80-drivers.rules (modprobe by
alias), kmod; drivers/vfio/vfio_main.c (vfio_unregister_group_dev).
"""

from __future__ import annotations

import errno
from typing import Literal

from reconciler.drivers.table import facts
from reconciler.host.model import BlacklistEntry, Domain, Nic, Pf, Process, Use, Vf
from reconciler.host.protocol import HostError
from reconciler.host.twin import macs
from reconciler.host.twin.errors import CommandFailed, Hangs, kernel_error
from reconciler.host.twin.losses import nic_key
from reconciler.host.twin.state import Twin

VFIO = "vfio-pci"
_GIVEN_UP = 0.5
"""Seconds until a guest has given up a VF that the host takes away."""
_AUTOLOAD, _NETDEV, _NETDEV_DOWN, _NAME = 0.3, 0.5, 1.0, 0.4
"""Seconds: until udev has loaded a module; per VF until its netdev is there, while the PF is up or down (igbvf waits
for a PF in reset); from eth0 to its lasting name."""

REBUILD = 20.0
"""Seconds that it takes to make an initramfs."""


def canonical(module: str) -> str:
    """A module's name as the kernel spells it."""
    return module.replace("-", "_")


def vf_driver(pf: Pf) -> str | None:
    """The host driver for this PF's VFs; ``None`` when the table doesn't know it."""
    name = facts(pf.driver, pf.device_id).vf_driver
    return None if name == "kernel" or pf.bus != "pci" else name


def is_loaded(twin: Twin, module: str) -> bool:
    """Loaded, or part of the kernel."""
    name = canonical(module)
    return name in (twin.modules.loaded or []) or name in twin.builtin


UNTIL_REBOOT = "/run/modprobe.d/reconciler-unconfirmed.conf"
"""A file of ours in a folder that a reboot empties."""


def blacklist_until_reboot(twin: Twin, names: list[str]) -> None:
    """Replaces what that file lists."""
    others = [entry for entry in twin.modules.blacklist or [] if entry.file != UNTIL_REBOOT]
    twin.modules.blacklist = [*others, *(BlacklistEntry(name, UNTIL_REBOOT) for name in names)]


def blacklisted(twin: Twin, module: str) -> bool:
    """Whether udev's modprobe leaves it alone."""
    listed = {entry.module for entry in twin.modules.blacklist or []} | set(twin.modules.own or [])
    return canonical(module) in listed


def new_vfs(twin: Twin, pf: Pf) -> None:
    """VFs have appeared: a driver that is loaded takes them, unless autoprobe is off; one that isn't is loaded by udev,
    also when autoprobe is off, unless it is blacklisted."""
    driver = vf_driver(pf)
    if driver is None:
        return
    if is_loaded(twin, driver):
        _probe_all(twin, pf)
    elif canonical(driver) in twin.installed and not blacklisted(twin, driver):
        twin.later(_AUTOLOAD, "autoload", canonical(driver))


def autoload(twin: Twin, module: str) -> None:
    """udev's modprobe has come so far."""
    if not is_loaded(twin, module) and not blacklisted(twin, module):
        load(twin, module)


def load(twin: Twin, module: str) -> float:
    """``modprobe MODULE``, which a blacklist doesn't stop. Its driver takes every VF that it may."""
    name = canonical(module)
    if is_loaded(twin, name):
        return 0.0
    if name not in twin.installed:
        raise CommandFailed(f"modprobe: FATAL: Module {module} not found in directory /lib/modules/{twin.host.kernel}")
    twin.modules.loaded = sorted([*(twin.modules.loaded or []), name])
    for pf in twin.pfs.values():
        if canonical(vf_driver(pf) or "") == name:
            _probe_all(twin, pf)
    return 0.3


def unload(twin: Twin, module: str) -> float:
    """``rmmod MODULE``: every VF that it drives is without a driver; the VFs stay."""
    name = canonical(module)
    if name in twin.builtin:
        raise CommandFailed(f"rmmod: ERROR: Module {module} is builtin.")
    if name not in (twin.modules.loaded or []):
        raise CommandFailed(f"rmmod: ERROR: Module {module} is not currently loaded")
    driven = [(pf, vf) for pf in twin.pfs.values() for vf in pf.vfs if canonical(vf.driver or "") == name]
    if any(holders(twin, vf) for _, vf in driven) or name == "vfio":
        raise CommandFailed(f"rmmod: ERROR: Module {module} is in use")
    if any(canonical(pf.driver or "") == name for pf in twin.pfs.values()):
        raise HostError(
            "The twin can't do that.", f"{module} drives a PF; what becomes of a PF without its driver isn't simulated."
        )
    for pf, vf in driven:
        drop_driver(twin, pf, vf)
    twin.modules.loaded = [item for item in twin.modules.loaded or [] if item != name]
    return 0.5


def _probe_all(twin: Twin, pf: Pf) -> None:
    for vf in pf.vfs:
        if vf.driver is None:
            probe(twin, pf, vf)


def probe(twin: Twin, pf: Pf, vf: Vf) -> None:
    """The kernel looks for a driver: the override's, else the host's own. With autoprobe off it only looks for an
    override (pci_device_can_probe)."""
    if vf.driver is not None or (pf.autoprobe is False and vf.driver_override is None):
        return
    own = vf_driver(pf)
    wanted = vf.driver_override or own
    if wanted is None or not is_loaded(twin, wanted) or wanted not in (own, VFIO):
        return
    if wanted == VFIO:
        vf.driver = VFIO if vf.iommu_group is not None else None
        return
    vf.driver = wanted
    vf.uses = [Use("unknown", f"{wanted} is bound to it and shows no netdev")]
    waiting = sum(event.kind == "netdev" and event.key == pf.id for event in twin.events)
    each = _NETDEV if pf.up else _NETDEV_DOWN
    twin.later(each * (waiting + 1), "netdev", pf.id, vf.index)


def netdev_appears(twin: Twin, pf: Pf, index: int) -> None:
    """A VF's driver has made its netdev, with the kernel's name to begin with."""
    vf = pf.vf(index)
    if vf is not None and vf.driver is not None:
        taken = {other.netdev for each in twin.pfs.values() for other in each.vfs}
        vf.netdev = next(name for number in range(100_000) if (name := f"eth{number}") not in taken)
        vf.uses = []
        macs.made_up(twin, pf, vf)
        twin.later(_NAME, "name", pf.id, index)


def netdev_named(twin: Twin, pf: Pf, index: int) -> None:
    """udev gives a VF's netdev its name: ``enp1s0v3`` (systemd.net-naming-scheme), ``p1p1_3`` (biosdevname)."""
    vf = pf.vf(index)
    if vf is not None and vf.netdev is not None:
        vf.netdev = f"{pf.netdev}v{index}" if pf.netdev.startswith("en") else f"{pf.netdev}_{index}"


def bind(twin: Twin, pf: Pf, vf: Vf, driver: Literal["none", "vfio-pci", "kernel"]) -> float:
    """What the writer's ``bind_vf`` does, step by step, through ``driver_override``, ``unbind`` and
    ``drivers_probe``."""
    if driver == "none":
        vf.driver_override = None
        return unbind(twin, pf, vf)
    if driver == VFIO:
        seconds = load(twin, VFIO)
        vf.driver_override = VFIO
        return seconds if vf.driver == VFIO else seconds + _rebind(twin, pf, vf, VFIO)
    if vf.driver is not None and vf.driver != VFIO:
        vf.driver_override = None
        return 0.0
    wanted = vf_driver(pf)
    if wanted is None or not (is_loaded(twin, wanted) or canonical(wanted) in twin.installed):
        raise HostError("No kernel driver fits a VF.", f"{vf.address}: no module.")
    vf.driver_override = None if is_loaded(twin, wanted) else vf.driver_override
    seconds = load(twin, wanted)
    vf.driver_override = wanted
    try:
        return seconds + _rebind(twin, pf, vf, wanted)
    finally:
        vf.driver_override = None


def _rebind(twin: Twin, pf: Pf, vf: Vf, driver: str) -> float:
    if vf.driver == driver:
        return 0.0
    seconds = unbind(twin, pf, vf)
    probe(twin, pf, vf)
    if vf.driver != driver:
        raise HostError(
            "A VF did not get its driver.",
            f"{vf.address} is bound to {vf.driver or 'no driver'} instead of {driver}; the kernel log may say why.",
        )
    return seconds + 0.1


def unbind(twin: Twin, pf: Pf, vf: Vf) -> float:
    """A write to a driver's ``unbind``, which waits for a holder as a removal does."""
    if vf.driver is None:
        return 0.0
    if not may_be_taken(twin, vf):
        twin.cards[pf.id].hangs = "unbind"
        raise Hangs
    for domain, nic in guests_of(twin, vf.address):
        # The guest gives it up, and libvirt then does with it what it always does.
        twin.later(_GIVEN_UP, "unplug", domain.name, nic=nic_key(nic))
    drop_driver(twin, pf, vf)
    return 0.1


def drop_driver(twin: Twin, pf: Pf, vf: Vf) -> None:
    """The VF is without a driver and so without a netdev."""
    vf.driver, vf.netdev, vf.uses = None, None, []
    twin.forget({"netdev", "name"}, pf.id, vf.index)


def find_vf(pf: Pf, index: int) -> Vf:
    """The VF by its index; ENODEV if there is none."""
    vf = pf.vf(index)
    if vf is None:
        raise kernel_error(errno.ENODEV)
    return vf


def holders(twin: Twin, vf: Vf) -> list[Process]:
    """Processes that have the VF's VFIO group open: QEMU of the guests that have it, and others."""
    if vf.iommu_group is None or vf.driver != VFIO:
        return []
    found = [
        Process(qemu_pid(twin, domain), "qemu-system-x86", domain.name) for domain, nic in guests_of(twin, vf.address)
    ]
    return found + twin.users.get(vf.iommu_group, [])


def guests_of(twin: Twin, address: str | None) -> list[tuple[Domain, Nic]]:
    """Running guests that have a VF, with the NIC."""
    return [
        (domain, nic)
        for domain in twin.libvirt.domains.values()
        if domain.running and address is not None
        for nic in domain.live
        if nic.vf_address == address and nic.method != "other"
    ]


def qemu_pid(twin: Twin, domain: Domain) -> int:
    """Process of a running guest."""
    return 2000 + list(twin.libvirt.domains).index(domain.name)


def take_device(twin: Twin, vf: Vf) -> None:
    """A VF goes away under whoever has it; for a holder that doesn't let go the kernel waits: `Hangs`."""
    if not may_be_taken(twin, vf):
        raise Hangs
    lose_device(twin, vf)


def may_be_taken(twin: Twin, vf: Vf) -> bool:
    """vfio-pci asks QEMU to give a VF up, and its guest, if it answers, does so. Nobody else does."""
    if vf.iommu_group is not None and twin.users.get(vf.iommu_group) and vf.driver == VFIO:
        return False
    return all(twin.guest(domain.name).answers for domain, _ in guests_of(twin, vf.address))


def lose_device(twin: Twin, vf: Vf) -> None:
    """The device is gone from its guest, and from libvirt's books."""
    for domain, nic in guests_of(twin, vf.address):
        domain.live.remove(nic)
        for network in twin.hostdev_networks():
            network.ports = [port for port in network.ports if port.vf_address != nic.vf_address]
