"""An apply that has nothing to do: what was found already right goes on record. Nothing here knows of carrying out, so
that it takes no longer than a plan."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from reconciler.apply.ledger import read_ledger, record, write_ledger
from reconciler.apply.owed import caught_up, is_behind
from reconciler.host.model import Snapshot
from reconciler.kinds.registry import compare_all
from reconciler.kinds.resolve import resolve
from reconciler.state.desired import Desired


def note_in_sync(
    desired: Desired,
    observed: Snapshot,
    state_dir: Path,
    lock: Callable[[], AbstractContextManager[None]],
    *,
    whole: bool = True,
) -> str:
    """Records what was found already right, and that a run is caught up with that did not come to its end. Writes
    nothing, and takes no lock, when that is on record already. ``whole``: all that the file declares was looked at.
    Returns the name under which an unusable ledger was set aside, else ""."""
    states = compare_all(resolve(desired, observed), observed)
    known, problem = read_ledger(state_dir)
    behind = whole and is_behind(state_dir)
    if not problem and not record(known, states, observed, "", set()) and not behind:
        return ""
    with lock():
        if behind:
            caught_up(state_dir)
        known = read_ledger(state_dir)[0]  # Another run may have written it in the meantime.
        record(known, states, observed, "", set())
        return write_ledger(state_dir, known)
