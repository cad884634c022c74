"""A guest's PCI buses as numbers: which of them can go."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from reconciler.host.model import PciBus


def removable(buses: Sequence[PciBus], keep: Collection[int]) -> list[PciBus]:
    """The free root ports behind the last bus that is in use or in ``keep``: a gap libvirt would fill again, since the
    number of a bus is its place (virDomainPCIAddressSetGrow in src/conf/domain_addr.c)."""
    last = max((bus.index for bus in buses if not bus.free or bus.index in keep), default=0)
    return [bus for bus in buses if bus.index > last]
