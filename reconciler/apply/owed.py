"""What is owed to VFs: what they had, and nobody declares, before a run made them again that was killed or stopped on
its way. The next run gives it back, as that one would have."""

from __future__ import annotations

from pathlib import Path

from reconciler.apply.runs import RecordedRun, last_run
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.host.model import Pf
from reconciler.kinds.builder import copy_host, copy_pf
from reconciler.kinds.operations import OPERATIONS


def owed(state_dir: Path, boot_id: str) -> dict[str, Pf]:
    """PFs as they were before their VFs were removed, by identity; empty after a run that came to its end, and after a
    reboot. Whoever may not read the records, or finds them damaged, knows of nothing."""
    try:
        last = last_run(state_dir)
        if last is None or not last.known or last.boot_id != boot_id or last.settled:
            return {}
        code = None if last.end is None else last.end.get("code")
        if code == ExitCode.OK:
            return {}
        earlier = last.before().owed
        return {**_removed(last), **earlier} if code in (None, ExitCode.PARTIAL) else earlier
    except ReconcilerError:
        return {}


def _removed(run: RecordedRun) -> dict[str, Pf]:
    """The PFs whose VFs this run has removed, as they were right before: guests' NICs are off, and what libvirt had set
    for them is what it was."""
    found: dict[str, Pf] = {}
    host = copy_host(run.before())
    for action in run.done().actions:
        if action.id not in run.changed:
            continue
        pf = host.pfs.get(action.args.get("pf", ""))
        if action.op == "pf.set_numvfs" and action.args["vfs"] == 0 and pf is not None:
            found[pf.id] = copy_pf(pf)
        OPERATIONS[action.op].simulate(host, action.args)
    return found
