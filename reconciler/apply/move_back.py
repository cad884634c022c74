"""Takes a move back, and deals with one that was interrupted: nothing is undefined, and nothing defined anew, that
somebody else has made or changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from reconciler.apply.moved import Cargo
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.host.guest_compare import missing, same
from reconciler.host.guests import Definition, Guests, GuestWriter
from reconciler.host.protocol import HostError

_PATIENCE = 20.0
"""Seconds for which a libvirt that doesn't answer (it may just be restarting) is asked again on the way back."""
_PAUSE = 0.5
Tell = Callable[[str], None]
T = TypeVar("T")


@dataclass(slots=True)
class MoveResult:
    """What a move has come to."""

    code: ExitCode
    error: str = ""
    """Why it went no further."""
    unmet: list[str] = field(default_factory=list)
    """How it is still not as it should be, in sentences: the same command goes on with it."""
    notes: list[str] = field(default_factory=list)
    """What is not as it was and that the same command doesn't change."""

    @property
    def over(self) -> bool:
        """Whether there is nothing left that the same command could do."""
        return not self.unmet


@dataclass(slots=True)
class Left:
    """What taking back has left, as in `MoveResult`."""

    unmet: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Elsewhere(ReconcilerError):
    """The destination's URI leads to another host than it did."""


def take_back(cargo: Cargo, here: GuestWriter, there: GuestWriter, tell: Tell) -> Left:
    """Makes the guest whole here, and then takes away there what is still as it was sent. Nothing is taken away there
    before the guest is known to be here."""
    left = Left()
    try:
        is_here = _make_whole(cargo, here, left, tell)
    except ReconcilerError as error:
        left.unmet.append(
            f"The definition of {cargo.name} here is not known to be whole. {error.detail} So what {there.uri} has of "
            "it stays. Run the same command again."
        )
        return left
    try:
        check_destination(cargo, there)
        if is_here:
            _take_away(cargo, there, left, tell)
        elif not left.unmet:
            left.notes.append(_removed(cargo, there))
    except Elsewhere as error:
        left.unmet.append(
            f"{error.detail} {cargo.name} may be defined there, too: start it here only. Run the same command again "
            f"when {there.uri} leads there, or look there and then give the move up: migrate {cargo.name} --forget."
        )
    except ReconcilerError as error:
        left.unmet.append(
            f"{there.uri} may have {cargo.name}, too: start it here only. {error.detail} Run the same command again "
            f"when the destination answers, or there: virsh undefine {cargo.name}."
        )
    return left


def _make_whole(cargo: Cargo, here: GuestWriter, left: Left, tell: Tell) -> bool:
    """Whether it is here, and stays if it isn't on the other side."""
    found = patiently(here, lambda: here.definition(cargo.uuid))
    if found is None or not found.persistent:
        if cargo.undefined == "":
            if found is not None:
                left.unmet.append(
                    f"{cargo.name} runs here, and somebody has undefined it: with its end it is gone. So what the "
                    f"destination has of it stays. Define it here again (virsh dumpxml {cargo.name}, virsh define), or "
                    "shut it down. Then run the same command again."
                )
            return False
    elif found.xml == cargo.original or found.essence == cargo.original_essence:
        _restore_autostart(cargo, here, found)
        return True
    elif not _is_as_left(cargo, found):
        left.notes.append(_changed_here(cargo, found))
        return True
    again = _define_again(cargo, here)
    tell(f"Taken back: {cargo.name} is defined here as it was.")
    ran = found is not None and found.running
    if (ran or again.running) and cargo.nics:
        how = "runs" if ran else "may run"
        left.notes.append(
            f"{cargo.name} was started here in the meantime, and {how} without {' and '.join(cargo.nics)}. Its "
            "definition has them again: it gets them when it is shut down and started, or by reconciler apply if this "
            "host's file declares them."
        )
    return True


