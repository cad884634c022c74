"""Processor, IOMMU, vfio: what has to be there before any card matters."""

from __future__ import annotations

from reconciler.doctor.document import Checked, Finding, Unchecked
from reconciler.doctor.facts import Facts, Found
from reconciler.host.model import Pf
from reconciler.host.platform import IommuGroup

_HOW_TO_SWITCH_ON = {
    "GenuineIntel": "Switch on VT-d in the firmware's setup, add intel_iommu=on iommu=pt to the kernel's arguments, "
    "and reboot.",
    "AuthenticAMD": "Switch on AMD-Vi (IOMMU) in the firmware's setup and reboot: the kernel then uses it by itself. "
    "iommu=pt leaves the host's own DMA untranslated.",
    "": "Switch on the IOMMU in the firmware's setup (VT-d, AMD-Vi, SMMU), add intel_iommu=on iommu=pt to the kernel's "
    "arguments if the processor is Intel's, and reboot.",
}
"""By the processor's vendor. amd_iommu is on by default (Documentation/admin-guide/kernel-parameters.txt)."""
_FORBIDS = ("intel_iommu=off", "amd_iommu=off", "iommu=off")
_ASKS = ("intel_iommu=on", "amd_iommu=on", "iommu=pt", "iommu.passthrough=1")


_SHOWN = 4
"""Devices of a group that are named."""


def check_processor(facts: Facts) -> Found:
    """/dev/kvm is there when the module could be loaded and firmware left virtualisation on."""
    platform = facts.platform
    if not facts.wants_guests:
        return
    if platform.kvm is None:
        yield Unchecked("KVM", "whether there is /dev/kvm")
        return
    if platform.kvm:
        yield Checked("KVM", "/dev/kvm is there")
        return
    off = platform.cpu_virtualisation is False
    yield Finding(
        "problem",
        "no-kvm",
        "KVM",
        "There is no /dev/kvm" + (", and the processor shows neither vmx nor svm." if off else "."),
        "Guests can only be emulated, which is many times slower.",
        "Switch on virtualisation (VT-x or SVM) in the firmware's setup."
        if off
        else "Load the module: modprobe kvm_intel (or kvm_amd); if it refuses, `dmesg | grep -i kvm` says why.",
    )


def check_iommu(facts: Facts) -> Found:
    """By its effect: groups exist exactly when an IOMMU driver serves devices (drivers/iommu/iommu.c,
    iommu_probe_device), whatever the command line says."""
    groups = facts.platform.iommu_groups
    if not facts.wants_passthrough:
        return
    if groups is None:
        yield Unchecked("IOMMU", "the host's IOMMU groups")
        return
    if not groups:
        yield _iommu_off(facts)
        return
    types = [group.type for group in _groups_of(facts.pfs, groups) if group.type is not None]
    units = ", ".join(facts.platform.iommu_units or []) or "no unit listed"
    if types and all(kind != "identity" for kind in types):
        yield Finding(
            "note",
            "iommu-translates",
            "IOMMU",
            f"The IOMMU is on ({units}) and translates the host's own DMA as well (group type {types[0]}).",
            "The host's own cards lose some throughput; guests are not concerned.",
            "Add iommu=pt to the kernel's arguments (iommu.passthrough=1 on ARM) and reboot.",
        )
        return
    mode = "in passthrough mode for the host, " if types else ""
    yield Checked("IOMMU", f"on, {mode}{len(groups)} groups ({units})")


def _iommu_off(facts: Facts) -> Finding:
    platform = facts.platform
    words = (platform.cmdline or "").split()
    asked = [word for word in words if word in _ASKS]
    forbidden = next((word for word in words if word in _FORBIDS), "")
    seen = "The IOMMU is off: /sys/kernel/iommu_groups is empty."
    if platform.iommu_units:
        seen += f" The kernel found {', '.join(platform.iommu_units)} and doesn't use it."
    if waiting := [word for word in _ASKS if word in (facts.host.boot.next or ()) and word not in words]:
        seen += f" The boot loader's configuration has {' '.join(waiting)}, and this kernel was started without."
        todo = "Reboot. If it was rebooted since that was written: see that the entry that has it is started."
    elif forbidden:
        todo = (
            f"The kernel was started with {forbidden}: take that out of its arguments (on Intel's IOMMU put "
            "intel_iommu=on iommu=pt there), and reboot."
        )
    elif "intel_iommu=on" in asked or "amd_iommu=on" in asked:
        todo = (
            f"The kernel was started with {' '.join(asked)} and it had no effect: switch on VT-d (Intel) or AMD-Vi, "
            "also called IOMMU, in the firmware's setup. In a virtual machine, give it an IOMMU."
        )
    else:
        todo = _HOW_TO_SWITCH_ON.get(platform.cpu_vendor or "", _HOW_TO_SWITCH_ON[""])
    return Finding("problem", "iommu-off", "IOMMU", seen, "Without it no VF can be given to a guest.", todo)


