"""Whether vfio-pci can have VFs at all: without an IOMMU there are no groups, and it refuses each device (EINVAL of
vfio_group_find_or_alloc, drivers/vfio/group.c; its mode without an IOMMU is unsafe, and libvirt doesn't use it)."""

from __future__ import annotations

from typing import Literal

from reconciler.host.model import Snapshot
from reconciler.kinds.kernel.compare import without_effect
from reconciler.kinds.kernel.effects import switches_on
from reconciler.kinds.resolution import Resolution


def iommu(resolution: Resolution, host: Snapshot) -> Literal["on", "to come", "off"]:
    """``on`` also where it is not known. ``to come``: the file declares an argument that switches it on, and the next
    boot has it."""
    if host.boot.groups != 0:
        return "on"
    declared = resolution.desired.cmdline or ()
    failed = without_effect(declared, host)
    lasting = host.boot.next or ()
    waiting = [a for a in declared if switches_on(a) and a not in failed and (host.boot.loader or a in lasting)]
    return "to come" if waiting else "off"
