"""Whether an argument of the kernel has its effect: of those that switch on the IOMMU what they bring about, of all
others that the kernel was started with them.

Sources: Documentation/admin-guide/kernel-parameters.txt; drivers/iommu/iommu.c (iommu_probe_device: groups exist
exactly when an IOMMU driver serves devices; iommu_group_show_type). AMD's is on by itself, and so is Intel's in a
kernel with CONFIG_INTEL_IOMMU_DEFAULT_ON.
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.host.model import BootArguments
from reconciler.state.kernel_arguments import contradict

_ON = frozenset({"intel_iommu=on", "amd_iommu=on"})
_PASSTHROUGH = frozenset({"iommu=pt", *(f"iommu.passthrough={value}" for value in ("1", "on", "y", "yes", "true"))})
_TRANSLATED = frozenset(
    {"iommu=nopt", *(f"iommu.passthrough={value}" for value in ("0", "off", "n", "no", "false"))},
)
_OFF = frozenset({"iommu=off", "amd_iommu=off"})
"""Wherever they stand on the line (arch/x86/kernel/pci-dma.c, iommu_setup; drivers/iommu/amd/init.c,
parse_amd_iommu_options)."""


def has_effect(argument: str, boot: BootArguments) -> bool | None:
    """Whether the running kernel is as this argument makes it; ``None``: not known."""
    if argument in _ON:
        return None if boot.groups is None else boot.groups > 0
    if argument in _PASSTHROUGH and boot.groups == 0:
        return False
    if argument in _PASSTHROUGH and boot.domains:
        return "identity" in boot.domains
    return None if boot.running is None else argument in boot.running and not overruled_by(argument, boot.running)


def is_lasting(argument: str, boot: BootArguments) -> bool | None:
    """Whether the next boot will be as this argument makes it, as far as that can be told: the boot loader has it, or
    this kernel has its effect without it. ``None``: it is in effect only because it was given this once, or it is not
    known what the boot loader has."""
    if boot.next is not None and argument in boot.next:
        return not overruled_by(argument, boot.next)
    in_effect = has_effect(argument, boot)
    if in_effect and (boot.next is None or argument not in (boot.running or ())):
        return True
    return None if boot.next is None and boot.loader else False


def contradicts(argument: str, other: str) -> bool:
    """Whether an argument can't have its effect beside this other one, if that is the one that counts."""
    if argument in _ON:
        return other == argument.replace("=on", "=off") or other == "iommu=off"
    if argument in _PASSTHROUGH:
        return other in _TRANSLATED or other in _OFF
    return contradict(argument, other)


def overruled_by(argument: str, line: Sequence[str]) -> str:
    """The argument on this line that takes the effect from one that is there, too: one that comes after it, or counts
    wherever it stands. "": there is none."""
    last = len(line) - 1 - list(reversed(line)).index(argument)
    return next(
        (other for place, other in enumerate(line) if contradicts(argument, other) and (place > last or other in _OFF)),
        "",
    )


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
    against = overruled_by(argument, boot.running) if boot.running is not None else ""
    if against:
        return (
            f"The kernel was started with {argument}, and {against} on the same line overrules it. Take {against} out "
            "where the boot loader's configuration has it, or declare it in place of the other."
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
