"""The files of a run: written so that they survive a power cut, or a clear error."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.files import replace_file


def write_atomically(path: Path, text: str, *, mode: int = 0o644) -> None:
    """`replace_file`, with an error that users understand."""
    try:
        replace_file(path, text, mode)
    except OSError as error:
        raise cannot_write(path, error) from None


def append_synced(descriptor: int, text: str) -> None:
    """Appends to an open file and waits until it is on disk."""
    data = text.encode(errors="backslashreplace")
    while data:
        data = data[os.write(descriptor, data) :]
    os.fsync(descriptor)


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
