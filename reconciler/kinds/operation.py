"""What an operation is: data in the plan, and here what it means: its scope, its effect, how its effect is seen.

`Operation.simulate` and `Operation.satisfied` belong together: after the one the other holds. Planning simulates;
apply reads back and asks `satisfied`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reconciler.host.model import Snapshot
from reconciler.host.protocol import Scope
from reconciler.state.checks import Check

Args = dict[str, Any]


def nothing_to_forget(host: Snapshot, args: Args) -> None:
    """What most operations leave in the ledger as it is: all of it."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the plan document."""

    name: str
    arguments: Check
    """What it can be asked for: a saved plan is held against it before anything else looks at its arguments."""
    scope: Callable[[Args], Scope]
    """The part of the host that has to be read to see its effect."""
    satisfied: Callable[[Snapshot, Args], bool | None]
    """Whether the host is as the operation would make it; ``None``: the host can't say."""
    simulate: Callable[[Snapshot, Args], None]
    """Makes the predicted effect in a snapshot, in place."""
    fell_short: Callable[[Snapshot, Args], str] = lambda host, args: ""
    """Why its effect will not be seen any more, although the host took it; "" as long as it may."""
    forget: Callable[[Snapshot, Args], None] = nothing_to_forget
    """What the ledger no longer knows once it is done: called by planning and by apply alike."""
    deadline: Callable[[Args], float] = lambda args: 10.0
    """Seconds until its effect must be seen."""


def pf_scope(args: Args) -> Scope:
    """The PF that the arguments name."""
    return Scope("pf", args["pf"])


def pool_scope(args: Args) -> Scope:
    """The pool that the arguments name."""
    return Scope("pool", args["pool"])


def domain_scope(args: Args) -> Scope:
    """The domain that the arguments name."""
    return Scope("domain", args["domain"])


def modules_scope(args: Args) -> Scope:
    """The kernel's modules and modprobe's configuration."""
    return Scope("modules", "")
