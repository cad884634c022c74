"""``reconciler migrate``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli.apply import ask
from reconciler.cli.earlier import look_at_earlier
from reconciler.cli.interrupts import Interrupts, interruptible
from reconciler.cli.options import Options, need_root
from reconciler.cli.output import put, say
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.apply.move import MoveResult
    from reconciler.apply.runs import RecordedRun
    from reconciler.host.guests import Destination, GuestWriter, MovingGuest
    from reconciler.plan.move import Move


_UNASKED = "Look at the plan with --dry-run, and use --yes."


@dataclass(slots=True)
class _Way:
    """From where to where."""

    domain: str
    here: GuestWriter
    there: GuestWriter
    to: str


def migrate(
    context: typer.Context,
    domain: Annotated[str, typer.Argument(metavar="DOMAIN", help="A shut-off guest of this host.")],
    to: Annotated[
        str,
        typer.Option(metavar="URI", help="libvirt there: qemu+ssh://HOST/system; from a simulated host: sim:FILE."),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Make all checks, show the plan, write nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
) -> int:
    """Move a shut-off guest to another host: its VF NICs are taken off, it is defined there, compared, and only then
    undefined here. Until then everything is taken back if a step fails. A guest whose NVRAM, TPM state, saved memory,
    snapshots or disks would not come along is refused. Run again after an interruption, it goes on."""
    from reconciler.host.open import open_destination, open_guests

    options: Options = context.obj
    interruptible()
    way = _Way(domain, open_guests(options.host, options.libvirt), open_destination(options.host, to), to)
    earlier = _earlier(options, way)
    if earlier is not None:
        say(f"Note: run {earlier.name} was to move {domain} to {to} too, and did not come to its end.")
        if dry_run:
            say("Run again without --dry-run, it is finished if the guest is gone from here, else taken back first.")
            return ExitCode.OK
        need_root(options)
        if not yes and not ask("Finish it, or take it back?", _UNASKED):
            return _declined()
        code = _go_on(options, way)
        if code is not None:
            return code
    move = _plan(options, way)[0]
    _show(options, move)
    if dry_run or move.code != ExitCode.OK:
        return move.code
    need_root(options)
    if not yes and not ask(otherwise=_UNASKED):
        return _declined()
    return _carry_out(options, way, move)


def _declined() -> int:
    say("Declined. Nothing was changed.")
    return ExitCode.FAILED


def _earlier(options: Options, way: _Way) -> RecordedRun | None:
    """A move of this guest that did not come to its end. Raises `ReconcilerError` when it went elsewhere."""
    from reconciler.apply.runs import open_moves

    try:
        runs = open_moves(options.state_dir)
    except ReconcilerError as error:
        if error.code == ExitCode.NOT_PERMITTED:
            return None  # Whoever may not read the records may not move anything either.
        raise
    earlier = next((run for run in runs if run.header.get("moves") == way.domain), None)
    if earlier is not None and earlier.header.get("to") != way.to:
        before = str(earlier.header.get("to", ""))
        raise ReconcilerError(
            "An earlier move did not come to its end.",
            f"Run {earlier.name} was to move {way.domain} to {before}. Go on with that one first: "
            f"{options.command('migrate', way.domain, '--to', before)}. Nothing was changed.",
            code=ExitCode.FAILED,
        )
    return earlier


def _go_on(options: Options, way: _Way) -> int | None:
    """Finishes the earlier move, or takes it back: then ``None``, and it may begin anew."""
    from reconciler.apply.lock import locked
    from reconciler.apply.move import finish
    from reconciler.apply.moved import read_cargo, read_document, settle
    from reconciler.clock import now

    with locked(f"migrate {way.domain}", now(), options.lock):
        earlier = _earlier(options, way)
        if earlier is None:
            return None
        cargo, document = read_cargo(earlier), read_document(earlier)
        interrupts = Interrupts("", phase="last")
        gone = earlier.outcomes.get("undefine", {}).get("outcome") == "changed"
        result = finish(cargo, gone, way.here, way.there, say)
        if result is None:
            settle(earlier)
            interrupts.over(ExitCode.ROLLED_BACK)
            interruptible()
            return None
        if result.code != ExitCode.PARTIAL:
            settle(earlier, result.code)
        interrupts.over(result.code)
    return _tell(options, document, result)


def _plan(options: Options, way: _Way) -> tuple[Move, MovingGuest]:
    """All checks on both sides. Raises `ReconcilerError` when there is no such guest, or this side can't be asked."""
    from reconciler.plan.move import make_move

    here = way.here.who()
    definition = way.here.find(way.domain)
    guest = way.here.moving(definition.uuid) if definition is not None else None
    if guest is None:
        raise ReconcilerError(
            "There is no such guest.",
            f"libvirt at {way.here.uri} knows no {way.domain!r}: see virsh list --all. Nothing was changed.",
            code=ExitCode.USAGE,
        )
    there: Destination | str
    try:
        there = way.there.destination(guest.stripped)
    except ReconcilerError as error:
        there = error.detail or error.summary
    observed = options.observe(options.reader())
    return make_move(guest, way.here.uri, here, way.to, there, observed), guest


def _show(options: Options, move: Move) -> None:
    from reconciler.report.move_text import render_move

    put(render_move(move.document(), color=options.colored(sys.stdout), width=options.width()))


def _carry_out(options: Options, way: _Way, shown: Move) -> int:
    """Under the lock both sides are looked at again: what is carried out is what was shown."""
    from reconciler.apply.lock import locked
    from reconciler.apply.move import Mover
    from reconciler.apply.moved import begin, cargo_of
    from reconciler.clock import now

    with locked(f"migrate {way.domain}", now(), options.lock):
        observed = options.observe(options.reader())
        look_at_earlier(options, observed)
        move, guest = _plan(options, way)
        if move.code != ExitCode.OK or move.document() != shown.document():
            _show(options, move)
            raise ReconcilerError(
                "The plan is no longer the one that was shown.",
                "Something has changed in the meantime. Nothing was changed. Run migrate again.",
                code=ExitCode.FAILED if move.code == ExitCode.OK else move.code,
            )
        interrupts = Interrupts("what was done is taken back")
        journal = begin(options.state_dir, move, cargo_of(guest, way.to), observed.host.boot_id)[1]
        try:
            mover = Mover(
                move,
                cargo_of(guest, way.to),
                way.here,
                way.there,
                journal,
                say,
                interrupts.asked,
                interrupts.enter,
            )
            result = mover.carry_out()
        finally:
            journal.close()
        interrupts.over(result.code)
    return _tell(options, move.document(), result)


def _tell(options: Options, document: dict[str, object], result: MoveResult) -> int:
    """Nothing here may change the exit code any more."""
    from reconciler.report.move_text import render_done

    if result.code == ExitCode.OK:
        color, width = options.colored(sys.stdout), options.width()
        put(render_done(document, color=color, width=width), done=True)
    elif result.error:
        say(f"Error: The move did not come to its end. {result.error}")
    if result.code == ExitCode.ROLLED_BACK:
        say("Taken back: the guest is here as it was, and not on the destination.")
    _say_all("Error: ", result.unmet)
    _say_all("Note: ", result.notes)
    if result.code in (ExitCode.FAILED, ExitCode.INTERRUPTED):
        say("Nothing was changed.")
    return result.code


def _say_all(before: str, sentences: Iterable[str]) -> None:
    for sentence in sentences:
        say(f"{before}{sentence}")
