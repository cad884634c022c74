"""The files of a run: written so that they survive a power cut and nobody else can meddle with them, or a clear
error."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.files import replace_file, sync_folder

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def write_atomically(path: Path, text: str, *, mode: int = 0o644) -> None:
    """`replace_file`, with an error that users understand."""
    try:
        replace_file(path, text, mode)
    except OSError as error:
        raise cannot_write(path, error) from None


def append_synced(descriptor: int, text: str) -> None:
    """Appends a line to an open file (O_RDWR | O_APPEND) and waits until it is on disk. What a crash or a full disk has
    cut off before it stays a line of its own."""
    data = text.encode(errors="backslashreplace")
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        data = b"\n" + data
    while data:
        data = data[os.write(descriptor, data) :]
    os.fsync(descriptor)


def own_folder(path: Path, mode: int) -> None:
    """Makes a folder of ours, with its parents, if it isn't there: whatever the umask, it has no more than ``mode``.
    Raises `ReconcilerError` (77) when what is there is not safe, see `check_folder`."""
    try:
        for parent in reversed(path.parents):
            if not parent.exists():
                _make(parent, 0o755)
        if not os.path.lexists(path):
            _make(path, mode)
        descriptor = _open_checked(path)
        try:
            found = os.fstat(descriptor)
            if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & ~mode:
                os.fchmod(descriptor, stat.S_IMODE(found.st_mode) & mode)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise cannot_write(path, error) from None


def _make(path: Path, mode: int) -> None:
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        return  # Another process was quicker; it is looked at like any that was there.
    os.chmod(path, mode)
    sync_folder(path.parent)


def check_folder(path: Path) -> None:
    """Whether a folder is safe to take orders from: the plans that are kept in it are carried out by ``rollback`` and
    ``confirm``, as root. It must be a folder and no symlink, of root or of the user who runs this, and nobody else may
    write to it. Its parents are the administrator's affair: /var/lib may well lead to another disk. Raises
    `ReconcilerError` (77) when it is not, and OSError when it can't be looked at."""
    os.close(_open_checked(path))


def _open_checked(path: Path) -> int:
    if path.is_symlink():
        raise _unsafe(path, "it is a symbolic link", "name the place that it leads to with --state-dir")
    descriptor = os.open(path, _OPEN_FOLDER)
    found = os.fstat(descriptor)
    why = ""
    if found.st_uid not in (0, os.geteuid()):
        why = f"it belongs to user {found.st_uid}"
    elif found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        why = f"others may write to it (mode {stat.S_IMODE(found.st_mode):04o})"
    if why:
        os.close(descriptor)
        raise _unsafe(path, why, f"make sure that what is in it is yours, then chown it and `chmod go-w {path}`")
    return descriptor


def _unsafe(path: Path, why: str, what_to_do: str) -> ReconcilerError:
    return ReconcilerError(
        "The folder for records is not safe.",
        f"{path}: {why}. What it says would be done as root by a rollback, so nobody else may write there: "
        f"{what_to_do}, or choose another place with --state-dir. Nothing was changed.",
        code=ExitCode.NOT_PERMITTED,
    )


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
