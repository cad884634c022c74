"""What there is to say of the kernel's arguments: that they can't be changed, that they did not help, that they wait
for a reboot."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.diagnostics import Diagnostic
from reconciler.host.model import BootArguments, Snapshot
from reconciler.kinds.field_state import FieldState
from reconciler.kinds.kernel.compare import compare, own_arguments, without_effect
from reconciler.kinds.kernel.effects import (
    contradicts,
    has_effect,
    is_lasting,
    switches_on,
    takes_an_iommu,
    why_not,
)
from reconciler.kinds.kernel.operations import ADDRESS
from reconciler.kinds.resolution import Resolution
from reconciler.state.kernel_arguments import name_of

UNTIL_REBOOT = "pending-reboot"
"""Code of the note that makes ``summary.reboot`` true."""


def check_kernel(resolution: Resolution, host: Snapshot) -> Iterator[Diagnostic]:
    """All errors."""
    declared = resolution.desired.cmdline
    if declared is None:
        return
    failed = without_effect(declared, host)
    off = any(map(switches_on, failed))  # Without an IOMMU there is no more to say of its mode.
    for argument in failed:
        if off and takes_an_iommu(argument):
            continue
        yield _error(
            resolution,
            "kernel-argument-without-effect",
            "A kernel argument did not come into effect with the last boot.",
            f"It is not written again. {why_not(argument, host.boot)}",
        )
    if not failed and _entries(resolution, host).differs:
        yield from _unwritable(resolution, declared, host)


def _unwritable(resolution: Resolution, declared: tuple[str, ...], host: Snapshot) -> Iterator[Diagnostic]:
    boot = host.boot
    wanted = own_arguments(declared, host) or []
    if not boot.loader:
        lacking = [argument for argument in declared if not is_lasting(argument, boot)]
        what = f"{' '.join(lacking)} can't be added" if lacking else "what was ours can't be taken out"
        summary = "The kernel's arguments can't be changed on this system."
        yield _error(resolution, "kernel-arguments-fixed", summary, f"{what}: {boot.trouble}")
        return
    for argument in wanted:
        others = _others(argument, host)
        if others and not is_lasting(argument, boot):
            yield _error(
                resolution,
                "kernel-argument-of-others",
                "Somebody else gives this kernel argument another value.",
                f"The boot loader's configuration has {' '.join(others)}, and {_what_then(argument, boot)}. Take that "
                "out by hand, where it was put in, or declare what is there.",
            )
    for name in dict.fromkeys(map(name_of, wanted)) if boot.replaces else ():
        alike = [argument for argument in wanted if "=" in argument and name_of(argument) == name]
        if len(alike) > 1 and not all(is_lasting(argument, boot) for argument in alike):
            yield _error(
                resolution,
                "kernel-argument-several-values",
                "The boot loader's tool keeps one value of a kernel argument.",
                f"It puts each of {' '.join(alike)} in place of the one before. Declare one of them, and write the "
                "others into the boot loader's configuration by hand.",
            )


def _others(argument: str, host: Snapshot) -> list[str]:
    """Arguments that are not ours and can't stand beside this one."""
    known = [*(host.boot.next or []), *host.boot.some]
    known = [item for item in known if item not in (argument, *(host.boot.own or ()))]
    if host.boot.replaces:
        known = [item for item in known if name_of(item) == name_of(argument) or contradicts(argument, item)]
    else:
        known = [item for item in known if contradicts(argument, item)]
    return list(dict.fromkeys(known))


def _what_then(argument: str, boot: BootArguments) -> str:
    if boot.replaces:
        return f"its tool would put {argument} in that place"
    return f"{argument} contradicts it: the kernel takes one of the two"


def until_reboot(resolution: Resolution, observed: Snapshot, after: Snapshot) -> Iterator[Diagnostic]:
    """What is, or will be, written and takes a reboot to be in effect: also what goes."""
    declared = resolution.desired.cmdline
    if declared is None or without_effect(declared, after):
        return
    waiting = [a for a in declared if has_effect(a, after.boot) is False and a in (after.boot.next or ())]
    before, running = observed.boot, after.boot.running or ()
    was = [argument for argument in [*(before.own or []), *before.leaving] if argument not in declared]
    leaving = [argument for argument in was if argument in running and has_effect(argument, after.boot)]
    if waiting:
        yield _note(resolution, f"{' '.join(waiting)} will be in effect after the next reboot. Reboot when it suits.")
    if leaving and (before.own, before.leaving) != (after.boot.own, after.boot.leaving):
        yield _note(resolution, f"{' '.join(leaving)} is in effect until the next reboot. Reboot when it suits.")


def _note(resolution: Resolution, detail: str) -> Diagnostic:
    summary = "A kernel argument waits for a reboot."
    line = resolution.desired.line(ADDRESS)
    return Diagnostic(severity="note", code=UNTIL_REBOOT, summary=summary, detail=detail, address=ADDRESS, line=line)


def _entries(resolution: Resolution, host: Snapshot) -> FieldState:
    return next(state for state in compare(resolution, host) if state.field == "entries")


def _error(resolution: Resolution, code: str, summary: str, detail: str) -> Diagnostic:
    line = resolution.desired.line(ADDRESS)
    return Diagnostic(severity="error", code=code, summary=summary, detail=detail, address=ADDRESS, line=line)
