"""What a run is about to do and has done, on disk before it is done: ``runs/RUN/`` with the plan, the host as it was
before, and the journal.

One record is one line of JSON, synced before the write that it announces. A batch of ``vf.set`` on one PF has one
record before it and one after.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reconciler import __version__
from reconciler.apply.files import append_synced, cannot_write, own_folder, write_atomically
from reconciler.clock import now
from reconciler.diagnostics import ReconcilerError
from reconciler.files import read_regular, sync_folder
from reconciler.plan.document import Plan

FORMAT = "reconciler-run/1"
JOURNAL = "journal.jsonl"
PLAN = "plan.json"
BEFORE = "before.json"
"""The snapshot that the run began with."""
MOVE = "move.json"
"""In place of a plan: a guest is moved to another host."""
NOW = "now.json"
LATER = "later.json"
"""The halves of a plan that waits for its confirmation."""


class Journal:
    """The journal of one run."""

    def __init__(self, state_dir: Path, run: str, files: Mapping[str, str], header: dict[str, Any]) -> None:
        """Makes the run's folder with these files in it (`PLAN`, `BEFORE`, …); fails before anything is done if that
        can't be written, and then leaves no folder."""
        runs = state_dir / "runs"
        own_folder(state_dir, 0o755)
        own_folder(runs, 0o700)
        self.folder = runs / run
        self._file = -1
        try:
            os.mkdir(self.folder, 0o700)
        except OSError as error:
            raise cannot_write(self.folder, error) from None
        try:
            os.chmod(self.folder, 0o700)  # A umask may have taken more away than others' rights.
            for name, text in files.items():
                write_atomically(self.folder / name, text, mode=0o600)
            self._file = _open(self.folder / JOURNAL, os.O_CREAT | os.O_EXCL)
            self.write("run", format=FORMAT, tool=__version__, **header)
            sync_folder(self.folder)
            sync_folder(runs)
        except BaseException as error:
            if self._file >= 0:
                os.close(self._file)
            shutil.rmtree(self.folder, ignore_errors=True)
            if isinstance(error, OSError):
                raise cannot_write(self.folder, error) from None
            raise

    def write(self, event: str, **fields: Any) -> None:
        """Appends a record and waits until it is on disk."""
        try:
            append_synced(self._file, json.dumps({"event": event, **fields}, ensure_ascii=False) + "\n")
        except OSError as error:
            raise cannot_write(self.folder / JOURNAL, error) from None

    def close(self) -> None:
        """Ends the journal."""
        os.close(self._file)


class Unrecorded(Journal):
    """In place of a journal that can't be made, for a rollback: a disk that is full must not keep a change that nobody
    wants, and what is taken back is on record already, as done."""

    def __init__(self, folder: Path, why: ReconcilerError) -> None:
        self.folder, self._why = folder, why

    def write(self, event: str, **fields: Any) -> None:
        """Says why it can't."""
        raise self._why

    def close(self) -> None:
        """There is nothing to end."""


def _open(path: Path, flags: int = 0) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor


def add_record(folder: Path, event: str, **fields: Any) -> None:
    """Adds a record to the journal of a run that has ended."""
    path = folder / JOURNAL
    try:
        descriptor = _open(path)
        try:
            append_synced(descriptor, json.dumps({"event": event, **fields}, ensure_ascii=False) + "\n")
        finally:
            os.close(descriptor)
    except OSError as error:
        raise cannot_write(path, error) from None


@dataclass(slots=True)
class Records:
    """What can be read of a journal."""

    items: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    """Number of its line, from 1, and the record."""
    damage: list[str] = field(default_factory=list)
    """What can't be read, and is no mere end that a crash cut off: in words."""


def read_records(folder: Path) -> Records:
    """The records of a run. A last line that a crash cut off is left out, since what it announces was not begun, or is
    taken for not ended; any other line that can't be read is damage, and those after it are read all the same."""
    found = Records()
    try:
        lines = read_regular(folder / JOURNAL).split(b"\n")
    except FileNotFoundError:
        return found
    except OSError as error:
        found.damage.append(f"{JOURNAL} can't be read: {error.strerror or error}")
        return found
    for number, line in enumerate(lines, 1):
        text = line.strip(b"\0 \r")  # A power cut may leave blocks of zeros where a file was being written.
        if b"\0" in line and number < len(lines):
            found.damage.append(f"line {number} of {JOURNAL} has zeros in it")
        try:
            item = json.loads(text) if text else None
        except (ValueError, RecursionError):
            item = None
        if isinstance(item, dict):
            found.items.append((number, item))
        elif text and number < len(lines):
            found.damage.append(f"line {number} of {JOURNAL} is cut off or corrupt")
    return found


def read_journal(folder: Path) -> list[dict[str, Any]]:
    """The records of a run, without those that can't be read."""
    return [item for _, item in read_records(folder).items]


def run_name() -> str:
    """A new run's name; names sort by time, and no two runs of one process have the same."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{os.getpid()}"


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def plan_header(plan: Plan) -> dict[str, Any]:
    """Who carries out which file, and when: the first record of a run."""
    return {
        **header_of(plan.host.boot_id),
        "file": plan.source.path,
        "sha256": plan.source.sha256,
        "commit": plan.source.git.commit if plan.source.git is not None else "",
    }


def header_of(boot_id: str) -> dict[str, Any]:
    """Who does something, and when."""
    return {"at": now(), "by": os.environ.get("SUDO_USER") or _user(), "boot_id": boot_id}
