"""What `doctor` finds on a twin: its IOMMU groups, modules and cards as they are now; its firmware, kernel
arguments and memory as its profile or the recorded host had them."""

from __future__ import annotations

from copy import deepcopy

from reconciler.host.platform import CapableDevice, HugePages, Inside, IommuGroup, ModuleState, Platform
from reconciler.host.twin import modules
from reconciler.host.twin.state import Twin
from reconciler.state.refs import page_size_kib

_VFIO = ("vfio", "vfio_pci", "vfio_iommu_type1")


def examine(twin: Twin) -> Platform:
    """The facts."""
    found = deepcopy(twin.platform)
    found.iommu_groups = _groups(twin)
    found.capable = _capable(twin)
    found.modules = _modules(twin)
    found.inside = _inside(twin)
    sizes = twin.hugepages.sizes
    if sizes is not None:
        found.huge_pages = [HugePages(page_size_kib(size) or 0, it.total, it.free) for size, it in sizes.items()]
    return found


def _inside(twin: Twin) -> dict[str, Inside] | None:
    """What agents say is as it was recorded; a guest that had none then has none."""
    known = twin.platform.inside
    if known is None or not twin.libvirt.available:
        return None
    return {
        domain.name: deepcopy(known.get(domain.name)) or Inside("absent", "it has no channel for one")
        for domain in twin.libvirt.domains.values()
        if domain.running and any(nic.method != "other" for nic in domain.live)
    }


def _groups(twin: Twin) -> list[IommuGroup]:
    """Those of VFs come and go, each of one VF; the others are as they were at boot."""
    if not twin.iommu:
        return []
    lasting = [group for group in twin.platform.iommu_groups or [] if not any(map(twin.find, group.devices))]
    kind = next((group.type for group in lasting if group.type), "identity")
    of_vfs: dict[int, list[str]] = {}
    for pf in twin.pfs.values():
        for vf in pf.vfs:
            if vf.iommu_group is not None and vf.address is not None:
                of_vfs.setdefault(vf.iommu_group, []).append(vf.address)
    new = [IommuGroup(number, kind, sorted(devices)) for number, devices in of_vfs.items()]
    return sorted([*deepcopy(lasting), *new], key=lambda group: group.number)


def _capable(twin: Twin) -> list[CapableDevice]:
    """The cards that can make VFs; with those that the recorded host had and that show no PF."""
    shown = [
        CapableDevice(pf.device, pf.total_vfs or 0, True, pf.driver, [pf.netdev])
        for pf in twin.pfs.values()
        if pf.bus == "pci"
    ]
    known = {device.address for device in shown}
    others = [device for device in twin.platform.capable or [] if not device.netdevs and device.address not in known]
    return sorted([*shown, *deepcopy(others)], key=lambda device: device.address)


def _modules(twin: Twin) -> dict[str, ModuleState]:
    wanted = {modules.canonical(name) for pf in twin.pfs.values() if (name := modules.vf_driver(pf))}
    return {name: _state(twin, name) for name in sorted({*_VFIO, *wanted})}


def _state(twin: Twin, name: str) -> ModuleState:
    """Modules that vfio-pci needs come and go with it."""
    known = "vfio_pci" if name in _VFIO else name
    if known in twin.builtin:
        return "builtin"
    if modules.is_loaded(twin, known):
        return "loaded"
    return "installable" if known in twin.installed else "missing"
