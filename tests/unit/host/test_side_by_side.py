"""Orders that are given at the same time."""

from __future__ import annotations

import threading
import time

import pytest

from reconciler.host.local.side_by_side import side_by_side
from reconciler.host.protocol import HostError


def test_they_run_at_the_same_time() -> None:
    meeting = threading.Barrier(3)
    assert side_by_side([lambda: meeting.wait(10) and None] * 3) == [None] * 3


def test_the_error_of_each_in_order_and_more_orders_than_threads() -> None:
    done: list[int] = []

    def order(number: int) -> None:
        if number % 10 == 3:
            raise HostError("No.", str(number))
        done.append(number)

    errors = side_by_side([lambda n=n: order(n) for n in range(40)])  # type: ignore[misc]
    assert {number: error.detail for number, error in enumerate(errors) if error is not None} == {
        number: str(number) for number in (3, 13, 23, 33)
    }
    assert len(done) == 36


def test_a_fault_is_returned_beside_the_errors_of_the_others() -> None:
    done: list[int] = []

    def broken() -> None:
        raise ValueError("boom")

    def refused() -> None:
        raise HostError("No.", "")

    first, second, third = side_by_side([broken, refused, lambda: done.append(1)])
    assert (type(first), type(second), third, done) == (ValueError, HostError, None, [1])
    assert side_by_side([]) == []


def test_no_more_than_eight_at_once() -> None:
    lock, now, most = threading.Lock(), [0], [0]

    def order() -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.01)
        with lock:
            now[0] -= 1

    side_by_side([order] * 40)
    assert most == [8]


@pytest.mark.parametrize("can_start", [0, 1])
def test_threads_that_can_not_be_had(monkeypatch: pytest.MonkeyPatch, can_start: int) -> None:
    """All is done all the same, and nothing is left to run when it returns."""
    start, started, done = threading.Thread.start, [0], [0]

    def refuse(thread: threading.Thread) -> None:
        started[0] += 1
        if started[0] > can_start:
            raise RuntimeError("can't start new thread")
        start(thread)

    def order() -> None:
        time.sleep(0.01)
        done[0] += 1

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert side_by_side([order] * 5) == [None] * 5
    assert done == [5]
