"""The drift document, ``reconciler-drift/1``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from reconciler.diagnostics import Diagnostic
from reconciler.host.model import HostIdentity
from reconciler.plan.document import Source

DRIFT_FORMAT = "reconciler-drift/1"

Label = Literal[
    "in-sync",
    "drift",
    "pending",
    "conflict",
    "unrecorded",
    "deferred",
    "pending-reboot",
    "pending-restart",
    "unverifiable",
    "unknown",
]
LABELS: tuple[Label, ...] = (
    "drift",
    "conflict",
    "unrecorded",
    "unknown",
    "pending",
    "deferred",
    "pending-reboot",
    "pending-restart",
    "unverifiable",
    "in-sync",
)
"""The order in which they are shown."""
MOVED: frozenset[Label] = frozenset({"drift", "conflict", "unrecorded"})
"""What makes `drift` exit with 2."""


@dataclass(slots=True)
class DriftField:
    """One declared field, labelled. In-sync fields are counted and not listed."""

    address: str
    field: str
    label: Label
    declared: Any
    applied: Any
    observed: Any
    holder: str = ""
    """Who has the VF: ``guest web1 (ua-rec-data)``."""
    source: int = 0
    """Line in the state file."""
    note: str = ""


@dataclass(slots=True)
class Drift:
    """The whole document."""

    host: HostIdentity
    source: Source
    verdict: Literal["in-sync", "drift", "unknown"] = "in-sync"
    counts: dict[str, int] = field(default_factory=dict)
    fields: list[DriftField] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    created_at: str = ""
    applied_at: str = ""
    """When an apply last carried something out here; "" when that is not known."""
    ignored: int = 0
    """Fields that differ and were left out by ``--ignore``."""


def drift_to_json(drift: Drift) -> dict[str, Any]:
    """The document as JSON data."""
    return {
        "format": DRIFT_FORMAT,
        "created_at": drift.created_at,
        "applied_at": drift.applied_at,
        "host": asdict(drift.host),
        "source": {k: v for k, v in asdict(drift.source).items() if v is not None},
        "verdict": drift.verdict,
        "counts": drift.counts,
        "ignored": drift.ignored,
        "fields": [{**asdict(item), "source": {"line": item.source}} for item in drift.fields],
        "diagnostics": [
            {
                "severity": d.severity,
                "code": d.code,
                "summary": d.summary,
                "detail": d.detail,
                "address": d.address,
            }
            for d in drift.diagnostics
        ],
    }
