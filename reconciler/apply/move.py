"""Carries a move out, and takes one back: at every moment the guest is defined on one side at least, and when all can
be asked, in the end on exactly one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from reconciler.apply.journal import Journal
from reconciler.apply.moved import SEEN, Cargo
from reconciler.clock import now
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.host.guests import Definition, Essence, Guests, GuestWriter, NoAnswer
from reconciler.host.protocol import HostError
from reconciler.plan.move import Move, Step

_PATIENCE = 20.0
"""Seconds for which a libvirt that doesn't answer (it may just be restarting) is asked again on the way back."""
_PAUSE = 0.5
Phase = Literal["back", "last"]
Tell = Callable[[str], None]


@dataclass(slots=True)
class MoveResult:
    """What a move has come to."""

    code: ExitCode
    error: str = ""
    """Why it went no further."""
    unmet: list[str] = field(default_factory=list)
    """How it is still not as it should be, and what to do, in sentences."""
    notes: list[str] = field(default_factory=list)


class _Uncertain(ReconcilerError):
    """Whether the guest is still here is not known, so that what is there has to stay."""


class Mover:
    """One move. ``stopped``: whether somebody wants it to end; ``entered`` is told where it is."""

    def __init__(
        self,
        move: Move,
        cargo: Cargo,
        here: GuestWriter,
        there: GuestWriter,
        journal: Journal,
        tell: Tell,
        stopped: Callable[[], bool] = lambda: False,
        entered: Callable[[Phase], None] = lambda phase: None,
    ) -> None:
        self.move, self.cargo, self.here, self.there = move, cargo, here, there
        self.journal, self.tell, self.stopped, self.entered = journal, tell, stopped, entered
        self.xml = cargo.original
        """The definition here as it was left by us."""
        self.written = False
        self.pending: list[str] = []
        """Orders that may still be carried out, since nobody has said that they were not."""

    def carry_out(self) -> MoveResult:
        """The steps in order; what fails before the guest has gone from here is taken back."""
        for number, step in enumerate(self.move.steps, 1):
            gone = any(earlier.id == "undefine" for earlier in self.move.steps[: number - 1])
            if self.stopped() and not gone:
                return self._end(self._back("It was interrupted.", ExitCode.INTERRUPTED))
            if step.id == "undefine":
                self.entered("last")
            try:
                self._step(number, step)
            except ReconcilerError as error:
                told = f"{error.summary} {error.detail}".strip()
                if gone:
                    return self._end(self._unfinished(told))
                if isinstance(error, _Uncertain):
                    return self._end(MoveResult(ExitCode.PARTIAL, told, [self._both()]))
                return self._end(self._back(told, ExitCode.FAILED))
        return self._end(MoveResult(ExitCode.OK))

    def _step(self, number: int, step: Step) -> None:
        began = self.here.clock.monotonic()
        self.journal.write("begin", actions=[step.id])
        shown = f"[{number}/{len(self.move.steps)}] {step.text}"
        try:
            getattr(self, f"_{step.id}")()
        except ReconcilerError as error:
            self.tell(f"{shown}: FAILED")
            self._done(step, began, "failed", f"{error.summary} {error.detail}".strip())
            raise
        self.tell(f"{shown}: done")
        self._done(step, began, "unchanged" if step.id == "verify" else "changed")

    def _done(self, step: Step, began: float, outcome: str, error: str = "") -> None:
        """That it can't be written stops nothing here, and shows when the next record is."""
        seconds = round(self.here.clock.monotonic() - began, 3)
        try:
            told = {"outcome": outcome, "error": error, "seconds": seconds}
            self.journal.write("done", actions=[step.id], outcomes={step.id: told})
        except ReconcilerError as problem:
            self.tell(f"Warning: {problem.summary} {problem.detail}")

    # ------------------------------------------------------------------------ the steps

    def _strip(self) -> None:
        """Nobody has touched it since it was looked at, or the plan is no longer the one that was shown."""
        self._is_still(self.here.definition(self.cargo.uuid))
        self._order("define", self.here, lambda: self.here.define(self.cargo.sent))
        self.xml = expect(self.here, self.cargo.uuid, self.cargo.sent_essence, "here").xml

    def _define(self) -> None:
        if self.there.definition(self.cargo.uuid) is not None:
            raise ReconcilerError(
                "The guest is on the destination already.", "Somebody has defined it there in the meantime."
            )
        self._order("define", self.there, lambda: self.there.define(self.cargo.sent))
        found = self.there.definition(self.cargo.uuid)
        if found is None:
            raise ReconcilerError("The guest is not on the destination.", "libvirt took the definition without effect.")
        self.cargo.seen.append(found.xml)
        self.journal.write(SEEN, xml=found.xml)

    def _verify(self) -> None:
        expect(self.there, self.cargo.uuid, self.cargo.sent_essence, "on the destination")

    def _undefine(self) -> None:
        """Both sides are looked at right before. Only what is read afterwards says whether it is gone."""
        self._verify()
        definition = self.here.definition(self.cargo.uuid)
        if definition is None:
            return
        self._is_still(definition)
        refused: ReconcilerError | None = None
        try:
            self._order("undefine", self.here, lambda: self.here.undefine(self.cargo.uuid))
        except ReconcilerError as error:
            refused = error
        left = self._is_left(refused)
        if left is None:
            return
        if refused is not None:
            raise refused
        if left.running and not left.persistent:
            raise ReconcilerError("The guest was started.", "Somebody has started it here at the very moment.")
        raise ReconcilerError("The guest is still here.", "libvirt took the order to undefine it without effect.")

    def _is_left(self, refused: ReconcilerError | None) -> Definition | None:
        """What is left here after the order. Raises `_Uncertain` when that can't be told."""
        try:
            left = patiently(self.here, lambda: self.here.definition(self.cargo.uuid))
        except ReconcilerError as error:
            raise _Uncertain("It is not known whether the guest is still here.", error.detail) from error
        if left is not None and isinstance(refused, NoAnswer):
            raise _Uncertain("libvirt here has not answered.", f"It may still undefine the guest. {refused.detail}")
        return left

    def _autostart(self) -> None:
        set_autostart(self.there, self.cargo.uuid)

    def _is_still(self, definition: Definition | None) -> None:
        if definition is None or definition.xml != self.xml or definition.running:
            why = "is gone" if definition is None else "was started" if definition.running else "was changed"
            raise ReconcilerError("The guest is no longer as it was.", f"{self.cargo.name} {why} in the meantime.")

    def _order(self, what: str, side: Guests, order: Callable[[], None]) -> None:
        self.written = True
        try:
            order()
        except NoAnswer:
            self.pending.append(f"libvirt at {side.uri} has not answered to {what} the guest, and may still do it.")
            raise

    # ------------------------------------------------------------------------ when it goes wrong

    def _back(self, why: str, untouched: ExitCode) -> MoveResult:
        if not self.written:
            return MoveResult(untouched, why)
        self.entered("back")
        left = take_back(self.cargo, self.here, self.there, self.tell)
        left += [f"{text} The same command looks again." for text in self.pending]
        return MoveResult(ExitCode.PARTIAL if left else ExitCode.ROLLED_BACK, why, left)

    def _unfinished(self, why: str) -> MoveResult:
        name = self.cargo.name
        return MoveResult(
            ExitCode.PARTIAL,
            why,
            [
                f"{name} is on the destination and no longer here, but does not start with the host there as it did "
                "here. Run the same command again."
            ],
        )

    def _both(self) -> str:
        return (
            f"{self.cargo.name} is defined on the destination, and perhaps here, too. Start it on neither side before "
            "the same command has been run again: it looks which it is."
        )

    def _end(self, result: MoveResult) -> MoveResult:
        try:
            self.journal.write("end", at=now(), code=int(result.code), unmet=result.unmet)
        except ReconcilerError as error:
            result.notes.append(f"The journal has no end, so it counts as interrupted: {error.detail}")
        return result


