"""What is to go wrong: an error, a write that hangs, or the end of the process, at the n-th write; or what somebody is
to do to the host at the n-th write or reading."""

from __future__ import annotations

from reconciler.host.twin.state import Fault, Twin


def next_write(twin: Twin) -> list[Fault]:
    """Counts a write, and takes out the faults that are meant for it."""
    twin.writes += 1
    return _take(twin, twin.writes, reading=False)


def next_reading(twin: Twin) -> list[Fault]:
    """Counts a reading, and takes out what is to happen at it."""
    twin.reads += 1
    return _take(twin, twin.reads, reading=True)


def _take(twin: Twin, number: int, *, reading: bool) -> list[Fault]:
    found = [fault for fault in twin.faults if fault.reading == reading and fault.at == number]
    twin.faults = [fault for fault in twin.faults if fault not in found]
    return found


def inject(twin: Twin, fault: Fault) -> None:
    """Lets the n-th write (or reading) from now on go wrong (1: the next one)."""
    fault.at += twin.reads if fault.reading else twin.writes
    same = (fault.at, fault.reading, fault.kind == "do")
    twin.faults = [item for item in twin.faults if (item.at, item.reading, item.kind == "do") != same] + [fault]


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
