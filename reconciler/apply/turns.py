"""The orders of a round, given turn by turn: never more at once than may hang at once, and none after one that hangs.

VFs are made on one PF at a time. Kernels from about 6.12.50 on do so anyway, under the lock of all PCI hot-plug; older
ones have no lock there, and two ports of one card whose VFs are on a further bus may both make that bus.
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
        counts = order[0].op == "pf.set_numvfs" and any(other[0].op == "pf.set_numvfs" for other in turn)
        (later if counts or len(turn) >= max(1, room) else turn).append(order)
    return turn, later


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
