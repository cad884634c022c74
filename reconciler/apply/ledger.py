"""The ledger: per declared field, the value that was applied or found already right.

It only labels (drift or pending?); reality is always observed. A corrupt one is set aside and costs labels alone.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from reconciler.apply.files import cannot_write, make_folder, write_atomically
from reconciler.host.model import Applied, Ledger, Snapshot
from reconciler.kinds.field_state import FieldState

FORMAT = "reconciler-ledger/1"


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Ledger)


def read_ledger(state_dir: Path) -> tuple[Ledger, str]:
    """The ledger, and a message if there is one that can't be used (it counts as empty then)."""
    path = state_dir / "ledger.json"
    try:
        document = json.loads(path.read_bytes())
        if document.get("format") != FORMAT:
            return (
                {},
                f"{path} has the format {document.get('format')!r}, so the values applied so far are not known.",
            )
        return _adapter().validate_python(document["entries"]), ""
    except FileNotFoundError:
        return {}, ""
    except OSError as error:
        return {}, f"{path} can't be read ({error.strerror}), so the values applied so far are not known."
    except (ValueError, AttributeError, KeyError, RecursionError):
        return (
            {},
            f"{path} is corrupt, so the values applied so far are not known. The next apply sets it aside.",
        )


def set_aside(state_dir: Path) -> None:
    """Keeps an unusable ledger under another name, so that the next one can be written."""
    path = state_dir / "ledger.json"
    try:
        path.replace(path.with_name("ledger.json.unusable"))
    except FileNotFoundError:
        return
    except OSError as error:
        raise cannot_write(path, error) from None


def write_ledger(state_dir: Path, ledger: Ledger) -> None:
    """Replaces the ledger."""
    make_folder(state_dir, 0o755)
    entries = {
        identity: {name: asdict(applied) for name, applied in sorted(fields.items())}
        for identity, fields in sorted(ledger.items())
        if fields
    }
    text = json.dumps({"format": FORMAT, "entries": entries}, indent=1, ensure_ascii=False)
    write_atomically(state_dir / "ledger.json", text + "\n")


def record(ledger: Ledger, states: list[FieldState], host: Snapshot, run: str, written: set[str]) -> bool:
    """Notes every field that is as declared. ``written``: addresses on which this run changed something. True if the
    ledger is another one now; a value that was found right again is no change."""
    changed = False
    for state in states:
        if state.status not in ("same", "unverifiable") or not state.written:
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
