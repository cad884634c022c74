"""What becomes of an action, and who is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from reconciler.diagnostics import ReconcilerError
from reconciler.kinds.action import Action

OutcomeKind = Literal["changed", "unchanged", "failed", "skipped", "undone"]
"""``undone``: it was changed, and taken back."""


@dataclass(slots=True)
class Outcome:
    """What became of one action."""

    id: str
    outcome: OutcomeKind
    error: str = ""
    seconds: float = 0.0
    written: bool = False
    """The host was asked for it: if it failed, it may have taken effect all the same."""

    @property
    def done(self) -> bool:
        """Whether the host is as the action makes it."""
        return self.outcome in ("changed", "unchanged")


def to_take_back(outcomes: Iterable[Outcome]) -> set[str]:
    """Ids of the actions that have changed something, or may have: each is judged by what is observed."""
    return {o.id for o in outcomes if o.outcome == "changed" or (o.outcome == "failed" and o.written)}


class Progress(Protocol):
    """Who is told while it happens."""

    def start(self, total: int) -> None: ...

    def begin(self, action: dict[str, object]) -> None: ...

    def end(self, action_id: str, outcome: OutcomeKind, seconds: float, error: str) -> None: ...

    def finish(self) -> None: ...


def failed(action: Action, error: ReconcilerError) -> Outcome:
    return Outcome(action.id, "failed", f"{error.summary} {error.detail}".strip())
