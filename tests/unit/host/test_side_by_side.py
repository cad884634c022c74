"""Orders that are given at the same time."""

from __future__ import annotations

import threading

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


def test_a_fault_is_raised_after_all_have_ended() -> None:
    done: list[int] = []

    def broken() -> None:
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        side_by_side([broken, lambda: done.append(1)])
    assert done == [1]
    assert side_by_side([]) == []
