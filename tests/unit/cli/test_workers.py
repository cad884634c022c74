"""Work spread over processes: in order, with no more results waiting than needed, and whoever dies is named."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unittest import mock

import pytest

from reconciler.cli.workers import spread

DEADLINE = 20.0
"""Seconds after which something has hung."""


@pytest.fixture(autouse=True)
def three_cores() -> Iterator[None]:
    with mock.patch.object(os, "sched_getaffinity", return_value={0, 1, 2}):
        yield
    assert multiprocessing.active_children() == []


def lost(item: int, ended: str) -> str:
    return f"{item} lost: {ended}"


def test_results_come_in_the_order_of_the_items_and_from_several_processes() -> None:
    def work(item: int) -> tuple[int, int]:
        time.sleep(0.02 if item % 5 == 0 else 0)
        return item, os.getpid()

    found = list(spread(work, range(60), lambda item, ended: (-1, -1)))
    assert [item for item, _ in found] == list(range(60))
    assert len({pid for _, pid in found}) == 4, "this process, for the first, and three workers"


def test_on_one_core_no_process_is_started() -> None:
    with mock.patch.object(os, "sched_getaffinity", return_value={0}):
        assert set(spread(lambda item: str(os.getpid()), range(5), lost)) == {str(os.getpid())}


def test_what_a_worker_died_of_is_told_and_the_others_go_on() -> None:
    def work(item: int) -> str:
        if item in (3, 4, 17):
            os.kill(os.getpid(), signal.SIGKILL)
        if item == 5:
            os._exit(7)
        return f"{item} done"

    found = list(spread(work, range(20), lost))
    ends = {3: "lost: signal 9", 4: "lost: signal 9", 5: "lost: exit code 7", 17: "lost: signal 9"}
    assert found == [f"{item} {ends.get(item, 'done')}" for item in range(20)]


def test_a_worker_that_is_killed_while_it_waits_costs_one_item_at_most() -> None:
    with closing(spread(lambda item: f"{item} done", range(200), lost)) as results:
        found = [next(results), next(results)]
        for child in multiprocessing.active_children():
            os.kill(child.pid or 0, signal.SIGKILL)
        found += results
    assert len(found) == 200
    assert sum("lost: signal 9" in result for result in found) <= 3
    assert found[-1] == "199 done"


def test_results_that_nobody_takes_are_not_piled_up(tmp_path: Path) -> None:
    def work(item: int) -> str:
        (tmp_path / str(item)).touch()
        return "x" * 10_000

    with closing(spread(work, range(1000), lost)) as results:
        next(results)
        next(results)
        time.sleep(0.3)
        assert len(list(tmp_path.iterdir())) <= 2 + 8 * 3


def test_closing_ends_workers_that_are_in_the_middle_of_something() -> None:
    begun = time.monotonic()
    with closing(spread(lambda item: time.sleep(item * 100), range(9), lambda item, ended: None)) as results:
        next(results)
        with (
            pytest.raises(KeyboardInterrupt),
            mock.patch("multiprocessing.connection.wait", side_effect=KeyboardInterrupt),
        ):
            next(results)
    assert time.monotonic() - begun < DEADLINE
