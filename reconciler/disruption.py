"""Disruption classes: who notices a change, from nobody to the operator's own connection."""

from __future__ import annotations

from reconciler.state.desired import Disruption

CLASSES: tuple[Disruption, ...] = ("none", "vf-traffic", "vf-reset", "guest", "management")
"""Disruption classes from mild to severe."""

MEANING: dict[str, str] = {
    "none": "nobody notices",
    "vf-traffic": "a VF in use may lose packets for a moment",
    "vf-reset": "VFs that nobody holds are destroyed and made again",
    "guest": "a running guest loses a NIC or its link, or the host a VF that it uses",
    "management": "a PF that the host itself uses may lose its link",
}
"""What each class means for those who notice."""


def severity(disruption: Disruption) -> int:
    """The rank of a disruption class, 0 for ``none``."""
    return CLASSES.index(disruption)


def worst(*classes: Disruption) -> Disruption:
    """The most severe of some classes; ``none`` of no class."""
    return max(classes, key=severity, default="none")
