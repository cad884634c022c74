"""All kinds, in the order in which they are compared. To add a kind: its room, and a line here and in
`reconciler.plan.planner`, which says where its steps stand in the order."""

from __future__ import annotations

from dataclasses import replace

from reconciler.host.model import Snapshot
from reconciler.kinds.domain.compare import compare as compare_domains
from reconciler.kinds.field_state import FieldState
from reconciler.kinds.hugepages.compare import compare as compare_huge_pages
from reconciler.kinds.kernel.compare import compare as compare_kernel
from reconciler.kinds.modules.compare import compare as compare_modules
from reconciler.kinds.modules.compare import compare_load
from reconciler.kinds.nic.compare import compare as compare_nics
from reconciler.kinds.pf.compare import compare as compare_pfs
from reconciler.kinds.pool.compare import compare as compare_pools
from reconciler.kinds.resolution import Resolution
from reconciler.kinds.services.compare import compare as compare_services
from reconciler.kinds.vf.compare import compare as compare_vfs

COMPARATORS = (
    compare_kernel,
    compare_modules,
    compare_load,
    compare_services,
    compare_huge_pages,
    compare_pfs,
    compare_vfs,
    compare_pools,
    compare_nics,
    compare_domains,
)


def compare_all(resolution: Resolution, host: Snapshot) -> list[FieldState]:
    """Every declared field, compared with a host; each once."""
    found: dict[tuple[str, str], FieldState] = {}
    for compare in COMPARATORS:
        for state in compare(resolution, host):
            key = (state.address, state.field)
            found[key] = _merged(found[key], state) if key in found else state
    return list(found.values())


def _merged(kernel: FieldState, xml: FieldState) -> FieldState:
    """MAC and VLAN of a guest's NIC stand in the kernel and in the persistent XML: the field is right when both are.
    It is recorded with the NIC, which has the XML alone while the guest is off."""
    decisive = kernel if kernel.status in ("unknown", "different") and xml.status != "unknown" else xml
    return replace(
        xml,
        status=decisive.status,
        observed=decisive.observed,
        note=decisive.note,
        holder=kernel.holder or xml.holder,
    )
