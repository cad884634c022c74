"""All kinds, in the order in which they are compared. To add a kind: its room, and a line here and in
`reconciler.plan.planner`, which says where its steps stand in the order."""

from __future__ import annotations

from reconciler.host.model import Snapshot
from reconciler.kinds.field_state import FieldState
from reconciler.kinds.modules.compare import compare as compare_modules
from reconciler.kinds.nic.compare import compare as compare_nics
from reconciler.kinds.pf.compare import compare as compare_pfs
from reconciler.kinds.pool.compare import compare as compare_pools
from reconciler.kinds.resolve import Resolution
from reconciler.kinds.vf.compare import compare as compare_vfs

COMPARATORS = (compare_modules, compare_pfs, compare_vfs, compare_pools, compare_nics)


def compare_all(resolution: Resolution, host: Snapshot) -> list[FieldState]:
    """Every declared field, compared with a host."""
    return [state for compare in COMPARATORS for state in compare(resolution, host)]