def _is_as_left(cargo: Cargo, found: Definition) -> bool:
    """Whether it is what the move has made of it. Killed before that was on record, it is compared as a whole."""
    return found.xml in cargo.left if cargo.left else same(cargo.sent, found.xml)


def _changed_here(cargo: Cargo, found: Definition) -> str:
    told = (
        f"{cargo.name} was changed here by somebody else{f' ({found.name} now)' if found.name != cargo.name else ''}, "
        f"and is left as it is: see virsh dumpxml {found.name}."
    )
    lacking = [name for name in cargo.nics if name not in found.essence]
    if lacking:
        told += (
            f" It lacks {' and '.join(lacking)}, which the move has taken off. What this host's file declares of them, "
            f"reconciler apply puts back; the definition as it was before is in {cargo.record}."
        )
    return told


def _removed(cargo: Cargo, there: GuestWriter) -> str:
    """Of one that somebody else has undefined here. What is on the other side is not touched then."""
    found = patiently(there, lambda: there.definition(cargo.uuid))
    if found is None:
        return (
            f"{cargo.name} is not here any more, and not on {there.uri}: somebody else has undefined or moved it. It "
            f"is not defined anew. The definition as it was is in {cargo.record}."
        )
    return f"Somebody else has undefined {cargo.name} here. It is on {there.uri}, and stays there" + (
        f", without {' and '.join(cargo.nics)}." if cargo.nics else "."
    )


def _define_again(cargo: Cargo, here: GuestWriter) -> Definition:
    here.define(cargo.original)
    found = expect(here, cargo.uuid, cargo.original_essence, "here")
    _restore_autostart(cargo, here, found)
    return found


def _restore_autostart(cargo: Cargo, here: GuestWriter, found: Definition) -> None:
    """To undefine a guest takes it away."""
    if cargo.autostart and cargo.undefined and not found.autostart:
        set_autostart(here, cargo.uuid)


def _take_away(cargo: Cargo, there: GuestWriter, left: Left, tell: Tell) -> None:
    name = cargo.name
    found = patiently(there, lambda: there.definition(cargo.uuid))
    if found is None:
        return
    if found.running:
        left.unmet.append(
            f"{name} runs on {there.uri}: don't start it here. If it is to stay there: virsh undefine {name} here; "
            "else shut it down there. Then run the same command again."
        )
        return
    ours = found.xml in cargo.seen if cargo.seen else found.essence == cargo.sent_essence
    if not ours:
        left.unmet.append(
            f"{name} was changed on {there.uri} by somebody else, and is left there: don't start it. If nothing of it "
            f"is needed, there: virsh undefine {name}. Then run the same command again."
        )
        return
    there.undefine(cargo.uuid)
    after = patiently(there, lambda: there.definition(cargo.uuid))
    if after is None:
        tell(f"Taken back: {name} is no longer on {there.uri}.")
    elif after.running:
        left.unmet.append(
            f"{name} was started on {there.uri} while it was taken away, and runs there without a definition: don't "
            "start it here. Shut it down there, and it is gone from there. Then run the same command again."
        )
    else:
        left.unmet.append(
            f"{there.uri} took the order to undefine {name} without effect: there, virsh undefine {name}."
        )


# ---------------------------------------------------------------------------- a move that was interrupted


def finish(cargo: Cargo, here: GuestWriter, there: GuestWriter, tell: Tell) -> MoveResult | None:
    """What is to be done about an earlier move that did not come to its end. ``None``: it is taken back, and another
    one can be begun."""
    try:
        return _finish(cargo, here, there, tell)
    except ReconcilerError as error:
        left = f"{cargo.name} is to be started on neither side before this has been solved. Run the same command then."
        return MoveResult(ExitCode.PARTIAL, f"{error.summary} {error.detail}".strip(), [left])