def take_back(cargo: Cargo, here: GuestWriter, there: GuestWriter, tell: Tell) -> list[str]:
    """Makes the guest whole here, and then takes away there what is still as it was sent. Returns what is left, in
    sentences; nothing is taken away there before the guest is known to be here."""
    try:
        left = _make_whole(cargo, here, tell)
    except ReconcilerError as error:
        return [
            f"The definition of {cargo.name} here is not known to be whole. {error.detail} So what {there.uri} has of "
            "it stays. Run the same command again."
        ]
    try:
        return left + _take_away(cargo, there, tell)
    except ReconcilerError as error:
        return [
            *left,
            f"{there.uri} may have {cargo.name}, too: start it here only. {error.detail} Run the same command again "
            f"when the destination answers, or there: virsh undefine {cargo.name}.",
        ]


def _make_whole(cargo: Cargo, here: GuestWriter, tell: Tell) -> list[str]:
    found = patiently(here, lambda: here.definition(cargo.uuid))
    if found is not None and found.essence == cargo.original_essence and found.persistent:
        return []
    if found is not None and found.persistent and found.essence != cargo.sent_essence:
        return [
            f"{cargo.name} was changed here by somebody else, and is left as it is: see virsh dumpxml {cargo.name}."
        ]
    _define_again(cargo, here)
    tell(f"Taken back: {cargo.name} is defined here as it was.")
    return []


