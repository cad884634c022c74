"""Files that survive a power cut: written beside, synced, renamed over, and the folder synced too."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode


def write_atomically(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Replaces a file as a whole; on any error the old one is untouched and nothing is left beside it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        try:
            _write_all(descriptor, text.encode())
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(beside, path)
        sync_folder(path.parent)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise cannot_write(path, error) from None


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def append_synced(descriptor: int, text: str) -> None:
    """Appends to an open file and waits until it is on disk."""
    _write_all(descriptor, text.encode())
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Makes a new name in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path, mode: int) -> None:
    """Makes a folder (and its parents) if it isn't there."""
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from None


def cannot_write(path: Path, error: OSError) -> ReconcilerError:
    """The one way to say that a file can't be written."""
    permission = isinstance(error, PermissionError)
    return ReconcilerError(
        "A file can't be written.",
        f"{path}: {error.strerror or error}. "
        + (
            "Run it as root, or choose another place with --state-dir."
            if permission
            else "Make room there, or choose another place with --state-dir."
        ),
        code=ExitCode.NOT_PERMITTED if permission else ExitCode.FAILED,
    )
