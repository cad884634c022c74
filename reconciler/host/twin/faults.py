"""What is to go wrong: an error, a write that hangs, or the end of the process, at the n-th write."""

from __future__ import annotations

from reconciler.host.twin.state import Fault, Twin


def next_write(twin: Twin) -> Fault | None:
    """Counts a write, and takes out the fault that is meant for it."""
    twin.writes += 1
    fault = next((fault for fault in twin.faults if fault.at == twin.writes), None)
    if fault is not None:
        twin.faults.remove(fault)
    return fault


def inject(twin: Twin, fault: Fault) -> None:
    """Lets the n-th write from now on go wrong (1: the next one)."""
    fault.at += twin.writes
    twin.faults = [item for item in twin.faults if item.at != fault.at] + [fault]


def hang(twin: Twin, pf: str) -> None:
    """A write to this PF doesn't come back, and keeps the device's lock."""
    if pf in twin.cards:
        twin.cards[pf].hangs = "fault"


def clear(twin: Twin) -> None:
    """Nothing goes wrong any more, and what hung comes back."""
    twin.faults.clear()
    for card in twin.cards.values():
        if card.hangs == "fault":
            card.hangs = ""
