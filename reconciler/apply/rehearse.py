"""A plan, carried out on a twin of the host by the same executor: what each step takes and what guests lose meanwhile.

Nothing but the twin is written to. Its seconds are estimates, and pass at once.
"""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.apply.outcome import OutcomeKind
from reconciler.apply.run import RunResult, carry_out
from reconciler.clock import Clock
from reconciler.host.model import Snapshot
from reconciler.host.protocol import HostError
from reconciler.host.twin.clock import settle
from reconciler.host.twin.host import TwinHost
from reconciler.host.twin.state import Loss, Twin
from reconciler.kinds.action import Action
from reconciler.plan.document import Plan
from reconciler.state.desired import Desired


@dataclass(slots=True)
class Moment:
    """When an action was begun and how long it took, in seconds of the twin."""

    id: str
    at: float
    seconds: float
    outcome: OutcomeKind
    error: str = ""


@dataclass(slots=True)
class Rehearsal:
    """What came of it."""

    result: RunResult
    moments: list[Moment]
    losses: list[Loss]
    """What running guests lost, and until when."""
    seconds: float
    """All of it."""
    after: Snapshot
    """The twin at the end."""


@dataclass(slots=True)
class _Stopwatch:
    """A progress that only looks at the clock."""

    clock: Clock
    began: dict[str, float] = field(default_factory=dict)
    moments: list[Moment] = field(default_factory=list)

    def start(self, total: int) -> None:
        """Nothing has happened yet."""

    def begin(self, action: dict[str, object]) -> None:
        """Notes the time."""
        self.began[str(action["id"])] = self.clock.monotonic()

    def end(self, action_id: str, outcome: OutcomeKind, seconds: float, error: str) -> None:
        """Notes how long it took; what was left out took nothing."""
        took = 0.0 if outcome == "skipped" else seconds
        self.moments.append(Moment(action_id, self.began[action_id], took, outcome, error))

    def finish(self) -> None:
        """Nothing follows."""


def rehearse(plan: Plan, desired: Desired, observed: Snapshot, twin: TwinHost, fail_at: int = 0) -> Rehearsal:
    """Carries a plan out on a twin. ``fail_at``: the number of an action, from 1, that the twin is to refuse."""
    watch = _Stopwatch(twin)
    began = twin.monotonic()
    with tempfile.TemporaryDirectory(prefix="reconciler-rehearsal-") as folder:
        result = carry_out(
            plan,
            desired,
            observed,
            reader=twin,
            writer=twin,
            state_dir=Path(folder),
            progress=watch,
            stopped=lambda: False,
            before=_refuse(plan.actions[fail_at - 1].id if fail_at else ""),
        )
    seconds = twin.monotonic() - began
    with twin.changing() as truth:
        settle(truth)  # A link that comes back and a VF that is reset are no loss for good.
    for moment in watch.moments:
        moment.at -= began
    losses = twin.losses()
    for loss in losses:
        loss.since -= began
        loss.until = None if loss.until is None else loss.until - began
    return Rehearsal(result, watch.moments, losses, seconds, twin.observe())


def stage(twin: Twin) -> TwinHost:
    """A twin to rehearse on: in memory, at rest, without a past, without faults, and with seconds that cost nothing."""
    twin.pace = 0.0
    settle(twin)
    twin.losses, twin.faults, twin.writes, twin.reads = [], [], 0, 0
    return TwinHost(twin)


def _refuse(chosen: str) -> Callable[[Action], None]:
    def before(action: Action) -> None:
        if action.id == chosen:
            raise HostError("The step failed, as it was told to.", "This is the rehearsed failure.", errno=errno.EIO)

    return before
