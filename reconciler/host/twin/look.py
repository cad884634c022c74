"""What is seen of a twin: the snapshot that the local reader, run as root, would take of such a host."""

from __future__ import annotations

from copy import deepcopy

import reconciler
from reconciler.clock import now
from reconciler.host.model import (
    OWN_ALIAS,
    STANDBY_ALIAS,
    Domain,
    GuestHardware,
    Hang,
    Libvirt,
    Modules,
    Pf,
    Process,
    Snapshot,
)
from reconciler.host.protocol import Scope
from reconciler.host.refusals import Evidence, describe
from reconciler.host.twin import cmdline, libvirt, modules
from reconciler.host.twin.attributes import seen
from reconciler.host.twin.state import Twin

_LIKE_OURS = (OWN_ALIAS, STANDBY_ALIAS)
_WRITER = 4000
"""Process ids of those that hang in a write."""


def look(twin: Twin) -> Snapshot:
    """Everything that a plan reads."""
    snapshot = Snapshot(tool=reconciler.__version__, taken_at=now(), host=deepcopy(twin.host))
    snapshot.pfs = {key: _pf(twin, pf) for key, pf in sorted(twin.pfs.items())}
    snapshot.boot = cmdline.look(twin)
    snapshot.modules = _modules(twin)
    snapshot.bridges = sorted(twin.bridges)
    snapshot.services = deepcopy(twin.services)
    snapshot.hugepages = deepcopy(twin.hugepages)
    snapshot.host_network = deepcopy(twin.host_network)
    snapshot.owners = deepcopy(twin.owners)
    snapshot.libvirt = _libvirt(twin)
    _processes(twin, snapshot)
    return snapshot


def refresh(twin: Twin, snapshot: Snapshot, scope: Scope) -> None:
    """Reads one part again, as much with it as the local reader does."""
    if scope.kind == "modules":
        snapshot.modules = _modules(twin)
    elif scope.kind == "boot":
        snapshot.boot = cmdline.look(twin)
    elif scope.kind == "hugepages":
        snapshot.hugepages = deepcopy(twin.hugepages)
    elif scope.kind == "host_network":
        snapshot.host_network = deepcopy(twin.host_network)
    elif scope.kind == "service":
        snapshot.services = deepcopy(twin.services)
    elif scope.kind == "vfs" and _same_vfs(twin, snapshot, scope.key.split()):
        for identity in scope.key.split():
            for vf, found in zip(snapshot.pfs[identity].vfs, _pf(twin, twin.pfs[identity]).vfs, strict=True):
                vf.attributes = found.attributes
    elif scope.kind not in ("pf", "vfs"):
        snapshot.libvirt = _libvirt(twin)
    else:
        for identity in scope.key.split():
            pf = twin.pfs.get(identity)
            if pf is None:
                snapshot.pfs.pop(identity, None)
            else:
                snapshot.pfs[identity] = _pf(twin, pf)
        _processes(twin, snapshot)


def _same_vfs(twin: Twin, snapshot: Snapshot, identities: list[str]) -> bool:
    """Whether the snapshot has the very VFs that there are; else more has to be read than their attributes."""
    pairs = [(snapshot.pfs.get(identity), twin.pfs.get(identity)) for identity in identities]
    return all(
        known is not None and there is not None and [vf.index for vf in known.vfs] == [vf.index for vf in there.vfs]
        for known, there in pairs
    )


def _pf(twin: Twin, pf: Pf) -> Pf:
    found = deepcopy(pf)
    hangs = bool(twin.cards[pf.id].hangs)
    for vf, truth in zip(found.vfs, pf.vfs, strict=True):
        vf.attributes = seen(pf, truth)
        if hangs:
            vf.driver_override = None
        if vf.driver is None or "vfio" not in vf.driver:
            vf.saved = None
    return found


