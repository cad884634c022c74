"""Files that survive a power cut: written beside, synced, renamed over, and the folder synced too. And files that are
read without being led astray: no symlink is followed, no FIFO waited for."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from pathlib import Path

READ_LIMIT = 64 * 1024 * 1024
"""Bytes. No record of ours comes near: a snapshot of a host with 4000 VFs has 3 MB."""


def replace_file(path: Path, text: str, mode: int = 0o644) -> None:
    """Replaces a file as a whole; on any error (OSError) the old one is untouched and nothing is left beside it. The
    new one has this mode whatever the umask; a symlink is replaced itself, and not what it points to."""
    descriptor, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # O_EXCL | O_NOFOLLOW, 0600.
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        raise
    sync_folder(path.parent)


def read_regular(path: Path, limit: int = READ_LIMIT) -> bytes:
    """What is in a regular file of at most ``limit`` bytes; anything else is an OSError that says what is there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link", str(path)) from None
        raise
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        if found.st_size > limit:
            raise OSError(errno.EFBIG, f"it has more than {limit} bytes", str(path))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(limit)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Makes a new name, or the absence of one, survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