def _define_again(cargo: Cargo, here: GuestWriter) -> None:
    here.define(cargo.original)
    expect(here, cargo.uuid, cargo.original_essence, "here")
    found = here.definition(cargo.uuid)
    if cargo.autostart and found is not None and not found.autostart:
        set_autostart(here, cargo.uuid)


def _take_away(cargo: Cargo, there: GuestWriter, tell: Tell) -> list[str]:
    found = patiently(there, lambda: there.definition(cargo.uuid))
    if found is None:
        return []
    if found.running:
        return [
            f"{cargo.name} runs on {there.uri}: don't start it here. If it is to stay there: virsh undefine "
            f"{cargo.name} here; else shut it down there. Then run the same command again."
        ]
    ours = found.xml in cargo.seen if cargo.seen else found.essence == cargo.sent_essence
    if not ours:
        return [
            f"{cargo.name} was changed on {there.uri} by somebody else, and is left there: don't start it. If nothing "
            f"of it is needed, there: virsh undefine {cargo.name}. Then run the same command again."
        ]
    there.undefine(cargo.uuid)
    if patiently(there, lambda: there.definition(cargo.uuid)) is not None:
        return [
            f"{there.uri} took the order to undefine {cargo.name} without effect: there, virsh undefine {cargo.name}."
        ]
    tell(f"Taken back: {cargo.name} is no longer on {there.uri}.")
    return []


def expect(side: Guests, uuid: str, wanted: Essence, where: str) -> Definition:
    """Reads a definition back, compares what matters, returns it. Raises `ReconcilerError` with all that differs."""
    found = side.definition(uuid)
    if found is None:
        raise ReconcilerError("The guest is not there.", f"There is no guest with UUID {uuid} {where}.")
    different = [
        f"{name}: {wanted.get(name, 'none')} -> {found.essence.get(name, 'none')}"
        for name in dict.fromkeys([*wanted, *found.essence])
        if wanted.get(name) != found.essence.get(name)
    ]
    if different:
        raise ReconcilerError("The definition is not what was sent.", f"As it is {where}: {'; '.join(different)}.")
    return found


def set_autostart(side: GuestWriter, uuid: str) -> None:
    """Lets a guest start with its host, and reads it back."""
    side.set_autostart(uuid, True)
    found = side.definition(uuid)
    if found is None or not found.autostart:
        raise ReconcilerError("The guest does not start with its host.", "libvirt took the order without effect.")


def patiently(side: Guests, ask: Callable[[], Definition | None]) -> Definition | None:
    """Asks until there is an answer, or the time is over: then it raises what was raised last."""
    until = side.clock.monotonic() + _PATIENCE
    while True:
        try:
            return ask()
        except HostError:
            if side.clock.monotonic() >= until:
                raise
        side.clock.sleep(_PAUSE)


# ---------------------------------------------------------------------------- a move that was interrupted


def finish(cargo: Cargo, gone: bool, here: GuestWriter, there: GuestWriter, tell: Tell) -> MoveResult | None:
    """What is to be done about an earlier move that did not come to its end. ``None``: it is taken back, and another
    one can be begun. ``gone``: it is on record that the guest was undefined here."""
    try:
        return _finish(cargo, gone, here, there, tell)
    except ReconcilerError as error:
        left = f"{cargo.name} is to be started on neither side before this has been solved. Run the same command then."
        return MoveResult(ExitCode.PARTIAL, f"{error.summary} {error.detail}".strip(), [left])


def _finish(cargo: Cargo, gone: bool, here: GuestWriter, there: GuestWriter, tell: Tell) -> MoveResult | None:
    if patiently(here, lambda: here.definition(cargo.uuid)) is not None:
        left = take_back(cargo, here, there, tell)
        return MoveResult(ExitCode.PARTIAL, "The earlier move can't be taken back.", left) if left else None
    found = patiently(there, lambda: there.definition(cargo.uuid))
    if found is None and gone:
        told = f"It was moved, and {there.uri} has had it. It has it no more, and what became of it there is not known."
        return MoveResult(ExitCode.FAILED, told)
    if found is None:
        _define_again(cargo, here)
        told = f"{cargo.name} was on neither side. It is defined here again, as it was before the move."
        return MoveResult(ExitCode.ROLLED_BACK, notes=[told])
    if cargo.autostart and not found.autostart:
        set_autostart(there, cargo.uuid)
        tell(f"{cargo.name} starts with the host there, as it did here.")
    return MoveResult(ExitCode.OK)
