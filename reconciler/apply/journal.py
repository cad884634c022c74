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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reconciler.apply.files import append_synced, cannot_write, make_folder, write_atomically
from reconciler.clock import now
from reconciler.files import sync_folder
from reconciler.plan.document import Plan

JOURNAL = "journal.jsonl"
PLAN = "plan.json"
BEFORE = "before.json"
"""The snapshot that the run began with."""
NOW = "now.json"
LATER = "later.json"
"""The halves of a plan that waits for its confirmation."""


class Journal:
    """The journal of one run."""

    def __init__(self, state_dir: Path, run: str, files: Mapping[str, str], header: dict[str, Any]) -> None:
        """Makes the run's folder with these files in it (`PLAN`, `BEFORE`, …); fails before anything is done if that
        can't be written, and then leaves no folder."""
        runs = state_dir / "runs"
        make_folder(state_dir, 0o755)
        make_folder(runs, 0o700)
        self.folder = runs / run
        make_folder(self.folder, 0o700)
        self._file = -1
        try:
            for name, text in files.items():
                write_atomically(self.folder / name, text, mode=0o600)
            self._file = self._open()
            self.write("run", **header)
            sync_folder(runs)
        except BaseException as error:
            if self._file >= 0:
                os.close(self._file)
            shutil.rmtree(self.folder, ignore_errors=True)
            if isinstance(error, OSError):
                raise cannot_write(self.folder, error) from None
            raise

    def _open(self) -> int:
        path = self.folder / JOURNAL
        try:
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise cannot_write(path, error) from None

    def write(self, event: str, **fields: Any) -> None:
        """Appends a record and waits until it is on disk."""
        try:
            append_synced(self._file, json.dumps({"event": event, **fields}, ensure_ascii=False) + "\n")
        except OSError as error:
            raise cannot_write(self.folder / JOURNAL, error) from None

    def close(self) -> None:
        """Ends the journal."""
        os.close(self._file)


def add_record(folder: Path, event: str, **fields: Any) -> None:
    """Adds a record to the journal of a run that has ended."""
    path = folder / JOURNAL
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            append_synced(descriptor, json.dumps({"event": event, **fields}, ensure_ascii=False) + "\n")
        finally:
            os.close(descriptor)
    except OSError as error:
        raise cannot_write(path, error) from None


def read_journal(folder: Path) -> list[dict[str, Any]]:
    """The records of a run; a last line that was cut off by a crash is left out."""
    records = []
    try:
        lines = (folder / JOURNAL).read_text(errors="replace").splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            item = json.loads(line)
        except ValueError:
            break
        if isinstance(item, dict):
            records.append(item)
    return records


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
    user = os.environ.get("SUDO_USER") or _user()
    return {
        "at": now(),
        "by": user,
        "file": plan.source.path,
        "sha256": plan.source.sha256,
        "commit": plan.source.git.commit if plan.source.git is not None else "",
        "boot_id": plan.host.boot_id,
    }
