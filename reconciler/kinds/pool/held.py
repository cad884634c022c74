"""VFs of a pool that somebody has, or is promised, who didn't get them from it.

libvirt doesn't look: it gives out a pool's VFs in the order of its list, and the first that this network has given to
nobody is the next, whoever else has it (networkAllocatePort in src/network/bridge_driver.c). Who has it by another
method keeps it (virHostdevPreparePCIDevices refuses, "is in use by driver QEMU"), so that from then on no guest gets a
VF of the pool, though others are free. From the host's own netdev it is taken away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from reconciler.host.model import Domain, Network, Nic, Snapshot
from reconciler.kinds.holders import Holder, Holders, VfId, vfs_by_address
from reconciler.kinds.pool.forgotten import came_from
from reconciler.kinds.pool.operations import live_addresses


@dataclass(frozen=True, slots=True)
class Held:
    """A VF of a pool that is not the pool's to give."""

    address: str
    vf: VfId
    who: str
    how: Literal["has", "promised", "host"]
    """``has``: a running guest or a process; ``promised``: a guest that is off names it; ``host``: its netdev is in
    use."""


def given_out(host: Snapshot, network: Network) -> list[str]:
    """The PCI addresses that a pool gives out, in libvirt's order, or would give out if it were started now."""
    return list(network.live_addresses) if network.active else live_addresses(host, network)


def held_otherwise(host: Snapshot, network: Network, holders: Holders) -> list[Held]:
    """The VFs of a pool that others have or are promised, in the pool's order."""
    by_address = vfs_by_address(host)
    known = [(item, by_address[item]) for item in given_out(host, network) if item in by_address]
    return [held for where, vf in known if (held := _held(host, network, where, vf, holders.get(vf, []))) is not None]


def _held(host: Snapshot, network: Network, where: str, vf: VfId, holders: Sequence[Holder]) -> Held | None:
    for domain in host.libvirt.domains.values():
        for nic in domain.live if domain.running else ():
            if nic.vf_address == where and not _is_the_pools(domain, nic, network):
                return Held(where, vf, str(Holder("guest", domain.name, nic.alias or nic.mac or "")), "has")
    for holder in holders:
        if holder.kind in ("process", "host"):
            return Held(where, vf, str(holder), "has" if holder.kind == "process" else "host")
    return next((Held(where, vf, who, "promised") for who in _promised(host, where)), None)


def _is_the_pools(domain: Domain, nic: Nic, network: Network) -> bool:
    return nic.method == "pool" and (nic.pool == network.name or came_from(domain, nic.mac, network))


def _promised(host: Snapshot, where: str) -> Iterator[str]:
    for domain in host.libvirt.domains.values():
        for nic in domain.config:
            if nic.vf_address == where and nic.method != "pool":
                yield f"guest {domain.name} ({nic.alias or nic.mac or 'in its definition'})"
