"""What is seen of a twin: the snapshot that the local reader, run as root, would take of such a host."""

from __future__ import annotations

from copy import deepcopy

import reconciler
from reconciler.clock import now
from reconciler.host.model import Libvirt, Modules, Pf, Process, Snapshot
from reconciler.host.protocol import Scope
from reconciler.host.twin import modules
from reconciler.host.twin.attributes import seen
from reconciler.host.twin.state import Twin


def look(twin: Twin) -> Snapshot:
    """Everything that a plan reads."""
    snapshot = Snapshot(tool=reconciler.__version__, taken_at=now(), host=deepcopy(twin.host))
    snapshot.pfs = {key: _pf(twin, pf) for key, pf in sorted(twin.pfs.items())}
    snapshot.modules = _modules(twin)
    snapshot.libvirt = _libvirt(twin)
    snapshot.vfio_open = _open_groups(twin)
    snapshot.notes = _notes(twin, list(twin.pfs))
    return snapshot


def refresh(twin: Twin, snapshot: Snapshot, scope: Scope) -> None:
    """Reads one part again, as much with it as the local reader does."""
    if scope.kind == "modules":
        snapshot.modules = _modules(twin)
    elif scope.kind != "pf":
        snapshot.libvirt = _libvirt(twin)
    else:
        pf = twin.pfs.get(scope.key)
        if pf is None:
            snapshot.pfs.pop(scope.key, None)
        else:
            snapshot.pfs[scope.key] = _pf(twin, pf)
            snapshot.notes += [note for note in _notes(twin, [scope.key]) if note not in snapshot.notes]
        snapshot.vfio_open = _open_groups(twin)


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
    return deepcopy(known) if known.available else Libvirt(uri=known.uri, reason=known.reason)


def _modules(twin: Twin) -> Modules:
    found = deepcopy(twin.modules)
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


def _notes(twin: Twin, pfs: list[str]) -> list[str]:
    return [
        f"The kernel does not answer a read of /sys/bus/pci/devices/{pf.vfs[0].address}/driver_override: the VF is "
        "probably being removed while something holds it. driver_override of it and of the VFs after it is unknown."
        for pf in (twin.pfs[key] for key in pfs)
        if twin.cards[pf.id].hangs and pf.vfs and pf.vfs[0].address
    ]
