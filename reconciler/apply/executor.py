"""Carries actions out, one after the other: read, write, read back until a deadline; decides nothing.

What is already as the action would make it isn't written. A failed action stops only what needs it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from reconciler.apply.journal import Journal
from reconciler.apply.perform import perform, vf_request
from reconciler.diagnostics import ReconcilerError
from reconciler.host.model import Applied, Snapshot
from reconciler.host.protocol import HostError, Reader, Scope, VfSet, Writer
from reconciler.kinds.action import Action
from reconciler.kinds.holders import find_holders
from reconciler.kinds.operations import OPERATIONS
from reconciler.kinds.vf.operations import target

OutcomeKind = Literal["changed", "unchanged", "failed", "skipped"]


@dataclass(slots=True)
class Outcome:
    """What became of one action."""

    id: str
    outcome: OutcomeKind
    error: str = ""
    seconds: float = 0.0


class Progress(Protocol):
    """Who is told while it happens."""

    def start(self, total: int) -> None: ...

    def begin(self, action: dict[str, object]) -> None: ...

    def end(self, action_id: str, outcome: OutcomeKind, seconds: float, error: str) -> None: ...

    def finish(self) -> None: ...


@dataclass(slots=True)
class Executor:
    """Runs the actions of one plan on one host."""

    reader: Reader
    writer: Writer
    host: Snapshot
    """What was observed last; kept up to date part by part."""
    journal: Journal
    progress: Progress
    run: str
    stopped: Callable[[], bool] = lambda: False
    """Asked before each step: an interrupt ends the run after the step under way."""
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def execute(self, actions: Sequence[Action]) -> list[Outcome]:
        """All actions, in order; the outcome of each."""
        self.progress.start(len(actions))
        try:
            for batch in _batches(actions):
                self._batch(batch)
        finally:
            self.progress.finish()
        return [self.outcomes[action.id] for action in actions]

    def _batch(self, batch: list[Action]) -> None:
        ready = []
        for action in batch:
            self.progress.begin({"id": action.id, "op": action.op, "address": action.address, "args": action.args})
            why = self._why_not(action)
            if why:
                self._end(Outcome(action.id, "skipped", why))
            else:
                ready.append(action)
        if not ready:
            return
        started = time.monotonic()
        try:
            self.journal.write("begin", actions=[action.id for action in ready])
        except ReconcilerError as error:
            self._end_all(ready, error)
            return
        found = self._set_many(ready) if len(ready) > 1 else [self._one(ready[0])]
        for outcome in found:
            outcome.seconds = time.monotonic() - started
            self._end(outcome)
        self._journal_done(found)

    def _why_not(self, action: Action) -> str:
        if self.stopped():
            return "interrupted before it"
        lacking = [need for need in action.needs if self._failed(need)]
        return f"needs {', '.join(lacking)}" if lacking else ""

    def _failed(self, need: str) -> bool:
        outcome = self.outcomes.get(need)
        return outcome is not None and outcome.outcome in ("failed", "skipped")

    def _end_all(self, actions: list[Action], error: ReconcilerError) -> None:
        for action in actions:
            self._end(Outcome(action.id, "failed", f"{error.summary} {error.detail}".strip()))

    def _end(self, outcome: Outcome) -> None:
        self.outcomes[outcome.id] = outcome
        self.progress.end(outcome.id, outcome.outcome, outcome.seconds, outcome.error)

    def _journal_done(self, found: list[Outcome]) -> None:
        record = {o.id: {"outcome": o.outcome, "error": o.error, "seconds": round(o.seconds, 3)} for o in found}
        try:
            self.journal.write("done", actions=[outcome.id for outcome in found], outcomes=record)
        except ReconcilerError as error:
            for outcome in found:
                outcome.error = f"{outcome.error} {error.summary} {error.detail}".strip()

    def _one(self, action: Action) -> Outcome:
        operation = OPERATIONS[action.op]
        deadline = operation.deadline(action.args)
        try:
            self._read(action)
            if action.op != "pf.wait_link" and operation.satisfied(self.host, action.args) is True:
                return Outcome(action.id, "unchanged")
            self._still_free(action)
            perform(self.writer, self.host, action.op, action.args, deadline)
            self._read(action)
            self._wait(action, deadline)
        except ReconcilerError as error:
            return Outcome(action.id, "failed", f"{error.summary} {error.detail}".strip())
        return Outcome(action.id, "changed")

    def _read(self, action: Action) -> None:
        self.reader.refresh(self.host, OPERATIONS[action.op].scope(action.args))
        if action.op == "vf.set" and "alias" in action.args:
            vf = target(self.host, action.args)
            if vf is not None:
                self.reader.refresh(self.host, Scope("pf", vf[0]))

    def _wait(self, action: Action, deadline: float) -> None:
        """Reads back, after a first reading, until the effect is there; what the host can't report counts once it was
        accepted."""
        until, pause = time.monotonic() + deadline, 0.02
        while True:
            seen = OPERATIONS[action.op].satisfied(self.host, action.args)
            if seen is None:
                self._note_unverifiable(action)
            if seen is not False:
                return
            if time.monotonic() >= until:
                raise _not_seen(action, deadline)
            time.sleep(min(pause, max(0.0, until - time.monotonic())))
            pause = min(pause * 1.5, 0.5)
            self._read(action)

    def _note_unverifiable(self, action: Action) -> None:
        vf = target(self.host, action.args)
        if vf is None:
            return
        reported = (self.host.pfs[vf[0]].vf(vf[1]).attributes or {}) if vf[0] in self.host.pfs else {}  # type: ignore[union-attr]
        applied = self.host.ledger.setdefault(f"{vf[0]}/{vf[1]}", {})
        for name, value in action.args["set"].items():
            if name not in reported:
                applied[name] = Applied(value, self.host.host.boot_id, self.run)

    def _still_free(self, action: Action) -> None:
        """Holders are read again right before VFs are destroyed: somebody may have taken one since the plan."""
        if action.op != "pf.set_numvfs" or action.args["vfs"] != 0:
            return
        fresh = self.reader.observe()
        fresh.ledger = self.host.ledger
        self.host = fresh
        held = [
            f"VF {vf[1]}: {holder}"
            for vf, holders in find_holders(fresh).items()
            if vf[0] == action.args["pf"]
            for holder in holders
            if holder.kind != "host"
        ]
        if held:
            raise HostError("The VFs are in use now.", f"{'; '.join(held)}. Nothing was written.")

    def _set_many(self, batch: list[Action]) -> list[Outcome]:
        """Many ``vf.set`` on one PF: one reading, one sending, one reading back; a result for each."""
        pf = batch[0].args["pf"]
        outcomes = {action.id: Outcome(action.id, "unchanged") for action in batch}
        try:
            self.reader.refresh(self.host, Scope("pf", pf))
            todo = [a for a in batch if OPERATIONS["vf.set"].satisfied(self.host, a.args) is not True]
            errors = self.writer.set_vfs(pf, list(self._requests(todo))) if todo else []
        except ReconcilerError as error:
            said = f"{error.summary} {error.detail}".strip()
            return [Outcome(action.id, "failed", said) for action in batch]
        for action, refused in zip(todo, errors, strict=True):
            if refused is not None:
                outcomes[action.id] = Outcome(action.id, "failed", f"{refused.summary} {refused.detail}".strip())
        accepted = [action for action in todo if outcomes[action.id].outcome == "unchanged"]
        if accepted:
            self.reader.refresh(self.host, Scope("pf", pf))
        for action in accepted:
            outcomes[action.id] = self._verified(action)
        return list(outcomes.values())

    def _requests(self, actions: list[Action]) -> Iterator[VfSet]:
        """Requests completed one after the other, each from what the ones before will have made."""
        for action in actions:
            yield vf_request(self.host, action.args)[1]

    def _verified(self, action: Action) -> Outcome:
        operation = OPERATIONS[action.op]
        try:
            self._wait(action, operation.deadline(action.args))
        except ReconcilerError as error:
            return Outcome(action.id, "failed", f"{error.summary} {error.detail}".strip())
        return Outcome(action.id, "changed")


def _not_seen(action: Action, deadline: float) -> HostError:
    hint = ""
    if action.op == "nic.detach" and action.args["live"]:
        hint = " The guest has not answered the unplug request: is it up, and does its kernel support hot-plug?"
    elif action.op == "pf.wait_link":
        hint = " There is no carrier: check the cable and the switch port."
    return HostError("The effect was not seen.", f"It was still not there {deadline:.0f} s after the request.{hint}")


def _batches(actions: Sequence[Action]) -> Iterator[list[Action]]:
    """Consecutive ``vf.set``s on one PF together, everything else alone."""
    batch: list[Action] = []
    for action in actions:
        together = action.op == "vf.set" and "pf" in action.args
        if batch and not (together and batch[0].args.get("pf") == action.args.get("pf")):
            yield batch
            batch = []
        if together:
            batch.append(action)
        else:
            yield [action]
    if batch:
        yield batch
