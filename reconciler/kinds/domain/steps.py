"""Steps on guests' definitions, before their NICs are put into them: so that libvirt adds no ports for these itself,
and all that was added can be taken away again."""

from __future__ import annotations

from reconciler.host.model import Domain, Snapshot
from reconciler.kinds.action import Step
from reconciler.kinds.builder import Builder
from reconciler.kinds.domain.ports import left_in_definition, slots_of, to_be_taken
from reconciler.kinds.resolution import Resolution
from reconciler.state.address import address


def plan(builder: Builder) -> None:
    """Adds the root ports that lack."""
    for desired in builder.resolution.desired.domains.values():
        domain = builder.host.libvirt.domains.get(desired.name)
        if domain is None or desired.root_ports is None or slots_of(domain) != "pcie":
            continue
        free = free_before(builder.resolution, builder.host, domain, desired.root_ports)
        if free is not None:
            before = builder.observed.libvirt.domains[desired.name].buses or []
            keep = {"domain": desired.name, "keep": [bus.index for bus in before]}
            where = address("domain", desired.name)
            builder.add(
                "domain.set_root_ports",
                where,
                {"domain": desired.name, "free": free},
                undo=[Step("domain.drop_root_ports", where, keep)],
            )


def free_before(resolution: Resolution, host: Snapshot, domain: Domain, wanted: int) -> int | None:
    """How many root ports of a definition have to be free before its NICs are put into it, so that as many as wanted
    are left; ``None``: it has enough."""
    if left_in_definition(resolution, host, domain) >= wanted:
        return None
    return wanted + to_be_taken(resolution, host, domain)
