"""The ``reconciler-doctor/1`` document: what was found, why it matters, what to do about it, and what is fine."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from reconciler.host.model import HostIdentity
from reconciler.plan.document import Source, Tool

DOCTOR_FORMAT = "reconciler-doctor/1"
FindingSeverity = Literal["problem", "warning", "note"]


@dataclass(slots=True)
class Finding:
    """Something that stands in the way, may do so, or is good to know. All texts are full sentences."""

    severity: FindingSeverity
    """``problem``: it will not work; ``warning``: it may not, or not always; ``note``: it works, and yet."""
    code: str
    """Stable, for machines: ``iommu-off``."""
    subject: str
    """What was looked at: ``IOMMU``, ``enp1s0``, ``libvirt``, ``guest web1``."""
    seen: str
    why: str = ""
    todo: str = ""
    address: str = ""
    """Address in the state file; "" when it is about the host."""
    line: int = 0
    """In the state file; 0: none."""


@dataclass(slots=True)
class Checked:
    """Something that was looked at and is fine."""

    subject: str
    seen: str


@dataclass(slots=True)
class Unchecked:
    """A check that was left out, in whole or in part, since what it looks at is not known."""

    subject: str
    missing: str
    """What is not known, as the end of a sentence: ``the host's IOMMU groups``."""


@dataclass(slots=True)
class Report:
    """All of it. The field names are the JSON names."""

    format: str = DOCTOR_FORMAT
    tool: Tool = field(default_factory=Tool)
    host: HostIdentity = field(default_factory=HostIdentity)
    source: Source | None = None
    """The state file; null without one."""
    verdict: Literal["ok", "problems", "incomplete"] = "ok"
    """``problems``: at least one finding is a problem; else ``incomplete``: a check was left out."""
    findings: list[Finding] = field(default_factory=list)
    """Problems, warnings, notes; each in the order in which things depend on each other."""
    checked: list[Checked] = field(default_factory=list)
    unchecked: list[Unchecked] = field(default_factory=list)
    """Checks that this host, or this file, needs and that were left out: nothing is said about their subjects."""
    unread: list[str] = field(default_factory=list)
    """What could not be read, and why."""


def report_to_json(report: Report) -> dict[str, Any]:
    """The document as JSON data."""
    return asdict(report)


def doctor_schema() -> dict[str, Any]:
    """JSON Schema of the document."""
    from pydantic import TypeAdapter

    schema = TypeAdapter(Report).json_schema(mode="serialization")
    schema["properties"]["format"]["const"] = DOCTOR_FORMAT
    schema["required"] = ["format", "tool", "host", "source", "verdict", "findings", "checked"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
