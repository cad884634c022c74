"""One run at a time per host: a file lock that names its holder and dies with its process."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

from reconciler.apply.files import cannot_write, own_folder
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode

LOCK = Path("/run/reconciler.lock")


@contextlib.contextmanager
def locked(who: str, started: str, path: Path | None = None) -> Iterator[None]:
    """Holds the lock. Held by another run: `ReconcilerError` 7 with that run's name and start time."""
    path = path or LOCK
    own_folder(path.parent, 0o755)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise cannot_write(path, error) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _held(descriptor) from None
        os.ftruncate(descriptor, 0)
        record = {"pid": os.getpid(), "who": who, "started": started}
        os.pwrite(descriptor, (json.dumps(record) + "\n").encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _held(descriptor: int) -> ReconcilerError:
    """The holder as it has written itself down; what is written there is only told, whatever it is."""
    try:
        record = json.loads(os.pread(descriptor, 4096, 0))
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):  # It has the lock, and is just writing its name.
        record = {}
    who = record.get("who", "unknown")
    detail = (
        f"{who} (pid {record.get('pid', '?')}) has it since {record.get('started', '?')}. Wait until it has ended. "
        "Nothing was changed."
    )
    return ReconcilerError("Another run is under way.", detail, code=ExitCode.LOCKED)
