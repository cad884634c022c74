"""What the tool has to say about a file, a plan or a host: collected, returned together, shown at the end.

The summary is a constant sentence that readers come to know; names and values are in the detail, in the
order: what is wrong, why it matters, what to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One finding. ``code`` is stable and meant for machines (``pool-oversubscribed``)."""

    severity: Severity
    code: str
    summary: str
    detail: str = ""
    address: str = ""
    """Address of the thing in the state file, "" when it is about the whole."""
    path: str = ""
    line: int = 0
    """1-based; 0 when it has no place in a file."""
    column: int = 0


class ReconcilerError(Exception):
    """An error with an exit code of the table; the command line prints it without a traceback."""

    def __init__(self, summary: str, detail: str = "", *, code: int = 1) -> None:
        super().__init__(summary)
        self.summary = summary
        self.detail = detail
        self.code = code


class StateFileError(ReconcilerError):
    """The state file is invalid; ``diagnostics`` has every error that was found in it."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        super().__init__("The state file is invalid.", code=65)
        self.diagnostics = diagnostics
