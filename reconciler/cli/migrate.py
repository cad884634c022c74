"""``reconciler migrate``."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli.apply import ask
from reconciler.cli.earlier import look_at_earlier
from reconciler.cli.interrupts import Interrupted, Interrupts, interruptible
from reconciler.cli.options import Options, need_root
from reconciler.cli.output import put, say
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.apply.move_back import MoveResult
    from reconciler.apply.moved import Cargo
    from reconciler.apply.runs import RecordedRun
    from reconciler.host.guests import Destination, GuestWriter
    from reconciler.plan.move import Move


_UNASKED = "Look at the plan with --dry-run, and use --yes."


@dataclass(slots=True)
class _Way:
    """From where to where."""

    domain: str
    here: GuestWriter
    there: GuestWriter
    to: str
    taken_back: bool = False
    """An earlier move was taken back before."""


def migrate(
    context: typer.Context,
    domain: Annotated[str, typer.Argument(metavar="DOMAIN", help="A shut-off guest of this host.")],
    to: Annotated[
        str,
        typer.Option(metavar="URI", help="libvirt there: qemu+ssh://HOST/system; from a simulated host: sim:FILE."),
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Make all checks, show the plan, write nothing.")] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="Give up a move that did not come to its end; neither host is changed.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
) -> int:
    """Move a shut-off guest to another host: its VF NICs are taken off, it is defined there, compared, and only then
    undefined here. Until then everything is taken back if a step fails. A guest whose NVRAM, TPM state, saved memory,
    snapshots or disks would not come along is refused. Run again after an interruption, it goes on."""
    from reconciler.host.open import open_destination, open_guests

    options: Options = context.obj
    interruptible()
    if forget:
        if to or dry_run:
            raise ReconcilerError("Wrong usage.", "--forget takes neither --to nor --dry-run.", code=ExitCode.USAGE)
        return _forget(options, open_guests(options.host, options.libvirt), domain, yes)
    if not to:
        raise ReconcilerError("Wrong usage.", "migrate needs --to URI, or --forget.", code=ExitCode.USAGE)
    way = _Way(domain, open_guests(options.host, options.libvirt), open_destination(options.host, to), to)
    earlier = _earlier(options, way)
    if earlier is None:
        return _begin(options, way, dry_run, yes)
    say(f"Note: run {earlier.name} was to move {domain} to {to} too, and did not come to its end.")
    if dry_run:
        say("Run again without --dry-run, it is finished if the guest is gone from here, else taken back first.")
        return ExitCode.OK
    need_root(options)
    if not yes and not ask("Finish it, or take it back?", _UNASKED):
        return _declined()
    code = _go_on(options, way)
    return _begin_anew(options, way, yes) if code is None else code


def _begin(options: Options, way: _Way, dry_run: bool, yes: bool) -> int:
    move = _plan(options, way)[0]
    _show(options, move)
    if dry_run or move.code != ExitCode.OK:
        return move.code
    need_root(options)
    if not yes and not ask(otherwise=_UNASKED):
        return _declined()
    return _carry_out(options, way, move)


def _begin_anew(options: Options, way: _Way, yes: bool) -> int:
    """After an earlier move was taken back. That it was is what it came to, if no other one is begun."""
    way.taken_back = True
    try:
        move = _plan(options, way)[0]
        _show(options, move, nothing_changed=False)
        if move.code == ExitCode.OK and (yes or ask(otherwise=_UNASKED)):
            code = _carry_out(options, way, move)
            if code not in (ExitCode.FAILED, ExitCode.INTERRUPTED):
                return code
    except Interrupted:
        say("Interrupted.")
    except ReconcilerError as error:
        say(f"Error: {error.summary} {error.detail}".replace(" Nothing was changed.", ""))
    say("The earlier move was taken back; no new one was begun.")
    return ExitCode.ROLLED_BACK


def _declined() -> int:
    say("Declined. Nothing was changed.")
    return ExitCode.FAILED


def _uuid(here: GuestWriter, name: str) -> str:
    """Of the guest that has this name here now; "" if there is none, or libvirt can't say."""
    with contextlib.suppress(ReconcilerError):
        definition = here.find(name)
        return definition.uuid if definition is not None else ""
    return ""


def _open_move(options: Options, here: GuestWriter, domain: str) -> RecordedRun | None:
    """A move of this guest that did not come to its end."""
    from reconciler.apply.moved import is_of
    from reconciler.apply.runs import open_moves

    runs = open_moves(options.state_dir)
    uuid = _uuid(here, domain) if runs else ""
    return next((run for run in runs if is_of(run, domain, uuid)), None)


def _earlier(options: Options, way: _Way) -> RecordedRun | None:
    """As `_open_move`. Raises `ReconcilerError` when it went elsewhere."""
    try:
        earlier = _open_move(options, way.here, way.domain)
    except ReconcilerError as error:
        if error.code == ExitCode.NOT_PERMITTED:
            return None  # Whoever may not read the records may not move anything either.
        raise
    if earlier is not None and earlier.header.get("to") != way.to:
        before = str(earlier.header.get("to", ""))
        raise ReconcilerError(
            "An earlier move did not come to its end.",
            f"Run {earlier.name} was to move {way.domain} to {before}. Go on with that one first: "
            f"{options.command('migrate', way.domain, '--to', before)}. If that host is gone for good: "
            f"{options.command('migrate', way.domain, '--forget')}. Nothing was changed.",
            code=ExitCode.FAILED,
        )
    return earlier


