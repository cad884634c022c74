"""``reconciler rollback``."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli.apply import ask
from reconciler.cli.interrupts import Interrupts, interruptible
from reconciler.cli.options import Options, need_root
from reconciler.cli.output import put, say
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode

if TYPE_CHECKING:
    from reconciler.apply.rollback import Rollback
    from reconciler.apply.runs import RecordedRun


@dataclass(slots=True)
class _Wanted:
    """What is to be taken back: the last run, with the one that it confirmed if it is a confirmation. ``attempts``:
    rollbacks of it that left something to do."""

    last: RecordedRun
    confirmed: RecordedRun | None
    attempts: list[RecordedRun]

    @property
    def count(self) -> int:
        """How many actions that is."""
        return len(self.last.changed | (self.confirmed.changed if self.confirmed is not None else set()))


def rollback(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    unconfirmed: Annotated[
        str | None, typer.Option(metavar="UNIT", hidden=True, help="What the timer of --confirm-within calls.")
    ] = None,
) -> int:
    """Take back the last run: each of its steps, the last one first, to the values before; verified. Asks first on a
    terminal, unless --yes; without one it is done, since it only takes back what was approved."""
    from reconciler.host.open import open_writer
    from reconciler.state.serial import desired_from_json

    options: Options = context.obj
    interruptible()
    writer = open_writer(options.host, options.libvirt)
    need_root(options)
    asked = None
    if unconfirmed is None and not yes and sys.stdin.isatty():
        asked = _wanted(options)
        say(_told(asked))
        if not ask("Take it back?"):
            say("Declined. Nothing was changed.")
            return ExitCode.FAILED
    with ExitStack() as stack:
        _take_lock(stack, options, patient=unconfirmed is not None)
        if unconfirmed is not None and not _due(options, unconfirmed):
            return ExitCode.OK
        wanted = _wanted(options)
        if asked is not None and (asked.last.name, asked.count) != (wanted.last.name, wanted.count):
            raise ReconcilerError(
                "The last run is another one now.",
                f"It was run {asked.last.name} when you were asked, and is run {wanted.last.name} now, or has gone on. "
                f"Nothing was changed. Look with `{options.command('history')}`, and run rollback again.",
                code=ExitCode.STALE,
            )
        if not wanted.count:
            return _settle(wanted.last)
        plan = wanted.last.done()
        reader = options.reader(desired_from_json(plan.desired), host_name=plan.host.name)
        observed = options.observe(reader)
        if plan.host.machine_id != observed.host.machine_id:
            raise ReconcilerError(
                "The last run was on another machine.",
                f"Run {wanted.last.name} was on {plan.host.name}, and this is {observed.host.name}. Nothing was "
                "changed.",
                code=ExitCode.STALE,
            )
        if asked is None:
            say(_told(wanted))
        from reconciler.apply.rollback import take_back_run
        from reconciler.report.progress import make_progress

        progress = make_progress(sys.stderr, color=options.colored(sys.stderr))
        interrupts = Interrupts("", phase="back")
        done = take_back_run(
            wanted.last,
            observed,
            confirmed=wanted.confirmed,
            attempts=wanted.attempts,
            reader=reader,
            writer=writer,
            state_dir=options.state_dir,
            progress=progress,
        )[1]
        interrupts.over(ExitCode.OK if done.complete else ExitCode.PARTIAL)
        for warning in done.warnings:
            say(f"Warning: {warning}")
        _disarm(wanted.last)
    return _show(options, wanted, done)


def _take_lock(stack: ExitStack, options: Options, *, patient: bool) -> None:
    """Takes the lock. A timer waits for it as long as another run has it: whoever gave up here would leave a change
    that nobody wants, and the lock dies with its holder."""
    from reconciler.apply.lock import locked
    from reconciler.clock import now

    while True:
        try:
            stack.enter_context(locked("rollback", now(), options.lock))
            return
        except ReconcilerError as error:
            if not patient or error.code != ExitCode.LOCKED:
                raise
        time.sleep(0.5)


def _due(options: Options, unit: str) -> bool:
    """Whether this timer is the one to take the last run back. It is not when the countdown began again, for which
    another one stands, nor after the run was confirmed or taken back."""
    from reconciler.apply.confirm import is_due, is_timer_of
    from reconciler.apply.runs import last_run

    last = last_run(options.state_dir)
    if last is not None and not last.known and is_timer_of(last, unit):
        raise _damaged(last)
    if is_due(last, unit):
        return True
    say(f"Nothing waits for the timer {unit} any more: nothing is taken back.")
    return False


def _damaged(run: RecordedRun) -> ReconcilerError:
    return ReconcilerError(
        "A run's record is damaged.",
        f"Run {run.name}: {'; '.join(run.damage)}. So it is not known what it did, and neither it nor a "
        "run before it can be taken back. Nothing was changed. Look with `inspect`, and apply what is "
        "to be.",
        code=ExitCode.INVALID,
    )


def _settle(last: RecordedRun) -> int:
    """A run whose steps all wait for the confirmation waits no longer."""
    from reconciler.apply.rollback import settle

    settle(last)
    _disarm(last)
    put(f"Run {last.name} had changed nothing yet. It waits for no confirmation any more.\n")
    return ExitCode.OK


def _disarm(run: RecordedRun) -> None:
    """Taken back by hand, it is not to be taken back once more. A timer that fires all the same finds nothing that
    waits."""
    if run.armed is not None:
        from reconciler.host.local.timer import disarm

        with suppress(ReconcilerError):
            disarm(str(run.armed["unit"]))


def _told(wanted: _Wanted) -> str:
    header = wanted.last.header
    what = f"reset of {header['resets']}" if header.get("resets") else header.get("file") or "a saved plan"
    return f"Taking back run {wanted.last.name}: {what}."


def _wanted(options: Options) -> _Wanted:
    """The last run, if there is something in it to take back, or it waits."""
    from reconciler.apply.runs import recorded_runs

    runs = [run for run in recorded_runs(options.state_dir) if run.begun]
    runs = runs[_moves_back(runs, options) :]
    attempts = list(takewhile(lambda run: run.partly_back, runs))
    last = next(iter(runs[len(attempts) :]), None)
    if last is not None and not last.known:
        raise _damaged(last)
    if last is not None and last.damage:
        say(
            f"Warning: the record of run {last.name} is damaged: {'; '.join(last.damage)}. Each of its steps may have "
            "been done, and is judged by what is observed."
        )
    if last is None:
        why = f"No run is on record in {options.state_dir}."
    elif "undoes" in last.header:
        why = f"The last run, {last.name}, took run {last.header['undoes']} back; apply does that one again."
    elif last.end is not None and last.end["code"] == ExitCode.ROLLED_BACK:
        why = f"The last run, {last.name}, was taken back already."
    else:
        confirmed = next((run for run in runs if run.name == last.header.get("confirms")), None)
        wanted = _Wanted(last, confirmed, attempts)
        if wanted.count or last.waits:
            return wanted
        why = f"The last run, {last.name}, changed nothing."
    raise ReconcilerError("There is nothing to take back.", f"{why} Nothing was changed.", code=ExitCode.FAILED)


def _moves_back(runs: list[RecordedRun], options: Options) -> int:
    """How many moves of guests the last runs are that came to nothing. Raises `ReconcilerError` for one that did not:
    what was before it can't be taken back without the guest."""
    moves = list(takewhile(lambda run: run.is_move, runs))
    for run in moves:
        over = run.settled or (run.end is not None and run.end["code"] not in (ExitCode.OK, ExitCode.PARTIAL))
        if over:
            continue
        guest, to = str(run.header.get("moves", "a guest")), str(run.header.get("to", "URI"))
        if run.move_is_open:
            do = f"It did not come to its end. Go on with it: {options.command('migrate', guest, '--to', to)}"
        else:
            do = f"To have it here again, on that host: reconciler migrate {guest} --to URI-OF-THIS-HOST"
        raise ReconcilerError(
            "A move is not taken back by rollback.",
            f"The last run, {run.name}, moved {guest} to {to}. {do} Nothing was changed.",
            code=ExitCode.FAILED,
        )
    return len(moves)


def _show(options: Options, wanted: _Wanted, done: Rollback) -> int:
    from reconciler.plan.document import plan_to_json
    from reconciler.report.apply_text import render_result
    from reconciler.report.style import plural

    if done.complete:
        put(
            f"Taken back: {plural(wanted.count, 'action')} of run {wanted.last.name}; what they touched is as before.\n"
        )
        return ExitCode.OK
    plan = wanted.last.done()
    plan.actions = done.actions
    outcomes = [asdict(outcome) for outcome in done.outcomes]
    color, width = options.colored(sys.stdout), options.width()
    put(render_result(plan_to_json(plan), outcomes, unmet=done.left, back=True, color=color, width=width))
    return ExitCode.PARTIAL
