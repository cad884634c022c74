"""Configuration files in folders that others fill too; and those of our own: whole files, with a first line that says
so, replaced atomically."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from reconciler.files import replace_file, sync_folder
from reconciler.host.protocol import HostError

_MARK = "# Written by reconciler"
_HEADER = (
    f"{_MARK} from the host's state file: changes made here are overwritten by the next apply.\n"
    "# Delete it only together with {what} in the state file.\n"
)


FOLDERS = ("etc", "run", "usr/local/lib", "usr/lib")
"""In order of precedence: of files with the same name in ``NAME.d`` below them only the first counts."""


def configuration_files(root: Path, folders: Sequence[str]) -> list[Path]:
    """The files ``*.conf`` of these folders, without those that are masked, in the order in which they are read."""
    files: dict[str, Path] = {}
    for folder in folders:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for name in os.listdir(root / folder):
                if name.endswith(".conf"):
                    files.setdefault(name, root / folder / name)
    return [path for _, path in sorted(files.items()) if not _is_mask(path)]


def _is_mask(path: Path) -> bool:
    """A link to /dev/null switches off the files of the same name in later folders; so does a dead link."""
    return path.is_symlink() and (os.readlink(path) == os.devnull or not path.exists())


def is_own(text: str) -> bool:
    """Whether we wrote this file: its first line says so."""
    return text.startswith(_MARK)


def read_own(root: Path, name: str) -> str | None:
    """Our own file's text; ``None`` when there is none, or another one of that name. Raises OSError."""
    try:
        text = (root / name).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    return text if is_own(text) else None


def replace_own(root: Path, name: str, what: str, body: str | None) -> None:
    """Replaces our own file, or removes it with ``None``. A file of that name that somebody else wrote is left alone:
    HostError. ``what``: of the state file, that it is made from."""
    path = root / name
    try:
        if path.is_symlink() or (path.exists() and not is_own(path.read_text(errors="replace"))):
            raise HostError(
                "A configuration file was not written by reconciler.",
                f"/{name} is ours to write, but its first line does not say that we wrote it. "
                "Move its lines to another file in the same directory and delete it.",
            )
        if body is None:
            path.unlink(missing_ok=True)
            if path.parent.is_dir():
                sync_folder(path.parent)
        else:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            replace_file(path, _HEADER.format(what=what) + body)
    except OSError as error:
        raise HostError(
            "A configuration file could not be written.",
            f"/{name}: {error.strerror}.",
            errno=error.errno or 0,
            code=77 if isinstance(error, PermissionError) else 1,
        ) from error