def _libvirt(twin: Twin) -> Libvirt:
    """Nothing is known of it while it doesn't answer."""
    known = twin.libvirt
    if not known.available:
        return Libvirt(uri=known.uri, reason=known.reason)
    found = deepcopy(known)
    for domain in found.domains.values():
        domain.hardware = _hardware(twin, domain)
        _set_apart(twin, domain)
        guest = twin.guests.get(domain.name)
        if guest is not None and domain.persistent and domain.hardware.free_root_ports is not None:
            domain.buses = libvirt.buses(domain, guest)
    return found


def _set_apart(twin: Twin, domain: Domain) -> None:
    """Plain hostdevs that are other devices than VFs are no NICs; one with an alias like ours is known by that."""
    for nics in (domain.live, domain.config):
        others = [nic for nic in nics if nic.method == "hostdev" and twin.is_vf(nic.vf_address or "") is False]
        nics[:] = [nic for nic in nics if nic not in others]
        aliases = {nic.alias for nic in others if nic.alias is not None and nic.alias.startswith(_LIKE_OURS)}
        domain.other_aliases = sorted({*domain.other_aliases, *aliases})


def _hardware(twin: Twin, domain: Domain) -> GuestHardware:
    """As it was recorded, with the devices that it has now."""
    hardware = domain.hardware or GuestHardware(memory_kib=2 << 20, machine="pc-q35-10.0")
    hardware.hostdevs = sum(nic.method != "other" for nic in (domain.live if domain.running else domain.config))
    guest = twin.guests.get(domain.name)
    if guest is not None and hardware.machine.startswith("pc-q35"):
        taken = libvirt.ports_taken(domain.live if domain.running else domain.config)
        hardware.free_root_ports = max(0, guest.slots - taken)
    return hardware


def _modules(twin: Twin) -> Modules:
    found = deepcopy(twin.modules)
    found.builtin = list(twin.builtin)
    devices = {name: list(listed) for name, listed in (found.devices or {}).items()}
    for pf in twin.pfs.values():
        if pf.bus != "pci":
            continue
        for driver, address in ((pf.driver, pf.device), *((vf.driver, vf.address) for vf in pf.vfs)):
            if driver is not None and address is not None:
                devices.setdefault(modules.canonical(driver), []).append(address)
    found.devices = {name: sorted(listed) for name, listed in sorted(devices.items())}
    return found


def _open_groups(twin: Twin) -> dict[int, list[Process]]:
    found = {}
    for pf in twin.pfs.values():
        for vf in pf.vfs:
            held = modules.holders(twin, vf)
            if held and vf.iommu_group is not None:
                found[vf.iommu_group] = deepcopy(sorted(held, key=lambda process: process.pid))
    return dict(sorted(found.items()))


def _processes(twin: Twin, snapshot: Snapshot) -> None:
    snapshot.vfio_open = _open_groups(twin)
    snapshot.hangs = hangs(twin)
    notes = [f"{describe(hang)}." for hang in snapshot.hangs]
    snapshot.notes += [note for note in notes if note not in snapshot.notes]


def hangs(twin: Twin) -> list[Hang]:
    """Writes that have not come back, as their processes are seen."""
    return [
        Hang(
            _WRITER + number,
            "reconciler-set",
            "/sys/bus/pci/drivers/vfio-pci/unbind"
            if twin.cards[pf.id].hangs == "unbind"
            else f"/sys/bus/{pf.bus}/devices/{pf.device}/sriov_numvfs",
            pf.id,
            waits_in="vfio_unregister_group_dev",
            holders=[
                f"VF {vf.index} ({vf.address}): {process}" for vf in pf.vfs for process in modules.holders(twin, vf)
            ],
        )
        for number, pf in enumerate(twin.pfs.values())
        if twin.cards[pf.id].hangs
    ]


def evidence(twin: Twin, pf: str) -> Evidence:
    """What is seen of the write to this PF that hangs."""
    hang = next((hang for hang in hangs(twin) if hang.pf == pf), None)
    return Evidence(hang.pid, hang.waits_in, (), hang.holders) if hang is not None else Evidence()
