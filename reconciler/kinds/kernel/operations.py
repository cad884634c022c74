"""The operation on the kernel's arguments."""

from __future__ import annotations

from reconciler.host.model import Snapshot
from reconciler.host.protocol import Scope
from reconciler.kinds.operation import Args, Operation
from reconciler.state.checks import ARGUMENT, each, nothing_or, table

ADDRESS = "kernel.cmdline"
EFFECT = "effect"
"""The field that a reboot brings about."""
_LONGEST = 620.0
"""Seconds: a boot loader's tool looks for other systems on all disks, or builds images for all kernels."""


def _is_set(host: Snapshot, args: Args) -> bool:
    wanted = args["arguments"]
    return host.boot.own == wanted and not host.boot.leaving and set(wanted or ()) <= set(host.boot.next or ())


def _set(host: Snapshot, args: Args) -> None:
    boot, wanted = host.boot, list(args["arguments"] or [])
    others = [argument for argument in boot.next or [] if argument not in [*(boot.own or ()), *boot.leaving]]
    boot.next = [*others, *(argument for argument in wanted if argument not in others)]
    boot.some = [argument for argument in boot.some if argument not in boot.next]
    boot.own, boot.leaving = wanted if args["arguments"] is not None else None, []
    boot.since_boot = True


def _forget(host: Snapshot, args: Args) -> None:
    """A boot that was before this writing says nothing of its effect."""
    host.ledger.get(ADDRESS, {}).pop(EFFECT, None)


def _fell_short(host: Snapshot, args: Args) -> str:
    lacking = [argument for argument in args["arguments"] or [] if argument not in (host.boot.next or ())]
    if host.boot.own != args["arguments"] or not lacking:
        return ""
    return f"The boot loader's configuration does not have {' '.join(lacking)} for every kernel."


OPERATIONS = (
    Operation(
        "kernel.set_cmdline",
        table({"arguments": nothing_or(each(ARGUMENT))}),
        lambda args: Scope("boot", ""),
        _is_set,
        _set,
        fell_short=_fell_short,
        forget=_forget,
        deadline=lambda args: _LONGEST,
    ),
)
