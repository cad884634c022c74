"""Which of the writes that are under way hang, and which only take their time: to make 63 VFs takes a driver seconds.

A child of ours says how long it is waited for. Of anybody else's write, and of a child whose open files are hidden from
us, nothing tells when it began: it is looked at until it is old enough, and what was found is kept for the looks after
it. To wait for a write costs nothing that could be had otherwise: while it is under way, what takes the device's lock
can't be read.
"""

from __future__ import annotations

import time
from pathlib import Path

from reconciler.host.local.processes import Processes, look

SECONDS = 5.0
"""For which somebody else's write, or a child that can't be looked into, is looked at until it counts as one that
hangs."""
_PAUSE = 0.25


class Patience:
    """Looks at the processes of one machine, with a memory of the writes that were under way at the last look."""

    def __init__(self) -> None:
        self._first_seen: dict[str, float] = {}

    def look(self, root: Path, notes: list[str]) -> Processes:
        """What other processes are at, with the writes and the children of ours that hang. Waits for those that may yet
        come back, for as long as their own run does or `SECONDS`; not for what begins meanwhile."""
        waited_for: set[str] | None = None
        while True:
            told: list[str] = []
            seen = look(root, told)
            young = self._young(seen)
            waited_for = set(young.values()) if waited_for is None else waited_for.intersection(young.values())
            if not waited_for:
                break
            time.sleep(_PAUSE)
        notes += told
        seen.hangs = [hang for hang in seen.hangs if hang.pid not in young]
        seen.waiting = {name: [pid for pid in pids if pid not in young] for name, pids in seen.waiting.items()}
        return seen

    def _young(self, seen: Processes) -> dict[int, str]:
        """What may yet come back, by process."""
        now = time.monotonic()
        under_way = {write.process for write in seen.writes.values()}
        self._first_seen = {key: self._first_seen.get(key, now) for key in under_way}
        return {
            pid: write.process
            for pid, write in seen.writes.items()
            if (SECONDS - (now - self._first_seen[write.process]) if write.left is None else write.left) > 0
        }
