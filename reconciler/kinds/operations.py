"""All operations by name."""

from __future__ import annotations

from reconciler.kinds.domain import operations as domain
from reconciler.kinds.hugepages import operations as hugepages
from reconciler.kinds.kernel import operations as kernel
from reconciler.kinds.modules import operations as modules
from reconciler.kinds.nic import operations as nic
from reconciler.kinds.nic import standby_operations as standby
from reconciler.kinds.operation import Operation
from reconciler.kinds.pf import host_network
from reconciler.kinds.pf import operations as pf
from reconciler.kinds.pool import operations as pool
from reconciler.kinds.services import operations as services
from reconciler.kinds.vf import operations as vf

KINDS = (kernel, modules, services, hugepages, host_network, pf, vf, pool, nic, standby, domain)

OPERATIONS: dict[str, Operation] = {operation.name: operation for kind in KINDS for operation in kind.OPERATIONS}
