"""What doctor wants to know of this machine, beyond what a plan reads. Reading only; nothing here takes root, but root
sees more."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from reconciler.drivers.table import facts
from reconciler.host.kernel_modules import canonical
from reconciler.host.local.capability import sriov_total
from reconciler.host.local.hugepages import read_huge_pages
from reconciler.host.local.modules_load import kernel_modules
from reconciler.host.local.owners import read_owners
from reconciler.host.local.sysfs import Sysfs
from reconciler.host.local.systemd import booted, read_services
from reconciler.host.platform import CapableDevice, HugePages, IommuGroup, ModuleState, Platform, Service
from reconciler.state.refs import page_size_kib

_VFIO = ("vfio", "vfio_pci", "vfio_iommu_type1")
_SERVICES = ("NetworkManager",)
_CLASS_NETWORK = "0x02"
"""The base class of a PCI device's class code: network controller."""


class _Below(Sysfs):
    """Reads what stands below a root, by paths without a leading slash."""

    def __init__(self, root: Path, notes: list[str]) -> None:
        super().__init__(root, notes)
        self.base = str(root).rstrip("/")

    def names(self, directory: str) -> list[str]:
        """Names in a directory."""
        return super().names(f"{self.base}/{directory}")

    def text(self, path: str) -> str | None:
        """A file's text."""
        return super().text(f"{self.base}/{path}")

    def link(self, path: str) -> str | None:
        """The last part of where a link points to."""
        return super().link(f"{self.base}/{path}")


def read_platform(root: Path) -> Platform:
    """Everything but the guests, whose definitions libvirt has."""
    found = Platform()
    sysfs = _Below(root, found.notes)
    found.iommu_groups = _iommu_groups(sysfs)
    found.iommu_units = sysfs.names("sys/class/iommu")
    found.cmdline = sysfs.text("proc/cmdline")
    found.cpu_vendor, found.cpu_virtualisation = _processor(sysfs)
    found.kvm = os.path.lexists(root / "dev/kvm")
    found.capable = _capable(root, sysfs)
    found.modules = _modules(root, sysfs)
    memory = _memory(sysfs)
    found.memory_total_kib = memory.get("MemTotal")
    found.memory_available_kib = memory.get("MemAvailable")
    found.default_huge_page_kib = memory.get("Hugepagesize")
    found.huge_pages = _huge_pages(root, found.notes)
    found.owners = read_owners(root, _pf_names(root, sysfs), found.notes)
    found.services = _services(root, found.notes)
    return found


def _iommu_groups(sysfs: _Below) -> list[IommuGroup] | None:
    """None at all, or ``None`` when they can't be listed."""
    told, groups = len(sysfs.notes), []
    for name in sorted(filter(str.isdigit, sysfs.names("sys/kernel/iommu_groups")), key=int):
        folder = f"sys/kernel/iommu_groups/{name}"
        kind = sysfs.text(f"{folder}/type")
        groups.append(IommuGroup(int(name), kind, sorted(sysfs.names(f"{folder}/devices"))))
    return groups or (None if len(sysfs.notes) > told else [])


def _processor(sysfs: _Below) -> tuple[str | None, bool | None]:
    text = sysfs.text("proc/cpuinfo")
    if text is None:
        return None, None
    first = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in first.items()}
    if "flags" not in fields:  # ARM says "Features", and has no flag for it
        return fields.get("vendor_id", ""), None
    flags = fields["flags"].split()
    return fields.get("vendor_id", ""), "vmx" in flags or "svm" in flags


def _capable(root: Path, sysfs: _Below) -> list[CapableDevice] | None:
    found = []
    for address in sorted(sysfs.names("sys/bus/pci/devices")):
        folder = f"sys/bus/pci/devices/{address}"
        if not (sysfs.text(f"{folder}/class") or "").startswith(_CLASS_NETWORK):
            continue
        if os.path.lexists(root / folder / "physfn"):
            continue  # A VF has no capability of its own.
        try:
            config = (root / folder / "config").read_bytes()
        except OSError as error:
            sysfs.notes.append(f"/{folder}/config can't be read: {error.strerror}.")
            return None
        total = sriov_total(config)
        attribute = os.path.lexists(root / folder / "sriov_totalvfs")
        if total is None and not attribute and len(config) <= 64 and os.geteuid() != 0:
            sysfs.notes.append("Whether a card could make VFs is in its PCI configuration space, which takes root.")
            return None
        if total or attribute:
            driver = sysfs.link(f"{folder}/driver")
            netdevs = sorted(sysfs.names(f"{folder}/net")) if os.path.isdir(root / folder / "net") else []
            found.append(CapableDevice(address, total or 0, attribute, driver, netdevs))
    return found


def _modules(root: Path, sysfs: _Below) -> dict[str, ModuleState]:
    wanted = {*_VFIO, *_vf_drivers(root, sysfs)}
    builtin, installed = kernel_modules(root)
    loaded = {line.split()[0] for line in (sysfs.text("proc/modules") or "").splitlines() if line.strip()}

    def state(name: str) -> ModuleState:
        if name in loaded:
            return "loaded"
        if name in builtin:
            return "builtin"
        return "installable" if name in installed else "missing"

    return {name: state(name) for name in sorted(wanted)}


def _pf_names(root: Path, sysfs: _Below) -> dict[str, list[str]]:
    """Netdevs of each PF on PCI, by its address."""
    found = {}
    for address in sysfs.names("sys/bus/pci/devices"):
        folder = f"sys/bus/pci/devices/{address}"
        if os.path.lexists(root / folder / "sriov_totalvfs"):
            found[address] = sorted(sysfs.names(f"{folder}/net")) if os.path.isdir(root / folder / "net") else []
    return found


def _vf_drivers(root: Path, sysfs: _Below) -> Iterable[str]:
    for address in _pf_names(root, sysfs):
        driver = sysfs.link(f"sys/bus/pci/devices/{address}/driver")
        known = facts(driver).vf_driver
        if known != "kernel":
            yield canonical(known)


def _memory(sysfs: _Below) -> dict[str, int]:
    """The fields of /proc/meminfo, in KiB (those of them that are sizes)."""
    lines = [line.split() for line in (sysfs.text("proc/meminfo") or "").splitlines()]
    return {words[0].rstrip(":"): int(words[1]) for words in lines if len(words) >= 2 and words[1].isdigit()}


def _huge_pages(root: Path, notes: list[str]) -> list[HugePages] | None:
    sizes = read_huge_pages(root, notes).sizes
    if sizes is None:
        return None
    return [HugePages(page_size_kib(size) or 0, pages.total, pages.free) for size, pages in sizes.items()]


def _services(root: Path, notes: list[str]) -> dict[str, Service] | None:
    """Those that are installed; ``None`` where systemd doesn't run, or doesn't answer."""
    units = read_services(root, _SERVICES, notes).units if booted(root) else None
    if units is None:
        return None
    return {
        name: Service(unit.active == "active", unit.enabled == "enabled")
        for name, unit in units.items()
        if unit.load == "loaded"
    }
