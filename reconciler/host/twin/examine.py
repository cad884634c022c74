"""What `doctor` finds on a twin: its IOMMU groups, modules, cards and guests as they are now; its firmware, kernel
arguments and memory as its profile or the recorded host had them."""

from __future__ import annotations

from copy import deepcopy

from reconciler.host.platform import CapableDevice, GuestHardware, IommuGroup, ModuleState, Platform
from reconciler.host.twin import modules
from reconciler.host.twin.state import Twin

_VFIO = ("vfio", "vfio_pci", "vfio_iommu_type1")


def examine(twin: Twin) -> Platform:
    """The facts."""
    found = deepcopy(twin.platform)
    found.iommu_groups = _groups(twin)
    found.capable = _capable(twin)
    found.modules = _modules(twin)
    found.guests = _guests(twin) if twin.libvirt.available else None
    return found


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


def _guests(twin: Twin) -> dict[str, GuestHardware]:
    recorded = twin.platform.guests or {}
    found = {}
    for name, domain in twin.libvirt.domains.items():
        guest = twin.guests.get(name)
        hardware = deepcopy(recorded.get(name)) or GuestHardware(memory_kib=2 << 20, machine="pc-q35-10.0")
        nics = domain.live if domain.running else domain.config
        hardware.hostdevs = sum(nic.method != "other" for nic in nics)
        if guest is not None and hardware.machine.startswith("pc-q35"):
            hardware.free_root_ports = max(0, guest.slots - hardware.hostdevs)
        found[name] = hardware
    return found
