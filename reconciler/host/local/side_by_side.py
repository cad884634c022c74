"""Orders to this machine that are given at the same time, each in a thread of its own. What they do they do in children
(`reconciler.host.local.child`), so the threads only wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from reconciler.diagnostics import ReconcilerError

_AT_MOST = 16
"""Orders at a time: a child each, and a card's driver works on few of them at once."""


def side_by_side(orders: Sequence[Callable[[], None]]) -> list[ReconcilerError | None]:
    """Returns when all have ended, with the error of each, in order. Each has a deadline of its own. Raises what is no
    `ReconcilerError`, after all have ended."""
    errors: list[Exception | None] = [None] * len(orders)
    left = iter(enumerate(orders))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                number, order = next(left, (-1, None))
            if order is None:
                return
            try:
                order()
            except Exception as error:  # noqa: BLE001 (handed on below)
                errors[number] = error

    threads = [threading.Thread(target=work, name="order") for _ in range(min(_AT_MOST, len(orders)) - 1)]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()
    found: list[ReconcilerError | None] = []
    for error in errors:
        if error is not None and not isinstance(error, ReconcilerError):
            raise error
        found.append(error)
    return found
