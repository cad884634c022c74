"""Disruption classes: who notices a change, from nobody to the operator's own connection."""

from __future__ import annotations

from reconciler.state.desired import Disruption

CLASSES: tuple[Disruption, ...] = ("none", "vf-traffic", "vf-reset", "guest", "management")
"""Disruption classes from mild to severe."""


def severity(disruption: Disruption) -> int:
    """The rank of a disruption class, 0 for ``none``."""
    return CLASSES.index(disruption)


def worst(*classes: Disruption) -> Disruption:
    """The most severe of some classes; ``none`` of no class."""
    return max(classes, key=severity, default="none")
