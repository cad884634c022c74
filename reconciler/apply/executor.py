"""Carries actions out, round by round: read, write, read back until a deadline; decides nothing.

What is already as the action would make it isn't written. A failed action stops only what needs it.
"""

from __future__ import annotations

import contextlib
import errno
import traceback
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from reconciler.apply.journal import JOURNAL, Journal
from reconciler.apply.outcome import Outcome, Progress, failed
from reconciler.apply.perform import parts_of, perform, vf_request
from reconciler.apply.rounds import rounds
from reconciler.apply.taken import may_take
from reconciler.apply.turns import Order, give, next_turn, orders_of
from reconciler.apply.view import View
from reconciler.diagnostics import ReconcilerError
from reconciler.host.protocol import HostError, Scope, VfSet, Writer
from reconciler.kinds.action import Action
from reconciler.kinds.hang import MOST_HANGING
from reconciler.kinds.operations import OPERATIONS

_ALL_OR_NOTHING = frozenset({"kernel.set_cmdline", "vf.set", "pf.set_link", "pf.set_mtu", "pf.set_autoprobe"})
"""One value in one request: the kernel takes it or leaves it. And what puts all back that it changed."""
_NO_ANSWER = (errno.ETIMEDOUT, errno.ENOBUFS, errno.EPROTO, errno.EIO)
"""Errors that leave open whether the kernel took it."""


