"""The same work on many items, on all cores that this process may use: results come one by one in the order of the
items, and no more of them wait than the cores need to stay busy."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from typing import Generic, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_AHEAD = 8
"""Results per worker that may wait for one that takes longer."""
_OURS = (signal.SIGINT, signal.SIGTERM)
"""Signals that we answer, and a worker doesn't answer like us, not even in its first moment."""


def spread(
    work: Callable[[_Item], _Result], items: Sequence[_Item], lost: Callable[[_Item, str], _Result]
) -> Generator[_Result, None, None]:
    """The result of each item. ``lost`` makes one for an item whose worker died, of how it ended (``signal 9``);
    another worker goes on with the rest. The first item is worked on here, so that all workers begin with what it took
    to import. Ends all workers at once when it is closed (`contextlib.closing`)."""
    count = min(len(os.sched_getaffinity(0)), len(items) - 1)
    if count < 2:
        yield from map(work, items)
        return
    yield work(items[0])
    pool = _Pool(work, items, lost, count)
    try:
        yield from pool.results(1)
    finally:
        pool.end()


class _Pool(Generic[_Item, _Result]):
    def __init__(
        self,
        work: Callable[[_Item], _Result],
        items: Sequence[_Item],
        lost: Callable[[_Item, str], _Result],
        count: int,
    ) -> None:
        self._work, self._items, self._lost = work, items, lost
        self._workers: list[_Worker] = []
        for _ in range(count):
            self._workers.append(self._worker())

    def results(self, first: int) -> Iterator[_Result]:
        """From this item on."""
        done: dict[int, _Result] = {}
        given = first
        for number in range(first, len(self._items)):
            while number not in done:
                for worker in self._workers:
                    if worker.item is None and given < min(len(self._items), number + _AHEAD * len(self._workers)):
                        worker.give(given)
                        given += 1
                self._collect(done)
            yield done.pop(number)

    def _collect(self, done: dict[int, _Result]) -> None:
        """Waits for at least one result."""
        busy = {worker.pipe: worker for worker in self._workers if worker.item is not None}
        for pipe in connection.wait(list(busy)):
            worker = busy[pipe]  # type: ignore[index]
            assert worker.item is not None
            try:
                done[worker.item] = worker.pipe.recv()
            except (EOFError, OSError):
                done[worker.item] = self._lost(self._items[worker.item], worker.ended())
                self._workers.remove(worker)
                self._workers.append(self._worker())
            else:
                worker.item = None

    def end(self) -> None:
        """Ends all workers, whatever they are at."""
        for worker in self._workers:
            worker.end()

    def _worker(self) -> _Worker:
        return _Worker(lambda number: self._work(self._items[number]), [worker.pipe for worker in self._workers])


class _Worker:
    """A process that works on what it is given. ``others``: our ends of other workers' pipes, which it doesn't keep
    open, so that each of them sees when we are gone."""

    def __init__(self, work: Callable[[int], object], others: list[Connection]) -> None:
        context = get_context("fork")  # All that is imported and read by now is there for it at once.
        self.pipe, theirs = context.Pipe()
        self.item: int | None = None
        self._process = context.Process(target=_serve, args=(work, theirs, [self.pipe, *others]), daemon=True)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _OURS)
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()

    def give(self, item: int) -> None:
        """The next one. Whether it is still alive is seen when its result is read."""
        self.item = item
        try:
            self.pipe.send(item)
        except OSError:
            return

    def ended(self) -> str:
        """How it died."""
        self.end()
        code = self._process.exitcode or 0
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def end(self) -> None:
        """Ends it now, if it has not ended."""
        self.pipe.close()
        self._process.kill()
        self._process.join()


def _serve(work: Callable[[int], object], pipe: Connection, others: list[Connection]) -> None:
    """A worker's life: until the pipe is closed. Ctrl-C goes to all processes of a terminal; whoever gave the work
    answers it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _OURS)
    gc.freeze()  # What was there before is shared with the others for as long as nobody writes to it.
    for other in others:
        other.close()
    while True:
        try:
            item = pipe.recv()
        except (EOFError, ConnectionError):
            return  # Nobody is there any more.
        result = work(item)
        try:
            pipe.send(result)
        except ConnectionError:
            return
