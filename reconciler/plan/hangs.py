"""What a plan must leave until the kernel has come back from a write that hangs."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.diagnostics import Diagnostic
from reconciler.host.model import Snapshot
from reconciler.host.refusals import describe
from reconciler.kinds.action import Action
from reconciler.kinds.hang import in_the_way
from reconciler.plan.select import within
from reconciler.state.desired import Desired

_SUMMARY = "The kernel hangs in a write."


def check_hangs(host: Snapshot, desired: Desired, actions: Iterable[Action]) -> list[Diagnostic]:
    """An error for each address with an action that would only wait behind the kernel, of a PF and what is on it for
    the PF alone; a warning for each hang that is in nobody's way."""
    waiting: dict[str, str] = {}
    for action in actions:
        why = in_the_way(host, action.op, action.args)
        if why:
            waiting.setdefault(action.address, f"{why}. {action.op} of {action.address} would only wait behind it")
    roots = [address for address in waiting if not any(within(address, other) for other in waiting if other != address)]
    told = [waiting[address] for address in roots]
    found = [
        Diagnostic(
            severity="error",
            code="kernel-hangs",
            summary=_SUMMARY,
            detail=f"{waiting[address]}. Stop the guest or the process that it waits for: the write then goes on by "
            "itself. Plan again after that. What needs nothing of it can be done before, by: apply --partial",
            address=address,
            line=desired.line(address),
        )
        for address in roots
    ]
    return found + [
        Diagnostic(
            severity="warning",
            code="kernel-hangs",
            summary=_SUMMARY,
            detail=f"{describe(hang)}. Nothing in this plan waits for it.",
        )
        for hang in host.hangs
        if not any(why.startswith(describe(hang)) for why in told)
    ]
