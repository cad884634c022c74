"""Files of other tools, read without being led astray: only small regular ones that are text. What can't be read is
said, and nothing is waited for."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

_MOST_BYTES = 256 * 1024
"""Of each file; what configures cards stands in small ones."""
_MOST_FILES = 400
"""Of each folder."""
_BACKUPS = ("~", ".bak", ".orig", ".rej", ".swp", ".dpkg-old", ".dpkg-dist", ".dpkg-new", ".rpmsave", ".rpmnew")
_SECONDS = 10.0
"""For all files together; some hundred take a tenth of a second."""
MOST_IN_A_LINE = 8 * 1024
"""Characters; what comes after them in one line is not looked at."""
_SHOWN = 4
"""Numbers of lines in a note."""
OWN = "reconciler"
"""In the names of our own files."""


@dataclass(slots=True)
class Files:
    """Files below a root; ``unread``: why something was not read, in full sentences."""

    root: Path
    unread: list[str] = field(default_factory=list)
    at: Path | None = None
    """The file that was looked at last, for who can't go on."""
    left_out: set[Path] = field(default_factory=set)
    """Files that are not read again."""
    until: float = field(default_factory=lambda: time.monotonic() + _SECONDS)

    def shown(self, path: Path) -> str:
        """Its path on the host."""
        return f"/{path.relative_to(self.root)}"

    def text(self, path: Path) -> str | None:
        """A file's text; ``None`` when it isn't there or masked, or, with a note, when it can't be read."""
        self.at = path
        if path in self.left_out:
            return None
        if time.monotonic() > self.until:
            self.note(path, f"those before it took more than {_SECONDS:.0f} seconds")
            return None
        try:
            return None if _masked(path) else _text(path)  # As `systemctl mask` makes them.
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno != errno.ENOTDIR:
                self.note(path, f"{error.strerror}")
            return None

    def note(self, path: Path, why: str) -> None:
        """Says why a file was not understood."""
        self.unread.append(f"{self.shown(path)} was not read: {why}. What it says of network cards is not known.")

    def give_up(self, path: Path, why: str) -> None:
        """Leaves a file out from now on, and says so."""
        self.left_out.add(path)
        self.note(path, why)

    def say_what_is_not_followed(self, path: Path, lines: Iterable[int]) -> None:
        """Lines of a script that compute what they write."""
        numbers = list(dict.fromkeys(lines))
        if numbers:
            listed = ", ".join(str(number) for number in numbers[:_SHOWN])
            more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
            self.unread.append(
                f"{self.shown(path)} computes in line {listed}{more} what it writes, which was not followed."
            )

    def folder(self, name: str, ending: str = "") -> list[Path]:
        """The files of a folder with this ending, by name, without backups and our own; none if it isn't there."""
        self.at = place = self.root / name
        try:
            with os.scandir(place) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            self.note(place, f"{error.strerror}")
            return []
        wanted = [
            entry
            for entry in found
            if (name := entry.name).endswith(ending)
            and not name.endswith(_BACKUPS)
            and OWN not in name
            and name[0] != "."
        ]
        if len(wanted) > _MOST_FILES:
            self.note(place, f"it has {len(wanted)} files, of which only {_MOST_FILES} were looked at")
        return [place / entry.name for entry in wanted[:_MOST_FILES] if not _is_folder(entry)]

    def layered(self, folders: Iterable[str], ending: str) -> list[Path]:
        """Files of several folders, by name: of those with one name the first folder's counts, which masks the others
        also with an empty file or a link to /dev/null."""
        found: dict[str, Path] = {}
        for folder in folders:
            for path in self.folder(folder, ending):
                found.setdefault(path.name, path)
        return [path for _, path in sorted(found.items()) if not _masked(path)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link that leads nowhere, or around in a circle.
        return False


def _masked(path: Path) -> bool:
    return path.is_symlink() and (os.readlink(path) == os.devnull or not path.exists())


def _text(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        if found.st_size > _MOST_BYTES:
            raise OSError(errno.EFBIG, f"it has more than {_MOST_BYTES // 1024} KiB", str(path))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(_MOST_BYTES)
    finally:
        os.close(descriptor)
    if b"\0" in data:
        raise OSError(errno.EINVAL, "it is no text", str(path))
    return data.decode("utf-8", errors="replace")
