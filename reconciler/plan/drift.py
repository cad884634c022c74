"""Drift: every declared field, labelled by what was declared, last applied and observed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from reconciler.host.model import Applied, Snapshot
from reconciler.kinds.field_state import FieldState
from reconciler.kinds.registry import compare_all
from reconciler.kinds.resolution import Resolution
from reconciler.kinds.resolve import resolve
from reconciler.plan.checks_owners import check_owners
from reconciler.plan.checks_pools import check_pools
from reconciler.plan.document import Source
from reconciler.plan.drift_document import LABELS, MOVED, Drift, DriftField, Label
from reconciler.plan.select import within
from reconciler.state.desired import Desired


def find_drift(
    desired: Desired,
    observed: Snapshot,
    *,
    source: Source | None = None,
    created_at: str = "",
    applied_at: str = "",
    ignore: Sequence[str] = (),
) -> Drift:
    """Compares and labels. ``ignore``: ``ADDRESS.FIELD`` or ``ADDRESS``, which are left out and counted."""
    resolution = resolve(desired, observed)
    states = [s for s in compare_all(resolution, observed) if s.status != "parent-missing"]
    states += _missing(desired, resolution, states)
    drift = Drift(observed.host, source or Source(), created_at=created_at, applied_at=applied_at)
    drift.diagnostics = [d for d in resolution.diagnostics if d.severity != "note"]
    # Nothing that is declared differs for it: worth knowing, and no drift.
    drift.diagnostics += [replace(d, severity="warning") for d in check_pools(resolution, observed, observed)]
    drift.diagnostics += [d for d in check_owners(resolution, observed) if d.severity != "note"]
    counts = dict.fromkeys(LABELS, 0)
    for state in states:
        item = _label(desired, observed, state)
        if item.label != "in-sync" and _ignored(item, ignore):
            drift.ignored += 1
            continue
        counts[item.label] += 1
        if item.label != "in-sync":
            drift.fields.append(item)
    drift.fields.sort(key=lambda item: LABELS.index(item.label))
    drift.counts = {label: count for label, count in counts.items() if count}
    if any(counts[label] for label in MOVED):
        drift.verdict = "drift"
    elif counts["unknown"]:
        drift.verdict = "unknown"
    return drift


def _ignored(item: DriftField, ignore: Sequence[str]) -> bool:
    return any(within(f"{item.address}.{item.field}", pattern) for pattern in ignore)


def _missing(desired: Desired, resolution: Resolution, states: list[FieldState]) -> list[FieldState]:
    """What the file declares and the host doesn't have at all, each as one unknown field. What is optional may be
    missing."""
    told = {state.address for state in states}
    return [
        FieldState(d.address, "match", d.address, _match(desired, d.address), None, "unknown", d.detail)
        for d in resolution.diagnostics
        if d.severity == "error" and d.address not in told and d.code != "libvirt-unavailable"
    ]


def _match(desired: Desired, where: str) -> Any:
    kind, _, name = where.partition(".")
    pf = desired.pfs.get(name) if kind == "pf" else None
    if pf is None:
        return "present"
    return {
        key: value
        for key in ("name", "address", "mac", "vendor", "device")
        if (value := getattr(pf.match, key)) is not None
    }


def _label(desired: Desired, observed: Snapshot, state: FieldState) -> DriftField:
    applied = observed.ledger.get(state.identity, {}).get(state.field)
    return DriftField(
        address=state.address,
        field=state.field,
        label=_label_of(state, applied),
        declared=state.declared,
        applied=applied.value if applied is not None else None,
        observed=state.observed,
        holder=state.holder,
        source=desired.line(state.address, state.field),
        note=state.note,
    )


def _label_of(state: FieldState, applied: Applied | None) -> Label:
    match state.status:
        case "same":
            return "in-sync"
        case "unverifiable" | "deferred" | "unknown" | "pending-reboot" | "pending-restart":
            return state.status
        case _:
            pass
    if applied is None:
        return "unrecorded"
    if state.unmoved:
        return "pending"
    if applied.value == state.declared:
        return "drift"
    return "pending" if applied.value == state.observed else "conflict"
