"""What a check for drift came to, as metrics of Prometheus in its text format.

Names and units follow https://prometheus.io/docs/practices/naming/: gauges, base units, seconds since 1970. They have
no label for the host: whoever collects the file adds one.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from reconciler.clock import seconds
from reconciler.plan.drift_document import LABELS

KINDS = ("kernel", "modules", "services", "hugepages", "pf", "vf", "pool", "domain", "nic")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_NESTED = ("vf", "nic")
"""Kinds whose addresses are those of another thing and more: ``pf.int.vf.3``."""


def kind_of(address: str) -> str:
    """``vf`` of ``pf.int.vf.3``, ``pool`` of ``pool."a.b"``."""
    parts = _QUOTED.sub("x", address).split(".")
    return parts[2] if len(parts) > 3 and parts[2] in _NESTED else parts[0]


def render_metrics(document: dict[str, Any] | None, *, code: int, checked_at: str, applied_at: str) -> str:
    """The metrics of a ``reconciler-drift/1`` document. ``None``: there is none, since the check failed; then nothing
    is said of fields, of other owners and of a reboot, and in_sync is 0. ``code``: the exit code of drift. The moments
    are as `reconciler.clock.now` writes them; ``applied_at`` may be ""."""
    from prometheus_client import CollectorRegistry, Gauge, generate_latest

    registry = CollectorRegistry()

    def gauge(name: str, meaning: str, value: float) -> None:
        Gauge(f"reconciler_{name}", meaning, registry=registry).set(value)

    in_sync = document is not None and document["verdict"] == "in-sync"
    gauge("in_sync", "1: all that the state file declares was compared, and nothing has moved. Else 0.", in_sync)
    gauge("last_check_timestamp_seconds", "When drift was last checked, whatever came of it.", seconds(checked_at))
    gauge(
        "last_check_exit_code",
        "0: in sync. 2: drift. 8: something could not be observed. Any other: there was no check.",
        code,
    )
    gauge(
        "last_apply_timestamp_seconds",
        "When apply last carried something out on this host. 0: never, or not known.",
        seconds(applied_at) if applied_at else 0,
    )
    if document is not None:
        counts = document["counts"]
        gauge(
            "pending_reboot",
            "1: something is written and becomes effective with a reboot.",
            counts.get("pending-reboot", 0) > 0,
        )
        gauge(
            "other_owners",
            "Files of other tools that set a declared PF or its VFs otherwise, once by PF. They win when they run.",
            sum(item["code"] == "another-owner-differs" for item in document["diagnostics"]),
        )
        gauge("checked_fields", "Declared fields that were looked at.", sum(counts.values()))
        gauge("ignored_fields", "Fields that differ and were left out by --ignore.", document["ignored"])
        _add_fields(registry, document["fields"])
    return generate_latest(registry).decode()


def _add_fields(registry: Any, fields: list[dict[str, Any]]) -> None:
    """A series for each label and kind, also of those that have none: what isn't there can't be compared with 0."""
    from prometheus_client import Gauge

    found = Counter((item["label"], kind_of(item["address"])) for item in fields)
    series = {(label, kind): 0 for label in LABELS if label != "in-sync" for kind in KINDS} | found
    family = Gauge(
        "reconciler_drift_fields",
        "Declared fields that are not in sync, by label and by kind of thing.",
        ["label", "kind"],
        registry=registry,
    )
    for (label, kind), count in series.items():
        family.labels(label, kind).set(count)