def _finish(cargo: Cargo, here: GuestWriter, there: GuestWriter, tell: Tell) -> MoveResult | None:
    name = cargo.name
    if patiently(here, here.who).identity != cargo.identity:
        told = f"The move of {name} is on record for another host, or another libvirt, than {here.uri}."
        return MoveResult(ExitCode.FAILED, told, [f"Run the command there. To forget it: migrate {name} --forget."])
    if patiently(here, lambda: here.definition(cargo.uuid)) is not None:
        left = take_back(cargo, here, there, tell)
        if left.unmet:
            return MoveResult(ExitCode.PARTIAL, "The earlier move can't be taken back.", left.unmet, left.notes)
        return (
            MoveResult(ExitCode.PARTIAL, "It is taken back as far as that goes.", notes=left.notes)
            if left.notes
            else None
        )
    check_destination(cargo, there)
    found = patiently(there, lambda: there.definition(cargo.uuid))
    if found is None and cargo.undefined == "done":
        told = f"It was moved, and {there.uri} has had it. It has it no more, and what became of it there is not known."
        return MoveResult(ExitCode.FAILED, told)
    if found is None and cargo.undefined == "":
        return MoveResult(ExitCode.FAILED, _removed(cargo, there))
    if found is None:
        _define_again(cargo, here)
        told = f"{name} was on neither side. It is defined here again, as it was before the move."
        return MoveResult(ExitCode.ROLLED_BACK, notes=[told])
    if not found.persistent:
        told = (
            f"{name} runs on {there.uri} without a definition, and is gone with its end: don't start it here. Define "
            f"it there (virsh dumpxml {name}, virsh define). Then run the same command again."
        )
        return MoveResult(ExitCode.PARTIAL, "It has not arrived for good.", [told])
    if cargo.autostart and not found.autostart:
        set_autostart(there, cargo.uuid)
        tell(f"{name} starts with the host there, as it did here.")
    return MoveResult(ExitCode.OK)


# ---------------------------------------------------------------------------- what both ways need


def check_destination(cargo: Cargo, there: Guests) -> None:
    """That its URI still leads to the host that the guest was planned for. Raises `Elsewhere`."""
    found = patiently(there, there.who)
    if found.identity != cargo.identity_there:
        raise Elsewhere(
            "The destination is another host now.",
            f"{there.uri} leads to {found.name} ({found.identity}), and {cargo.name} went to {cargo.identity_there}.",
        )


def expect(side: Guests, uuid: str, wanted: dict[str, str], where: str, sent: str = "") -> Definition:
    """Reads a definition back, compares what matters, and that all that was sent is there; returns it. Raises
    `ReconcilerError` with all that differs."""
    found = side.definition(uuid)
    if found is None:
        raise ReconcilerError("The guest is not there.", f"There is no guest with UUID {uuid} {where}.")
    if not found.persistent:
        raise ReconcilerError("The guest has no definition.", f"It runs {where}, and is gone with its end.")
    different = [
        f"{name}: {wanted.get(name, 'none')} -> {found.essence.get(name, 'none')}"
        for name in dict.fromkeys([*wanted, *found.essence])
        if wanted.get(name) != found.essence.get(name)
    ]
    different += missing(sent, found.xml) if sent else []
    if different:
        raise ReconcilerError("The definition is not what was sent.", f"As it is {where}: {'; '.join(different)}.")
    return found


def set_autostart(side: GuestWriter, uuid: str) -> None:
    """Lets a guest start with its host, and reads it back."""
    side.set_autostart(uuid, True)
    found = side.definition(uuid)
    if found is None or not found.autostart:
        raise ReconcilerError("The guest does not start with its host.", "libvirt took the order without effect.")


def patiently(side: Guests, ask: Callable[[], T]) -> T:
    """Asks until there is an answer, or the time is over: then it raises what was raised last."""
    until = side.clock.monotonic() + _PATIENCE
    while True:
        try:
            return ask()
        except HostError:
            if side.clock.monotonic() >= until:
                raise
        side.clock.sleep(_PAUSE)
