"""Huge pages, compared: fields ``now`` (the kernel) and ``boot`` (our own file)."""

from __future__ import annotations

from typing import Any

from reconciler.host.model import PagesOfSize, Snapshot
from reconciler.kinds.field_state import FieldState, Status
from reconciler.kinds.hugepages.operations import now_of
from reconciler.kinds.resolution import Resolution
from reconciler.state.address import address
from reconciler.state.desired import Pages


def compare(resolution: Resolution, host: Snapshot) -> list[FieldState]:
    """Both fields of each declared size."""
    states, known = [], host.hugepages
    for size, declared in resolution.desired.hugepages.items():
        where = address("hugepages", size)
        if known.sizes is None:
            states += [FieldState(where, name, where, declared, None, "unknown") for name in ("now", "boot")]
            continue
        found = known.sizes.get(size)
        now: Pages | None = now_of(found, declared) if found is not None else None
        boot = (known.own or {}).get(size)
        applied = host.ledger.get(where, {}).get("now")
        unmoved = applied is not None and applied.value != declared and _has(found, applied.value)
        status: Status = "same" if now == declared else "different"
        states.append(FieldState(where, "now", where, declared, now, status, unmoved=unmoved))
        states.append(FieldState(where, "boot", where, declared, boot, "same" if boot == declared else "different"))
    return states


def _has(found: PagesOfSize | None, applied: Any) -> bool:
    """Whether there are still as many as were applied last, for the host or for the nodes that were named then."""
    return found is not None and isinstance(applied, (int, dict)) and now_of(found, applied) == applied


def lacking(size: str, declared: Pages, host: Snapshot) -> tuple[str, str, str] | None:
    """The size, or the NUMA node, that this host doesn't have: code, summary and detail of the error."""
    sizes = host.hugepages.sizes
    if sizes is None:
        return None
    if size not in sizes:
        known = f"It has {', '.join(sizes)}." if sizes else "Its kernel has no huge pages."
        return "page-size-missing", "This host has no huge pages of this size.", f"There are none of {size}. {known}"
    missing = [node for node in declared if node not in sizes[size].nodes] if isinstance(declared, dict) else []
    if not missing:
        return None
    nodes = f"It has {', '.join(sizes[size].nodes)}." if sizes[size].nodes else "Its kernel knows no NUMA nodes."
    return "numa-node-missing", "This host has no such NUMA node.", f"There is no {', '.join(missing)}. {nodes}"
