"""What a plan is made of: an action is an operation with its arguments, what it needs, whom it disturbs, and its undo.

Data without behaviour, so that a plan can be saved, reviewed, compared and carried out later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from reconciler.state.desired import Disruption

Json = Any
"""What JSON can hold: values of fields and arguments of operations."""


@dataclass(slots=True)
class Impact:
    """Who notices. ``domains``: running guests, with their NIC in ``nics`` (``web1: ua-rec-data``)."""

    disruption: Disruption = "none"
    domains: list[str] = field(default_factory=list)
    nics: list[str] = field(default_factory=list)
    host: list[str] = field(default_factory=list)
    """How the host itself uses what is touched (``enp1s0: address 192.0.2.1/24``)."""


@dataclass(slots=True)
class Step:
    """An operation with its arguments: what a host can be asked to do."""

    op: str
    address: str
    args: dict[str, Json] = field(default_factory=dict)


@dataclass(slots=True)
class Undo:
    """The steps that take an action back, in order; or the reason why none can."""

    steps: list[Step] = field(default_factory=list)
    impossible: str = ""


@dataclass(slots=True)
class Action:
    """One step of the plan. ``needs``: ids of actions that must have succeeded."""

    id: str
    op: str
    address: str
    args: dict[str, Json] = field(default_factory=dict)
    needs: list[str] = field(default_factory=list)
    undo: Undo = field(default_factory=Undo)
    impact: Impact = field(default_factory=Impact)

    @property
    def disruption(self) -> Disruption:
        """The class of this action alone."""
        return self.impact.disruption
