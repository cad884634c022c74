"""All operations by name."""

from __future__ import annotations

from reconciler.kinds.domain import operations as domain
from reconciler.kinds.modules import operations as modules
from reconciler.kinds.nic import operations as nic
from reconciler.kinds.nic import standby_operations as standby
from reconciler.kinds.operation import Operation
from reconciler.kinds.pf import operations as pf
from reconciler.kinds.pool import operations as pool
from reconciler.kinds.vf import operations as vf

OPERATIONS: dict[str, Operation] = {
    operation.name: operation for kind in (modules, pf, vf, pool, nic, standby, domain) for operation in kind.OPERATIONS
}
