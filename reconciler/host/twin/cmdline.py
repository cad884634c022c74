"""The kernel's arguments on a simulated host: its boot loader, and what a boot makes of them.

Sources: drivers/iommu/intel/iommu.c (intel_iommu_setup, no_iommu and dmar_disabled: off by default unless
CONFIG_INTEL_IOMMU_DEFAULT_ON), drivers/iommu/amd/init.c (on by default), drivers/iommu/iommu.c (iommu=pt).
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.host.model import BootArguments
from reconciler.host.platform import IommuGroup
from reconciler.host.twin.errors import CommandFailed
from reconciler.host.twin.state import Twin

_SECONDS = 8.0
"""That update-grub takes."""
_OFF = {"intel_iommu=off", "amd_iommu=off", "iommu=off"}


def look(twin: Twin) -> BootArguments:
    """As it is seen: the groups are those that the host has now."""
    boot = twin.boot
    found = BootArguments(
        running=list(boot.running or []),
        own=None if boot.own is None else list(boot.own),
        leaving=list(boot.leaving),
        next=None if boot.next is None else list(boot.next),
        some=list(boot.some),
        since_boot=boot.since_boot,
        loader=boot.loader,
        trouble=boot.trouble,
        replaces=boot.replaces,
        groups=0,
    )
    if twin.iommu and twin.platform.iommu_groups is None:  # It was made of a snapshot that has none.
        found.groups, found.domains = max(1, boot.groups or 0), boot.domains
    elif twin.iommu:
        groups = twin.platform.iommu_groups or []
        found.groups = max(1, len(groups))
        devices = {pf.device for pf in twin.pfs.values() if pf.bus == "pci"}
        types = {group.type for group in groups if group.type is not None and devices & set(group.devices)}
        found.domains = sorted(types) or None
    return found


def set_own(twin: Twin, arguments: Sequence[str] | None) -> float:
    """Our own file, and the configuration made from it."""
    boot = twin.boot
    if not boot.loader:
        raise CommandFailed(boot.trouble)
    others = [argument for argument in boot.next or [] if argument not in [*(boot.own or ()), *boot.leaving]]
    boot.next = [*others, *(argument for argument in arguments or () if argument not in others)]
    boot.own, boot.leaving = None if arguments is None else list(arguments), []
    boot.since_boot = True
    return _SECONDS


def reboot(twin: Twin) -> None:
    """The kernel is started with what the boot loader has, and finds the IOMMU that firmware shows it."""
    boot = twin.boot
    if boot.next is not None:
        boot.running = list(boot.next)
    boot.since_boot = False
    running = boot.running or []
    twin.platform.cmdline = " ".join(running)
    asked = twin.iommu_by_default or any(argument in running for argument in ("intel_iommu=on", "amd_iommu=on"))
    twin.iommu = twin.iommu_in_firmware and asked and not _OFF & set(running)
    kind = "identity" if "iommu=pt" in running or "iommu.passthrough=1" in running else "DMA"
    groups = twin.platform.iommu_groups or [
        IommuGroup(number, kind, [pf.device])
        for number, pf in enumerate((pf for pf in twin.pfs.values() if pf.bus == "pci"), 1)
    ]
    twin.platform.iommu_groups = [IommuGroup(group.number, kind, group.devices) for group in groups]


def guess(twin: Twin) -> None:
    """Of a host that was observed: why its IOMMU is on, or off."""
    running = twin.boot.running or []
    asked = "intel_iommu=on" in running or "amd_iommu=on" in running
    twin.iommu_by_default = twin.iommu and not asked
    twin.iommu_in_firmware = twin.iommu or not asked
