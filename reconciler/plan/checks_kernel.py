"""What there is to say of the kernel's arguments: that they can't be changed, that they did not help, that they wait
for a reboot."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.diagnostics import Diagnostic
from reconciler.host.model import Snapshot
from reconciler.kinds.field_state import FieldState
from reconciler.kinds.kernel.compare import compare, own_arguments, without_effect
from reconciler.kinds.kernel.effects import has_effect, is_lasting, switches_on, takes_an_iommu, why_not
from reconciler.kinds.kernel.operations import ADDRESS
from reconciler.kinds.resolution import Resolution

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
    for argument in wanted if boot.replaces else []:
        others = _others(argument, host)
        if others and argument not in (boot.next or ()):
            yield _error(
                resolution,
                "kernel-argument-of-others",
                "Somebody else gives this kernel argument another value.",
                f"The boot loader's configuration has {' '.join(others)}, and its tool would put {argument} in that "
                "place. Take that out by hand, with the same tool, or declare what is there.",
            )


def _others(argument: str, host: Snapshot) -> list[str]:
    """Arguments of the same name that are not ours."""
    name = argument.partition("=")[0]
    known = [*(host.boot.next or []), *host.boot.some]
    return [item for item in known if item.partition("=")[0] == name and item not in (argument, *(host.boot.own or ()))]


def until_reboot(resolution: Resolution, observed: Snapshot, after: Snapshot) -> Iterator[Diagnostic]:
    """What is, or will be, written and takes a reboot to be in effect: also what goes."""
    declared = resolution.desired.cmdline
    if declared is None or without_effect(declared, after):
        return
    waiting = [a for a in declared if has_effect(a, after.boot) is False and a in (after.boot.next or ())]
    leaving = [a for a in observed.boot.own or [] if a not in declared and a in (after.boot.running or ())]
    if waiting:
        yield _note(resolution, f"{' '.join(waiting)} will be in effect after the next reboot. Reboot when it suits.")
    if leaving and observed.boot.own != after.boot.own:
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
