"""What a run owes that was killed or stopped on its way: to VFs what they had, and nobody declares, before it made them
again; to guests the NICs that it took off. The next run gives it back, as that one would have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reconciler.apply.journal import add_record
from reconciler.apply.runs import RecordedRun, last_run
from reconciler.clock import now
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.host.model import Pf, Snapshot
from reconciler.kinds.action import Action
from reconciler.kinds.builder import copy_host, copy_pf
from reconciler.kinds.operations import OPERATIONS


def owed(state_dir: Path, boot_id: str) -> dict[str, Pf]:
    """PFs as they were before their VFs were removed, by identity; empty after a run that came to its end, and after a
    reboot. Whoever may not read the records, or finds them damaged, knows of nothing. Raises `ReconcilerError` 65 when
    they can be read, and yet don't fit together."""
    try:
        last = last_run(state_dir)
        if last is None or not last.known or last.boot_id != boot_id or last.settled:
            return {}
        done = last.end is not None and last.end.get("code") == ExitCode.OK
        if done and ("undoes" in last.header or not last.targets()):
            return {}
        before = last.before()
        if not _is_open(last):
            return before.owed
        carried_out = _carried_out(last)
    except ReconcilerError:
        return {}
    return {**_removed(last, before, carried_out), **before.owed}


def _carried_out(run: RecordedRun) -> list[Action]:
    """Actions whose effect was there after this run, or may have been: what it found done already counts as well, for
    later steps are built on it."""
    there = run.changed | {key for key, item in run.outcomes.items() if item["outcome"] == "unchanged"}
    return [action for action in run.done().actions if action.id in there]


def _removed(run: RecordedRun, before: Snapshot, actions: Sequence[Action]) -> dict[str, Pf]:
    """The PFs whose VFs these actions have removed, as they were right before: guests' NICs are off, and what libvirt
    had set for them is what it was."""
    found: dict[str, Pf] = {}
    host = copy_host(before)
    for action in actions:
        pf = host.pfs.get(action.args.get("pf", ""))
        if action.op == "pf.set_numvfs" and action.args["vfs"] == 0 and pf is not None and pf.vfs:
            found[pf.id] = copy_pf(pf)
        try:
            OPERATIONS[action.op].simulate(host, action.args)
        except (LookupError, TypeError, AttributeError, ValueError):
            raise ReconcilerError(
                "A run's record does not fit together.",
                f"By the record of run {run.name}, {action.op} of {action.address} was done on a host where it can't "
                "be done. So it is not known what VFs had that it removed, and what no state file declares is not "
                "given back to them.",
                code=ExitCode.INVALID,
            ) from None
    return found


def guests_without(last: RecordedRun, observed: Snapshot) -> list[str]:
    """Which guests are without which NIC since the last run, in sentences."""
    if not _is_open(last) or last.boot_id != observed.host.boot_id:
        return []
    from reconciler.apply.rescue import lost_nics

    try:
        actions = [action for action in last.done().actions if action.op != "nic.detach" or action.id in last.changed]
        lost = lost_nics(last.before(), observed, actions)
    except ReconcilerError:
        return []  # That the record is damaged is said elsewhere.
    return [
        f"Guest {nic.domain} is without its {nic}, which run {last.name} took off and did not put back."
        for nic in lost
        if nic.live
    ]


def caught_up(state_dir: Path) -> None:
    """Notes that all is as declared although the last run did not come to its end: nothing is owed any more."""
    last = last_run(state_dir)
    if last is not None and is_behind(state_dir):
        add_record(last.folder, "caught-up", at=now())


def is_behind(state_dir: Path) -> bool:
    """Whether the last run did not come to its end, as far as the records can be read; one that waits is no such."""
    try:
        last = last_run(state_dir)
    except ReconcilerError:
        return False
    return last is not None and _is_open(last) and not last.waits


def _is_open(run: RecordedRun) -> bool:
    return run.known and not run.settled and (run.end is None or run.end.get("code") == ExitCode.PARTIAL)
