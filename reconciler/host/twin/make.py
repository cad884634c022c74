"""Makes a twin: of a recorded or observed host."""

from __future__ import annotations

from copy import deepcopy

import reconciler
from reconciler.drivers.table import DRIVERS
from reconciler.host.model import Domain, HostNetwork, KernelModules, Pf, Snapshot, Vf
from reconciler.host.platform import Platform
from reconciler.host.twin import cmdline, kernel, modules
from reconciler.host.twin.libvirt import ports_taken
from reconciler.host.twin.state import Card, Guest, Twin

_SPEEDS = {"igb": 1000, "ixgbe": 10000, "i40e": 10000, "ice": 25000, "mlx5_core": 25000, "bnxt_en": 25000}
"""Mbit/s that a card of this driver usually has, for one that has no link now."""
_NOT_RECORDED = "The snapshot that this host was made from has no firmware, kernel arguments or memory in it."


def from_snapshot(snapshot: Snapshot) -> Twin:
    """A twin of a host that was observed. What a snapshot doesn't tell is taken as it usually is: cables are in, guests
    answer, a PF that is up has a link partner of the same speed, and the modules of all known VF drivers are
    installed."""
    libvirt = deepcopy(snapshot.libvirt)
    twin = Twin(
        tool=reconciler.__version__,
        origin=f"snapshot of {snapshot.host.name or 'a host without a name'}",
        host=deepcopy(snapshot.host),
        pfs=deepcopy(snapshot.pfs),
        boot=deepcopy(snapshot.boot),
        modules=deepcopy(snapshot.modules),
        bridges=list(snapshot.bridges or []),
        services=deepcopy(snapshot.services),
        hugepages=deepcopy(snapshot.hugepages),
        host_network=HostNetwork(snapshot.host_network.ignored or [], dict(snapshot.host_network.managed)),
        owners=deepcopy(snapshot.owners),
        libvirt=libvirt,
        platform=deepcopy(snapshot.platform) if snapshot.platform is not None else Platform(notes=[_NOT_RECORDED]),
    )
    for pf in twin.pfs.values():
        twin.cards[pf.id] = _card(pf)
        for vf in pf.vfs:
            _complete(pf, vf)
    twin.iommu = _has_iommu(twin)
    cmdline.guess(twin)
    twin.guests = {name: _guest(domain) for name, domain in libvirt.domains.items()}
    _add_modules(twin)
    _add_users(twin, snapshot)
    return twin


def _guest(domain: Domain) -> Guest:
    """With the root ports that were recorded."""
    live, config = ports_taken(domain.live), ports_taken(domain.config)
    free = domain.hardware.free_root_ports if domain.hardware is not None else None
    to_come = None if domain.buses is None else config + sum(bus.free for bus in domain.buses)
    guest = Guest(slots=max(6, live + 2) if free is None or not domain.running else live + free)
    if to_come is not None:
        guest.define_slots(to_come, running=domain.running)
    return guest


def _has_iommu(twin: Twin) -> bool:
    """As was examined; else as VFs show it; else it is taken as on."""
    if twin.platform.iommu_groups is not None:
        return bool(twin.platform.iommu_groups)
    return all(vf.iommu_group is not None for pf in twin.pfs.values() for vf in pf.vfs if vf.address)


def _card(pf: Pf) -> Card:
    speed = pf.speed or _SPEEDS.get(pf.driver or "", 10000)
    return Card(cable=pf.carrier is not False, speed=speed, max_mtu=max(9216, pf.mtu or 0), rates_set_at=pf.speed)


def _complete(pf: Pf, vf: Vf) -> None:
    """What the driver didn't report is as it is on a new VF."""
    vf.attributes = {**kernel.fresh(pf, kernel.known(pf), vf.index), **(vf.attributes or {})}


def _add_modules(twin: Twin) -> None:
    loaded = set(twin.modules.loaded or [])
    known = {facts.vf_driver for facts in DRIVERS.values() if facts.vf_driver != "kernel"}
    twin.modules.loaded = sorted(loaded)
    there = twin.modules.kernel or KernelModules(twin.modules.builtin)
    twin.installed = sorted(
        {modules.canonical(name) for name in known | {modules.VFIO}} | loaded | set(there.installed)
    )
    drivers = {vf.driver for pf in twin.pfs.values() for vf in pf.vfs} | {pf.driver for pf in twin.pfs.values()}
    twin.builtin = sorted({*(modules.canonical(name) for name in drivers if name), *there.builtin} - loaded)
    vfs = {vf.address for pf in twin.pfs.values() for vf in pf.vfs} | {pf.device for pf in twin.pfs.values()}
    twin.modules.devices = {
        name: others
        for name, listed in (twin.modules.devices or {}).items()
        if (others := [address for address in listed if address not in vfs])
    }


def _add_users(twin: Twin, snapshot: Snapshot) -> None:
    """Processes that hold a VFIO group and are no guest's QEMU."""
    groups = {vf.iommu_group: vf for pf in twin.pfs.values() for vf in pf.vfs}
    for group, processes in (snapshot.vfio_open or {}).items():
        vf = groups.get(group)
        if vf is not None and not modules.guests_of(twin, vf.address):
            twin.users[group] = deepcopy(processes)
