"""Operations on the virtio NIC that stands in for a guest's VF while the guest is migrated (libvirt's ``<teaming>``).

The argument ``standby`` is that NIC: ``alias``, ``mac`` and ``bridge``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from reconciler.host.model import Domain, Nic, Snapshot
from reconciler.kinds.arguments import STANDBY
from reconciler.kinds.nic.identity import find_standby
from reconciler.kinds.nic.operations import GUEST_ANSWERS, occupy
from reconciler.kinds.operation import Args, Operation, domain_scope
from reconciler.state.checks import ALIAS, BRIDGE, DOMAIN, flag, table


def _sides(domain: Domain, args: Args) -> Iterator[list[Nic]]:
    """The NICs of the XMLs that a step is about."""
    if args["live"]:
        yield domain.live
    if args["config"]:
        yield domain.config


def as_wanted(nic: Nic | None, standby: Args) -> bool:
    """Whether a NIC is there and as a ``standby`` argument says."""
    return (
        nic is not None
        and nic.teaming == "persistent"
        and nic.mac == standby["mac"]
        and nic.bridge == standby["bridge"]
    )


def _attached(host: Snapshot, args: Args) -> bool:
    domain = host.libvirt.domains.get(args["domain"])
    return domain is not None and all(
        as_wanted(find_standby(nics, args["standby"]["alias"]), args["standby"]) for nics in _sides(domain, args)
    )


def _attach(host: Snapshot, args: Args) -> None:
    domain, wanted = host.libvirt.domains[args["domain"]], args["standby"]
    for nics in _sides(domain, args):
        nics.append(Nic("other", wanted["alias"], wanted["mac"], bridge=wanted["bridge"], teaming="persistent"))
        occupy(domain, live=nics is domain.live)


def _detached(host: Snapshot, args: Args) -> bool:
    domain = host.libvirt.domains.get(args["domain"])
    if domain is None:
        return host.libvirt.available
    return all(find_standby(nics, args["alias"]) is None for nics in _sides(domain, args))


def _detach(host: Snapshot, args: Args) -> None:
    domain = host.libvirt.domains[args["domain"]]
    for nics in _sides(domain, args):
        gone = find_standby(nics, args["alias"])
        if gone is not None:
            nics.remove(gone)
            occupy(domain, live=nics is domain.live, count=-1)


def _moved(host: Snapshot, args: Args) -> bool:
    domain = host.libvirt.domains.get(args["domain"])
    found = [find_standby(nics, args["alias"]) for nics in _sides(domain, args)] if domain is not None else [None]
    return all(nic is not None and nic.bridge == args["bridge"] for nic in found)


def _move(host: Snapshot, args: Args) -> None:
    for nics in _sides(host.libvirt.domains[args["domain"]], args):
        nics[:] = [replace(nic, bridge=args["bridge"]) if nic.alias == args["alias"] else nic for nic in nics]


OPERATIONS = (
    Operation(
        "nic.attach_standby",
        table({"domain": DOMAIN, "standby": STANDBY, "live": flag, "config": flag}),
        domain_scope,
        _attached,
        _attach,
        deadline=lambda args: 30.0,
    ),
    Operation(
        "nic.detach_standby",
        table({"domain": DOMAIN, "alias": ALIAS, "live": flag, "config": flag}),
        domain_scope,
        _detached,
        _detach,
        deadline=lambda args: GUEST_ANSWERS,
    ),
    Operation(
        "nic.move_standby",
        table({"domain": DOMAIN, "alias": ALIAS, "bridge": BRIDGE, "live": flag, "config": flag}),
        domain_scope,
        _moved,
        _move,
    ),
)
