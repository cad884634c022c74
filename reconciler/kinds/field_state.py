"""The outcome of comparing one declared field with the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Status = Literal[
    "same", "different", "parent-missing", "unknown", "unverifiable", "deferred", "pending-reboot", "pending-restart"
]
"""``parent-missing``: the VF or pool that would have this field isn't there, which is counted with its parent.
``unverifiable``: the driver can't report it."""


@dataclass(slots=True)
class FieldState:
    """One declared field: what was asked for and what is."""

    address: str
    field: str
    identity: str
    """Key of the ledger: ``pci/0000:01:00.0/3``."""
    declared: Any
    observed: Any
    status: Status
    note: str = ""
    holder: str = ""
    """Who has the VF that this field belongs to."""
    written: bool = True
    """For ``unverifiable``: whether it was written in this boot."""
    unmoved: bool = False
    """The host still has what was applied last, which `observed` tells in the terms of another declaration: of a list
    only what is declared now, of huge pages another node. So it is the file that has moved."""

    @property
    def differs(self) -> bool:
        """Whether a plan has to do something about it."""
        unwritten = self.status == "unverifiable" and not self.written
        return unwritten or self.status in ("different", "parent-missing")
