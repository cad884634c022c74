"""The ledger: per declared field, the value that was applied or found already right.

It only labels (drift or pending?); reality is always observed. A corrupt one is set aside and costs labels alone.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from itertools import count
from pathlib import Path

from reconciler.apply.files import cannot_write, own_folder, write_atomically
from reconciler.clock import seconds
from reconciler.files import read_regular, sync_folder
from reconciler.host.model import Applied, Ledger, Snapshot
from reconciler.json_data import as_type, read_json
from reconciler.kinds.field_state import FieldState

FORMAT = "reconciler-ledger/1"


def read_ledger(state_dir: Path) -> tuple[Ledger, str]:
    """The ledger, and a message if there is one that can't be used (it counts as empty then)."""
    path = state_dir / "ledger.json"
    try:
        document = json.loads(read_regular(path))
        given = document.get("format") if isinstance(document, dict) else None
        if given != FORMAT:
            return {}, _unusable(path, f"its format is {given!r} and not {FORMAT!r}")
        return as_type(document["entries"], Ledger), ""
    except FileNotFoundError:
        return {}, ""
    except OSError as error:
        return {}, _unusable(path, error.strerror or str(error))
    except (ValueError, KeyError, RecursionError):
        return {}, _unusable(path, "it is corrupt")


def last_apply(state_dir: Path) -> str:
    """When an apply last carried something out here that stayed, as `reconciler.clock.now` writes it; "" when that is
    not known. It is in the ledger, since nobody but root may look at the runs."""
    try:
        at = read_json(read_regular(state_dir / "ledger.json"))["applied_at"]
        seconds(at)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return ""
    return str(at)


def _unusable(path: Path, why: str) -> str:
    return (
        f"{path} can't be used: {why}. So the values applied so far are not known, and drift can't be told from "
        "pending. The next apply sets it aside."
    )


def _set_aside(state_dir: Path) -> str:
    """Keeps an unusable ledger, whatever it is, under a name that nothing has yet: that name."""
    path = state_dir / "ledger.json"
    names = (path.with_name(f"ledger.json.unusable{f'-{number}' if number > 1 else ''}") for number in count(1))
    free = next(name for name in names if not os.path.lexists(name))
    try:
        path.rename(free)
        sync_folder(state_dir)
    except OSError as error:
        raise cannot_write(path, error) from None
    return free.name


def write_ledger(state_dir: Path, ledger: Ledger, *, applied_at: str | None = None) -> str:
    """Replaces the ledger. One that can't be used is set aside before: the name that it has then, else "". The caller
    holds the lock. ``applied_at``: when an apply carried this out, "" for never; ``None`` keeps what is on record."""
    own_folder(state_dir, 0o755)
    if applied_at is None:
        applied_at = last_apply(state_dir)
    aside = _set_aside(state_dir) if read_ledger(state_dir)[1] else ""
    entries = {
        identity: {name: asdict(applied) for name, applied in sorted(fields.items())}
        for identity, fields in sorted(ledger.items())
        if fields
    }
    document = {"format": FORMAT, **({"applied_at": applied_at} if applied_at else {}), "entries": entries}
    text = json.dumps(document, indent=1, ensure_ascii=False)
    write_atomically(state_dir / "ledger.json", text + "\n")
    return aside


def record(ledger: Ledger, states: list[FieldState], host: Snapshot, run: str, written: set[str]) -> bool:
    """Notes every field that is as declared, and what this run wrote that waits for a restart or a reboot: to lose it
    is drift.
    ``written``: addresses on which this run changed something. True if the ledger is another one now; a value that was
    found right again is no change."""
    changed = False
    for state in states:
        waits = state.status in ("pending-reboot", "pending-restart") and state.address in written
        if not waits and (state.status not in ("same", "unverifiable") or not state.written):
            continue
        fields = ledger.setdefault(state.identity, {})
        known = fields.get(state.field)
        of_now = state.status == "same" or (known is not None and known.boot_id == host.host.boot_id)
        if known is not None and known.value == state.declared and of_now:
            continue
        by = run if state.address in written else ""
        fields[state.field] = Applied(state.declared, host.host.boot_id, by)
        changed = True
    return changed