def _groups_of(pfs: list[Pf], groups: list[IommuGroup]) -> list[IommuGroup]:
    devices = {pf.device for pf in pfs if pf.bus == "pci"}
    return [group for group in groups if devices & set(group.devices)]


def check_groups(facts: Facts) -> Found:
    """A group goes to one guest as a whole (Documentation/driver-api/vfio.rst).

    VFs that are there are judged by their groups. Of a card without VFs only this can be said: a port above it without
    ACS takes all that is below it into its own group, VFs that come later as well (drivers/iommu/iommu.c,
    pci_device_group). Other functions in the PF's group say nothing: they lack ACS among themselves.
    """
    groups = facts.platform.iommu_groups
    if not facts.wants_passthrough or not groups:
        return
    members = {device: group for group in groups for device in group.devices}
    for pf in facts.pfs:
        vfs = [vf.address for vf in pf.vfs if vf.address in members]
        shared = {members[vf].number: members[vf] for vf in vfs if vf and len(members[vf].devices) > 1}
        if shared:
            group = next(iter(shared.values()))
            others = f"; and {len(shared) - 1} more such groups" if len(shared) > 1 else ""
            yield Finding(
                "problem",
                "group-shared",
                pf.netdev,
                f"VFs share IOMMU group {group.number} with other devices: {_few(group.devices)}{others}.",
                "Devices of one group can only go to the same guest.",
                "Switch on ACS (and ARI) in the firmware's setup, or move the card to another slot.",
                facts.address(pf),
                facts.line(facts.address(pf)),
            )
        elif vfs:
            yield Checked("IOMMU groups", f"{pf.netdev}: each of its {len(vfs)} VFs has a group of its own")
        elif pf.vfs and pf.bus == "pci":
            yield Unchecked("IOMMU groups", f"the groups of {pf.netdev}'s VFs")
        elif pf.device in members:
            yield _before_vfs(facts, pf, members[pf.device])


def _before_vfs(facts: Facts, pf: Pf, group: IommuGroup) -> Finding | Checked:
    strangers = [device for device in group.devices if device.rpartition(".")[0] != pf.device.rpartition(".")[0]]
    if not strangers:
        return Checked("IOMMU groups", f"{pf.netdev}: no other card in its group, and no VFs yet")
    return Finding(
        "warning",
        "group-will-be-shared",
        pf.netdev,
        f"{pf.netdev} is in IOMMU group {group.number} with other devices: {_few(strangers)}.",
        "A port above the card lacks ACS, so its VFs will join that group, and all of one group can only go to the "
        "same guest.",
        "Switch on ACS in the firmware's setup, or move the card to another slot.",
        facts.address(pf),
        facts.line(facts.address(pf)),
    )


def _few(devices: list[str]) -> str:
    """The first ones, and how many more there are."""
    more = f" and {len(devices) - _SHOWN} more" if len(devices) > _SHOWN else ""
    return f"{', '.join(devices[:_SHOWN])}{more}"


def check_vfio(facts: Facts) -> Found:
    """vfio-pci is what takes a VF from the host for a guest."""
    modules = facts.platform.modules
    if not facts.wants_passthrough:
        return
    if modules is None:
        yield Unchecked("vfio", "whether the kernel has vfio-pci")
        return
    missing = [name for name in ("vfio", "vfio_pci") if modules.get(name, "missing") == "missing"]
    if missing:
        yield Finding(
            "problem",
            "vfio-missing",
            "vfio",
            f"The running kernel has no module {' nor '.join(missing)}, neither built in nor to be loaded.",
            "No device can be given to a guest.",
            "Install the kernel's full set of modules (often a package linux-modules-extra-…), or, if the kernel was "
            "just updated, reboot into it.",
        )
        return
    yield Checked("vfio", f"vfio-pci is {_STATES[modules['vfio_pci']]}")


_STATES = {"loaded": "loaded", "builtin": "built into the kernel", "installable": "there, and loaded when needed"}
