"""What an apply has to know of the run before it: was it interrupted, does it wait, can its record be read?"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from reconciler.cli.output import say
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode

if TYPE_CHECKING:
    from reconciler.apply.runs import RecordedRun
    from reconciler.cli.options import Options
    from reconciler.host.model import Snapshot


def look_at_earlier(options: Options, observed: Snapshot) -> None:
    """Says what is to be said of the last run. Raises `ReconcilerError` 7 when it waits for its confirmation."""
    from reconciler.apply.owed import guests_without
    from reconciler.apply.runs import last_run

    note_open_moves(options)
    last = last_run(options.state_dir)
    if last is None:
        return
    if last.damage:
        say(f"Note: the record of run {last.name} is damaged, and left as it is: {'; '.join(last.damage)}.")
    if last.known and last.end is None and not last.settled:
        say(f"Note: run {last.name} was interrupted{_doing(last)}. The host was read again.")
    if last.waits and last.boot_id != observed.host.boot_id:
        say(
            f"Note: run {last.name} was not confirmed before the host was rebooted. What it did is gone with that boot."
        )
    for sentence in guests_without(last, observed):
        say(f"Note: {sentence}")
    if last.waits and last.boot_id == observed.host.boot_id:
        _refuse_while_it_waits(last, options)


def note_open_moves(options: Options) -> None:
    """Says which guests are on their way to another host, and what finds out where they are."""
    from reconciler.apply.runs import open_moves

    for run in open_moves(options.state_dir):
        guest, to = str(run.header.get("moves", "a guest")), str(run.header.get("to", "URI"))
        again = options.command("migrate", guest, "--to", to)
        say(f"Note: the move of {guest} to {to} (run {run.name}) did not come to its end. Go on with it: {again}")


def note_open_end(options: Options, observed: Snapshot) -> None:
    """For an apply that has nothing to do: says if the last run of this boot waits for its confirmation, or was
    interrupted. It is no more than a note, so whoever may not read the records doesn't get it."""
    from reconciler.apply.runs import last_run

    with contextlib.suppress(ReconcilerError):
        note_open_moves(options)
        last = last_run(options.state_dir)
        if last is None or not last.known or last.settled or last.boot_id != observed.host.boot_id:
            return
        if last.waits:
            say(f"Note: run {last.name} waits for its confirmation. To keep it: {options.command('confirm')}")
        elif last.end is None:
            say(f"Note: run {last.name} was interrupted{_doing(last)}. All is as declared now.")


def _doing(run: RecordedRun) -> str:
    """The steps that were under way: of some it is not known whether they took effect."""
    from reconciler.plan.document import plan_to_json
    from reconciler.plan.undo import PREFIX
    from reconciler.report.actions import runs
    from reconciler.report.style import clean

    actions = []
    with contextlib.suppress(ReconcilerError):
        actions = [action for action in plan_to_json(run.done())["actions"] if action["id"] in run.unfinished]
    known = {action["id"] for action in actions}
    told = [item.sentence for item in runs(clean(actions))] + [
        f"taking back {key.removeprefix(PREFIX)}" if key.startswith(PREFIX) else key
        for key in run.unfinished
        if key not in known
    ]
    return f" during {', '.join(told)}" if told else ""


def _refuse_while_it_waits(last: RecordedRun, options: Options) -> None:
    """Another run on top of one that waits would leave its timer nothing that it could take back. After a reboot there
    is neither timer nor change any more."""
    from reconciler.apply.confirm import given_up

    why = given_up(last)
    if not why:
        raise ReconcilerError(
            "Another run waits for its confirmation.",
            f"First keep run {last.name} with `{options.command('confirm')}`, or take it back with "
            f"`{options.command('rollback')}`. "
            "Nothing was changed.",
            code=ExitCode.LOCKED,
        )
    say(
        f"Note: run {last.name} was not confirmed in time, and could not be taken back. {why} What it did is judged by "
        "what is observed."
    )
