"""What the kernel has to say while a write to it hangs."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

_MOST = 3
"""Lines that are told; the last ones."""
_MOST_TEXT = 160
_TELLING = re.compile(
    r"Relaying device request to user|No device request channel|Device is currently in use|blocked for more than"
    r"|unregister_netdevice: waiting"
)
"""vfio-pci that asks for the device back (vfio_pci_core_request), VFIO that waits (vfio_unregister_group_dev), the
watch for hung tasks, a netdev that is not let go of (netdev_wait_allrefs_any)."""


class KernelLog:
    """The kernel's log from now on. Without the right to read it there is nothing in it. A context manager."""

    def __init__(self, root: Path) -> None:
        self.log: int | None = None
        with contextlib.suppress(OSError):
            self.log = os.open(root / "dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self.log, 0, os.SEEK_END)

    def __enter__(self) -> KernelLog:
        return self

    def __exit__(self, *_: object) -> None:
        if self.log is not None:
            os.close(self.log)

    def told(self, names: Iterable[str]) -> list[str]:
        """The last few lines that are about waiting, or about one of these devices."""
        return telling(self._new(), names)

    def _new(self) -> list[str]:
        """One record per read (Documentation/ABI/testing/dev-kmsg); EPIPE when some were overwritten."""
        lines: list[str] = []
        while self.log is not None:
            try:
                record = os.read(self.log, 8192)
            except BrokenPipeError:
                continue
            except OSError:
                break  # EAGAIN: no more
            if not record:
                break
            lines.append(record.decode(errors="replace").partition(";")[2].split("\n")[0])
        return lines


def telling(lines: Iterable[str], names: Iterable[str]) -> list[str]:
    """Of lines of the log the last few, each once, that are about waiting or name one of these."""
    known = list(names)
    found = dict.fromkeys(
        line.strip()[:_MOST_TEXT] for line in lines if _TELLING.search(line) or any(name in line for name in known)
    )
    return list(found)[-_MOST:]
