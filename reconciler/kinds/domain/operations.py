"""Operations on a guest's definition.

``domain.set_root_ports`` makes so many (``free``) root ports free at least. ``domain.drop_root_ports`` takes free ones
away, from the last on, but none whose index is among those to ``keep``.
"""

from __future__ import annotations

from reconciler.host.buses import removable
from reconciler.host.model import Domain, PciBus, Snapshot
from reconciler.kinds.operation import Args, Operation, domain_scope
from reconciler.state.checks import BUS, DOMAIN, ROOT_PORTS, each, table


def _domain(host: Snapshot, args: Args) -> Domain | None:
    return host.libvirt.domains.get(args["domain"])


def _enough(host: Snapshot, args: Args) -> bool | None:
    domain = _domain(host, args)
    if domain is None or domain.buses is None:
        return None
    return sum(bus.free for bus in domain.buses) >= int(args["free"])


def _add(host: Snapshot, args: Args) -> None:
    domain = host.libvirt.domains[args["domain"]]
    buses = list(domain.buses or [])
    while sum(bus.free for bus in buses) < args["free"]:
        buses.append(PciBus(max((bus.index for bus in buses), default=0) + 1, free=True))
    domain.buses = buses


def _dropped(host: Snapshot, args: Args) -> bool | None:
    domain = _domain(host, args)
    if domain is None:
        return host.libvirt.available
    return None if domain.buses is None else not removable(domain.buses, args["keep"])


def _drop(host: Snapshot, args: Args) -> None:
    domain = host.libvirt.domains[args["domain"]]
    gone = removable(domain.buses or [], args["keep"])
    domain.buses = [bus for bus in domain.buses or [] if bus not in gone]


OPERATIONS = (
    Operation(
        "domain.set_root_ports",
        table({"domain": DOMAIN, "free": ROOT_PORTS}),
        domain_scope,
        _enough,
        _add,
    ),
    Operation(
        "domain.drop_root_ports",
        table({"domain": DOMAIN, "keep": each(BUS)}),
        domain_scope,
        _dropped,
        _drop,
    ),
)