@dataclass(slots=True)
class Executor:
    """Runs the actions of one plan on one host."""

    view: View
    writer: Writer
    journal: Journal
    progress: Progress
    stopped: Callable[[], bool] = lambda: False
    """Asked before each step: an interrupt ends the run after the step under way."""
    before: Callable[[Action], None] = lambda action: None
    """Told right before the host is asked for an action; may raise `HostError` in its place."""
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    must_record: bool = True
    """Nothing is done that is not on record before it."""
    _written: set[str] = field(default_factory=set)
    """Actions that the host was asked for."""
    _requests: dict[str, VfSet] = field(default_factory=dict)
    """What the ``vf.set``s of the round come to, by what was read right before."""

    def execute(self, actions: Sequence[Action]) -> list[Outcome]:
        """All actions, in order; the outcome of each."""
        self._tell(lambda: self.progress.start(len(actions)))
        for batch in rounds(actions, self.view.host):
            self._batch(batch)
        self._tell(self.progress.finish)
        return [self.outcomes[action.id] for action in actions]

    def on_the_way_back(self) -> None:
        """From now on no interrupt stops it: half a way back is no place to be. Nor does a disk that is full: what is
        taken back is on record already."""
        self.stopped = lambda: False
        self.must_record = False

    def note_undone(self, ids: Collection[str]) -> None:
        """These actions were taken back."""
        noted = [self.outcomes[key] for key in ids]
        for outcome in noted:
            outcome.outcome = "undone"
        self._journal_done(noted)

    def note_attached(self, attaches: Iterable[Action]) -> None:
        """These attaches were not done, and their NICs attached by themselves: taking back has to begin with them. One
        whose NIC is as the action makes it is done."""
        noted = []
        for action in attaches:
            outcome = self.outcomes[action.id]
            if not outcome.done:
                as_planned = OPERATIONS[action.op].satisfied(self.view.host, action.args) is True
                outcome.outcome, outcome.written = "changed" if as_planned else "failed", True
                outcome.error = "" if as_planned else outcome.error
                noted.append(outcome)
        self._journal_done(noted)

    def _tell(self, tell: Callable[[], None]) -> None:
        """Progress is only told: a terminal that is gone neither ends nor fails a run."""
        with contextlib.suppress(Exception, SystemExit):  # rich exits when its pipe is broken.
            tell()

    def _batch(self, batch: list[Action]) -> None:
        self._tell(partial(self._tell_begun, batch))
        skipped = [Outcome(action.id, "skipped", why) for action in batch if (why := self._why_not(action))]
        self._end(skipped)
        left_out = {outcome.id for outcome in skipped}
        ready = [action for action in batch if action.id not in left_out]
        if not ready:
            return
        started = self.writer.clock.monotonic()
        try:
            self.journal.write("begin", actions=[action.id for action in ready])
        except ReconcilerError as error:
            if self.must_record:
                self._end([failed(action, error) for action in ready])
                return
        found = self._carry_out(ready)
        seconds = self.writer.clock.monotonic() - started
        for outcome in found:
            outcome.seconds, outcome.written = seconds, outcome.id in self._written
        self._end(found)
        self._journal_done(found)

    def _carry_out(self, ready: list[Action]) -> list[Outcome]:
        """A fault of our own is a failure of these actions, and no reason to leave what doesn't need them."""
        try:
            return self._side_by_side(ready) if len(ready) > 1 else [self._one(ready[0])]
        except Exception as error:  # noqa: BLE001
            fault = self._fault(error)
            return [failed(action, fault) for action in ready]

    def _fault(self, error: Exception) -> ReconcilerError:
        """What is said of an exception that nobody has foreseen; the journal gets its traceback."""
        if isinstance(error, ReconcilerError):
            return error
        with contextlib.suppress(ReconcilerError):
            self.journal.write("fault", traceback="".join(traceback.format_exception(error)))
        return HostError(
            f"{type(error).__name__}: {error}.",
            f"This is a fault in reconciler: please report it with {self.journal.folder / JOURNAL}, which has the "
            "traceback.",
        )

    def _why_not(self, action: Action) -> str:
        if self.stopped():
            return "interrupted before it"
        lacking = [need for need in action.needs if self._failed(need)]
        return f"needs {', '.join(lacking)}" if lacking else ""

    def _failed(self, need: str) -> bool:
        outcome = self.outcomes.get(need)
        return outcome is not None and not outcome.done

    def _end(self, found: Sequence[Outcome]) -> None:
        self.outcomes |= {outcome.id: outcome for outcome in found}
        self._tell(partial(self._tell_ended, found))

    def _tell_begun(self, batch: Sequence[Action]) -> None:
        for action in batch:
            told: dict[str, object] = {"id": action.id, "op": action.op, "address": action.address, "args": action.args}
            self.progress.begin(told)

    def _tell_ended(self, found: Sequence[Outcome]) -> None:
        for outcome in found:
            self.progress.end(outcome.id, outcome.outcome, outcome.seconds, outcome.error)

    def _journal_done(self, found: list[Outcome]) -> None:
        record = {
            o.id: {"outcome": o.outcome, "error": o.error, "seconds": round(o.seconds, 3), "written": o.written}
            for o in found
        }
        try:
            self.journal.write("done", actions=[outcome.id for outcome in found], outcomes=record)
        except ReconcilerError as error:
            for outcome in found:
                outcome.error = f"{outcome.error} {error.summary} {error.detail}".strip()

    def _one(self, action: Action) -> Outcome:
        operation = OPERATIONS[action.op]
        deadline = operation.deadline(action.args)
        self.view.forget_reading()
        try:
            self.view.read(action)
            if action.op != "pf.wait_link" and operation.satisfied(self.view.host, action.args) is True:
                return Outcome(action.id, "unchanged")
            taken = self.view.taken([action])
            if taken:
                raise taken[action.id]
            parts = parts_of(action, self.view.host)
            for part in parts:
                self._do(part, deadline)
            if len(parts) > 1:
                self.view.wait_for(action, deadline)
        except ReconcilerError as error:
            self._refused(action, error)
            return failed(action, error)
        return Outcome(action.id, "changed")

    def _refused(self, action: Action, error: ReconcilerError) -> None:
        """What the kernel refused as a whole, with an error number, was not written."""
        refused = isinstance(error, HostError) and error.errno not in (0, *_NO_ANSWER)
        if action.op in _ALL_OR_NOTHING and refused:
            self._written.discard(action.id)
        if isinstance(error, HostError) and error.errno == errno.ETIMEDOUT and "pf" in action.args:
            with contextlib.suppress(HostError):  # So that the next ones know that the kernel hangs.
                self.view.reader.refresh(self.view.host, Scope("pf", action.args["pf"]))

    def _do(self, part: Action, deadline: float) -> None:
        """Asks the host for one thing, and waits until it is there."""
        if part.op != "pf.wait_link" and OPERATIONS[part.op].satisfied(self.view.host, part.args) is True:
            return

        self.view.refuse_behind_a_hang(part)
        self.before(part)

        perform(partial(self._begin, part), self.view.host, part.op, part.args, deadline)
        self.view.wait_for(part, deadline)
        OPERATIONS[part.op].forget(self.view.host, part.args)

    def _side_by_side(self, batch: list[Action]) -> list[Outcome]:
        """A round: one reading, one sending, one reading back; a result for each."""
        outcomes = {action.id: Outcome(action.id, "unchanged") for action in batch}
        try:
            if not self.view.just_read(batch):
                self.view.read_pfs(batch)
        except ReconcilerError as error:
            return [failed(action, error) for action in batch]
        todo = [
            a for a in batch if a.op == "pf.wait_link" or OPERATIONS[a.op].satisfied(self.view.host, a.args) is not True
        ]
        taken = self._held(todo)
        ready = []
        for action in todo:
            try:
                if action.id in taken:
                    raise taken[action.id]
                self.view.refuse_behind_a_hang(action)
                if action.op == "vf.set":
                    _, self._requests[action.id] = vf_request(self.view.host, action.args)
                self.before(action)
                ready.append(action)
            except Exception as error:  # noqa: BLE001
                outcomes[action.id] = failed(action, self._fault(error))
        if ready:
            self._send(ready, outcomes)
        return list(outcomes.values())

    def _held(self, actions: list[Action]) -> dict[str, ReconcilerError]:
        """`_taken`, with a reading that fails as the error of each action that it was for."""
        try:
            return {**self.view.taken(actions)}
        except ReconcilerError as error:
            return {action.id: error for action in actions if may_take(action)}

    def _send(self, ready: list[Action], outcomes: dict[str, Outcome]) -> None:
        """Sends all at once, reads once, and looks for the effect of each that was accepted."""
        refused = self._ask_together(ready)
        accepted = []
        for action in ready:
            error = refused.get(action.id)
            if error is None:
                accepted.append(action)
            else:
                outcomes[action.id] = failed(action, error)
        if accepted:
            with contextlib.suppress(HostError):  # What was not read now is read while waiting for its effect.
                self.view.read_pfs(accepted, back=True)
        for action in accepted:
            outcomes[action.id] = self._verified(action)

    def _ask_together(self, ready: list[Action]) -> dict[str, ReconcilerError]:
        """Asks the host for all of these, turn by turn. The errors of those that were refused, or not sent."""
        self.view.forget_reading()
        refused: dict[str, ReconcilerError] = {}
        waiting, first = orders_of(ready), True
        while waiting:
            turn, waiting = next_turn(waiting, MOST_HANGING - len(self.view.host.hangs))
            if not first:
                turn = self._still_good(turn, refused)
            first = False
            given = give(self.writer, turn, partial(self._ask, refused=refused))
            for order, error in given.errors:
                fault = self._fault(error)
                refused |= {action.id: fault for action in order}
            for action in (action for order in turn for action in order if action.id in refused):
                self._refused(action, refused[action.id])
            waiting = given.not_begun + waiting
        return refused

    def _still_good(self, turn: list[Order], refused: dict[str, ReconcilerError]) -> list[Order]:
        """What of a later turn can still be sent: what it was to be sent on was read before the turns that went before
        it, which may have taken their time, or hang."""
        actions = [action for order in turn for action in order]
        try:
            if any(may_take(action) or action.op == "vf.set" for action in actions):
                self.view.read_pfs(actions)
        except ReconcilerError as error:
            refused |= {action.id: error for action in actions}
            return []
        refused |= self._held(actions)
        for action in actions:
            try:
                self.view.refuse_behind_a_hang(action)
                if action.op == "vf.set":
                    _, self._requests[action.id] = vf_request(self.view.host, action.args)
            except ReconcilerError as error:
                refused.setdefault(action.id, error)
        left = [[action for action in order if action.id not in refused] for order in turn]
        return [order for order in left if order]

    def _ask(self, group: Order, refused: dict[str, ReconcilerError]) -> None:
        """Runs beside others of its kind, and touches nothing of theirs."""
        first = group[0]
        if first.op != "vf.set":
            deadline = OPERATIONS[first.op].deadline(first.args)
            perform(partial(self._begin, first), self.view.host, first.op, first.args, deadline)
            return
        requests = [self._requests[action.id] for action in group]
        self._written.update(action.id for action in group)
        errors = self.writer.set_vfs(first.args["pf"], requests)
        refused.update({a.id: error for a, error in zip(group, errors, strict=True) if error is not None})

    def _begin(self, action: Action) -> Writer:
        self._written.add(action.id)
        return self.writer

    def _verified(self, action: Action) -> Outcome:
        operation = OPERATIONS[action.op]
        try:
            if operation.satisfied(self.view.host, action.args) is not True:
                self.view.wait_for(action, operation.deadline(action.args), read=False)
            operation.forget(self.view.host, action.args)
        except Exception as error:  # noqa: BLE001
            return failed(action, self._fault(error))
        return Outcome(action.id, "changed")
