"""What a run is about to do and has done, on disk before it is done: ``runs/RUN/`` with the plan and the journal.

One record is one line of JSON, synced before the write that it announces. A batch of ``vf.set`` on one PF has one
record before it and one after.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from reconciler.apply.files import append_synced, cannot_write, make_folder, write_atomically
from reconciler.files import sync_folder

JOURNAL = "journal.jsonl"


class Journal:
    """The journal of one run."""

    def __init__(self, state_dir: Path, run: str, plan: str, header: dict[str, Any]) -> None:
        """Makes the run's folder with the plan in it; fails before anything is done if that can't be written, and then
        leaves no folder."""
        runs = state_dir / "runs"
        make_folder(state_dir, 0o755)
        make_folder(runs, 0o700)
        self.folder = runs / run
        make_folder(self.folder, 0o700)
        self._file = -1
        try:
            write_atomically(self.folder / "plan.json", plan, mode=0o600)
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


def interrupted_run(state_dir: Path) -> tuple[str, list[str]] | None:
    """The last run, if its journal has no end: its name, and the actions that it had begun and not finished. A folder
    without the record of a run is of one that was killed before it began."""
    runs = state_dir / "runs"
    try:
        names = sorted((entry.name for entry in os.scandir(runs) if entry.is_dir()), reverse=True)
    except OSError:
        return None
    for name in names:
        records = read_journal(runs / name)
        if any(record.get("event") == "run" for record in records):
            return None if any(record.get("event") == "end" for record in records) else (name, _unfinished(records))
    return None


def _unfinished(records: list[dict[str, Any]]) -> list[str]:
    begun: list[str] = []
    for record in records:
        if record.get("event") == "begin":
            begun += record.get("actions", [])
        elif record.get("event") == "done":
            begun = [item for item in begun if item not in record.get("actions", [])]
    return begun


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
