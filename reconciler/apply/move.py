"""Carries a move out: at every moment the guest is defined on one side at least, and when all can be asked, in the end
on exactly one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from reconciler.apply.journal import Journal
from reconciler.apply.move_back import MoveResult, Tell, check_destination, expect, patiently, set_autostart, take_back
from reconciler.apply.moved import LEFT, SEEN, Cargo
from reconciler.clock import now
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.host.guests import Definition, Guests, GuestWriter
from reconciler.host.protocol import NoAnswer
from reconciler.plan.move import Move, Step

Phase = Literal["back", "last"]


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
        self.xml = expect(self.here, self.cargo.uuid, self.cargo.sent_essence, "here", self.cargo.sent).xml
        self.cargo.left.append(self.xml)
        self.journal.write(LEFT, xml=self.xml)

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
        check_destination(self.cargo, self.there)
        expect(self.there, self.cargo.uuid, self.cargo.sent_essence, "on the destination", self.cargo.sent)

    def _undefine(self) -> None:
        """Both sides are looked at right before. Only what is read afterwards says whether it is gone."""
        self._verify()
        definition = self.here.definition(self.cargo.uuid)
        if definition is None:
            return
        self._is_still(definition)
        refused: ReconcilerError | None = None
        self.cargo.undefined = "begun"
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
        left.unmet += [f"{text} The same command looks again." for text in self.pending]
        code = ExitCode.PARTIAL if left.unmet or left.notes else ExitCode.ROLLED_BACK
        return MoveResult(code, why, left.unmet, left.notes)

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
            self.journal.write("end", at=now(), code=int(result.code), unmet=[*result.unmet, *result.notes])
            if result.code == ExitCode.PARTIAL and result.over:
                self.journal.write("taken-back", at=now())
        except ReconcilerError as error:
            result.notes.append(f"The journal has no end, so it counts as interrupted: {error.detail}")
        return result
