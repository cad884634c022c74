"""The orders of a round, given turn by turn: never more at once than may hang at once, and none after one that hangs.

VFs are made on two PFs at a time. Kernels from about 6.12.50 on take the lock of all PCI hot-plug for that
(pci_rescan_remove_lock), so when one hangs, one other at most was sent to wait behind it. Older ones take none, and two
ports of one card whose VFs are on a further bus may both make that bus: the two PFs are on different buses.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from reconciler.diagnostics import ReconcilerError
from reconciler.host.protocol import HostError, Writer
from reconciler.kinds.action import Action

Order = list[Action]
"""What the host is asked for in one call: one action, or the ``vf.set``s of one PF."""
_COUNTS = 2
"""Of how many PFs the VFs are made at a time."""


@dataclass(slots=True)
class Given:
    """What became of the orders of one turn; of one that is in neither list the host has answered."""

    errors: list[tuple[Order, Exception]] = field(default_factory=list)
    not_begun: list[Order] = field(default_factory=list)
    """Since one before them hangs."""


def orders_of(actions: Sequence[Action]) -> list[Order]:
    """The orders that ask for all of these."""
    together: dict[str, Order] = {}
    for action in actions:
        together.setdefault(action.args["pf"] if action.op == "vf.set" else action.id, []).append(action)
    return list(together.values())


def next_turn(waiting: Sequence[Order], room: int) -> tuple[list[Order], list[Order]]:
    """The orders that are given now, and those that wait. ``room``: how many more may hang; one is always given."""
    turn: list[Order] = []
    later: list[Order] = []
    for order in waiting:
        wait = len(turn) >= max(1, room) or not _may_count(order, turn)
        (later if wait else turn).append(order)
    return turn, later


def _may_count(order: Order, turn: Sequence[Order]) -> bool:
    if order[0].op != "pf.set_numvfs":
        return True
    buses = [_pci_bus(other[0]) for other in turn if other[0].op == "pf.set_numvfs"]
    return len(buses) < _COUNTS and _pci_bus(order[0]) not in buses


def _pci_bus(action: Action) -> str:
    """Domain and bus: ``pci/0000:01`` of ``pci/0000:01:00.0``."""
    return str(action.args["pf"]).rpartition(":")[0]


def give(writer: Writer, turn: Sequence[Order], ask: Callable[[Order], None]) -> Given:
    """Gives the orders of one turn side by side."""
    given = Given()
    hung: list[ReconcilerError] = []

    def begin(order: Order) -> None:
        if hung:
            given.not_begun.append(order)
            return
        try:
            ask(order)
        except HostError as error:
            if error.errno == errno.ETIMEDOUT:
                hung.append(error)
            raise

    errors = writer.together([partial(begin, order) for order in turn])
    given.errors = [(order, error) for order, error in zip(turn, errors, strict=True) if error is not None]
    return given