def _forget(options: Options, here: GuestWriter, domain: str, yes: bool) -> int:
    """Gives up an open move: nothing but its record is written."""
    from reconciler.apply.journal import MOVE
    from reconciler.apply.lock import locked
    from reconciler.apply.moved import give_up
    from reconciler.clock import now

    need_root(options)
    run = _open_move(options, here, domain)
    if run is None:
        raise ReconcilerError(
            "There is nothing to forget.",
            f"No move of {domain} is on record that did not come to its end. Nothing was changed.",
            code=ExitCode.USAGE,
        )
    to = run.header.get("to", "another host")
    say(
        f"Run {run.name} was to move {domain} to {to}, and did not come to its end. Given up, it is neither finished "
        f"nor taken back: {domain} may be defined here, there or on both, here perhaps without its VF NICs, and is to "
        "be started on one side only. Look with virsh list --all on both. The definition as it was stays in "
        f"{run.folder / MOVE}."
    )
    if not yes and not ask("Give it up?", "Use --yes."):
        return _declined()
    with locked(f"migrate {domain} --forget", now(), options.lock):
        still = _open_move(options, here, domain)
        if still is None or still.name != run.name:
            raise ReconcilerError(
                "It is over in the meantime.", f"Run {run.name} is not open any more: reconciler history {run.name}."
            )
        give_up(run)
    say(f"Run {run.name} is given up. Neither host was changed.")
    return ExitCode.OK


def _go_on(options: Options, way: _Way) -> int | None:
    """Finishes the earlier move, or takes it back: then ``None``, and it may begin anew."""
    from reconciler.apply.lock import locked
    from reconciler.apply.move_back import finish
    from reconciler.apply.moved import read_cargo, read_document, settle
    from reconciler.clock import now

    with locked(f"migrate {way.domain}", now(), options.lock):
        earlier = _earlier(options, way)
        if earlier is None:
            return None
        cargo, document = read_cargo(earlier), read_document(earlier)
        interrupts = Interrupts("", phase="last")
        result = finish(cargo, way.here, way.there, say)
        if result is None:
            settle(earlier)
            interrupts.over(ExitCode.ROLLED_BACK)
            interruptible()
            return None
        if result.over:
            settle(earlier, result.code)
        interrupts.over(result.code)
    return _tell(options, way, document, result)


def _plan(options: Options, way: _Way) -> tuple[Move, Cargo | None]:
    """All checks on both sides, and what is moved if the destination answers. Raises `ReconcilerError` when there is no
    such guest, or this side can't be asked."""
    from reconciler.apply.moved import cargo_of
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
    cargo = None
    try:
        there = way.there.destination(guest.stripped)
        cargo = cargo_of(guest, way.to, here.identity, there.who.identity)
    except ReconcilerError as error:
        there = error.detail or error.summary
    observed = options.observe(options.reader())
    return make_move(guest, way.here.uri, here, way.to, there, observed), cargo


def _show(options: Options, move: Move, *, nothing_changed: bool = True) -> None:
    from reconciler.report.move_text import render_move

    color, width = options.colored(sys.stdout), options.width()
    put(
        render_move(
            move.document(), nothing_changed=nothing_changed, command=options.command(), color=color, width=width
        )
    )


def _carry_out(options: Options, way: _Way, shown: Move) -> int:
    """Under the lock both sides are looked at again: what is carried out is what was shown."""
    from reconciler.apply.lock import locked
    from reconciler.apply.move import Mover
    from reconciler.apply.moved import begin
    from reconciler.clock import now

    with locked(f"migrate {way.domain}", now(), options.lock):
        observed = options.observe(options.reader())
        look_at_earlier(options, observed)
        move, cargo = _plan(options, way)
        if move.code != ExitCode.OK or cargo is None or move.document() != shown.document():
            _show(options, move, nothing_changed=not way.taken_back)
            raise ReconcilerError(
                "The plan is no longer the one that was shown.",
                "Something has changed in the meantime. Nothing was changed. Run migrate again.",
                code=ExitCode.FAILED if move.code == ExitCode.OK else move.code,
            )
        interrupts = Interrupts("what was done is taken back")
        journal = begin(options.state_dir, move, cargo, observed.host.boot_id)
        try:
            mover = Mover(move, cargo, way.here, way.there, journal, say, interrupts.asked, interrupts.enter)
            result = mover.carry_out()
        finally:
            journal.close()
        interrupts.over(result.code)
    return _tell(options, way, move.document(), result)


def _tell(options: Options, way: _Way, document: dict[str, object], result: MoveResult) -> int:
    """Nothing here may change the exit code any more."""
    from reconciler.report.move_text import render_done

    if result.code == ExitCode.OK:
        color, width = options.colored(sys.stdout), options.width()
        put(render_done(document, command=options.command(), color=color, width=width), done=True)
    elif result.error:
        say(f"Error: The move did not come to its end. {result.error}")
    if result.code == ExitCode.ROLLED_BACK:
        say("Taken back: the guest is here as it was, and not on the destination.")
    _say_all("Error: ", result.unmet)
    _say_all("Error: " if result.code == ExitCode.PARTIAL else "Note: ", result.notes)
    if result.code in (ExitCode.FAILED, ExitCode.INTERRUPTED) and not way.taken_back:
        say("Nothing was changed.")
    return result.code


def _say_all(before: str, sentences: Iterable[str]) -> None:
    for sentence in sentences:
        say(f"{before}{sentence}")
