"""Orders to this machine that are given at the same time, each in a thread of its own. What they do they do in children
(`reconciler.host.local.child`), so the threads only wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

_AT_MOST = 8
"""Orders at a time: a child each, and a card's driver works on few of them at once."""


def side_by_side(orders: Sequence[Callable[[], None]]) -> list[Exception | None]:
    """Returns when all have ended, with what each raised, in order. Each has a deadline of its own. Where no more
    threads can be had (``TasksMax``), those there are do all of it: at least this one."""
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
            except Exception as error:  # noqa: BLE001 (returned)
                errors[number] = error

    threads: list[threading.Thread] = []
    try:
        for _ in range(min(_AT_MOST, len(orders)) - 1):
            thread = threading.Thread(target=work, name="order")
            try:
                thread.start()
            except RuntimeError:  # "can't start new thread"
                break
            threads.append(thread)
        work()
    finally:
        for thread in threads:
            thread.join()
    return errors
