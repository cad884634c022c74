"""How much memory a process takes, seen while it runs. What the kernel tells when it has ended (ru_maxrss of wait4(2))
is no use: a new process begins with the mark of the one that started it (Linux, fs/exec.c, exec_mmap)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path


class Memory:
    """Looks at a process and its children every so many seconds. ``kilobytes`` tells the memory of one of them."""

    def __init__(self, pid: int, kilobytes: Callable[[str], int], every: float) -> None:
        self._pid, self._kilobytes, self._every = str(pid), kilobytes, every
        self._peak, self._over = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self) -> float:
        """The most that was seen of all of them together, in MB; 0 if it had ended before the first look."""
        self._over.set()
        self._thread.join()
        return self._peak / 1024

    def _watch(self) -> None:
        while True:
            there = [self._pid, *_lines(f"/proc/{self._pid}/task/{self._pid}/children", str.split)]
            self._peak = max(self._peak, sum(self._kilobytes(pid) for pid in there))
            if self._over.wait(self._every):
                return


def high_water(pid: str) -> int:
    """The most that it ever had since it runs this program (VmHWM, proc_pid_status(5)), in kB: looking seldom misses
    only what came after the last look. Pages that processes share count in each of them."""
    return _field(f"/proc/{pid}/status", "VmHWM:")


def share(pid: str) -> int:
    """The proportional set size, in kB: pages that processes share are divided among them (proc_pid_smaps(5)). It is
    that of the moment, and takes the kernel a while to find out."""
    return _field(f"/proc/{pid}/smaps_rollup", "Pss:")


def _field(path: str, name: str) -> int:
    """0 of a process that has ended."""
    return next((int(line.split()[1]) for line in _lines(path, str.splitlines) if line.startswith(name)), 0)


def _lines(path: str, split: Callable[[str], list[str]]) -> list[str]:
    try:
        return split(Path(path).read_text())
    except OSError:
        return []
