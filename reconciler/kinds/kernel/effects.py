"""Whether an argument of the kernel has its effect: of those that switch on the IOMMU what they bring about, of all
others that the kernel was started with them.

Sources: Documentation/admin-guide/kernel-parameters.txt; drivers/iommu/iommu.c (iommu_probe_device: groups exist
exactly when an IOMMU driver serves devices; iommu_group_show_type). AMD's is on by itself, and so is Intel's in a
kernel with CONFIG_INTEL_IOMMU_DEFAULT_ON.
"""

from __future__ import annotations

from reconciler.host.model import BootArguments

_ON = frozenset({"intel_iommu=on", "amd_iommu=on"})
_PASSTHROUGH = frozenset({"iommu=pt", *(f"iommu.passthrough={value}" for value in ("1", "on", "y", "yes", "true"))})


def has_effect(argument: str, boot: BootArguments) -> bool | None:
    """Whether the running kernel is as this argument makes it; ``None``: not known."""
    if argument in _ON:
        return None if boot.groups is None else boot.groups > 0
    if argument in _PASSTHROUGH and boot.groups == 0:
        return False
    if argument in _PASSTHROUGH and boot.domains:
        return "identity" in boot.domains
    return None if boot.running is None else argument in boot.running


def is_lasting(argument: str, boot: BootArguments) -> bool | None:
    """Whether the next boot will be as this argument makes it, as far as that can be told: the boot loader has it, or
    this kernel has its effect without it. ``None``: it is in effect only because it was given this once, or it is not
    known what the boot loader has."""
    if boot.next is not None and argument in boot.next:
        return True
    in_effect = has_effect(argument, boot)
    if in_effect and (boot.next is None or argument not in (boot.running or ())):
        return True
    return None if boot.next is None and boot.loader else False


def switches_on(argument: str) -> bool:
    """Whether there is an IOMMU because of it."""
    return argument in _ON


def takes_an_iommu(argument: str) -> bool:
    """Whether it says how an IOMMU that is on is used."""
    return argument in _PASSTHROUGH


def why_not(argument: str, boot: BootArguments) -> str:
    """Why an argument that the boot loader had for this boot has no effect, and what to do about it."""
    if boot.running is not None and argument not in boot.running:
        return (
            f"The boot loader's configuration has {argument}, and this kernel was started without it: another entry "
            "was chosen, or another boot loader started it. Start the entry that has it, or have that boot loader "
            "give it to the kernel."
        )
    if argument in _ON:
        return (
            f"The kernel was started with {argument}, and there are no IOMMU groups. Switch on VT-d (Intel) or AMD-Vi "
            "(AMD) in the firmware's setup; in a virtual machine, give it an IOMMU."
        )
    if boot.groups == 0:
        return (
            f"The kernel was started with {argument}, and the IOMMU is off: there are no IOMMU groups. Switch on VT-d "
            "(Intel) or AMD-Vi (AMD) in the firmware's setup, and declare intel_iommu=on for an Intel processor."
        )
    return (
        f"The kernel was started with {argument}, and the PFs' IOMMU groups are of type "
        f"{', '.join(boot.domains or [])}. Look for an argument that contradicts it (iommu.strict, iommu=nopt), or "
        "take it out of the file."
    )
