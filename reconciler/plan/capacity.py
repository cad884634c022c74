"""How many VFs there are after the plan, and who has or wants them: per declared PF and per declared pool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from reconciler.host.model import Pf, Snapshot
from reconciler.kinds.action import Action
from reconciler.kinds.builder import copy_host
from reconciler.kinds.holders import Holders, predicted_address, predicted_holders
from reconciler.kinds.operations import OPERATIONS
from reconciler.kinds.pool.demand import nics_of
from reconciler.kinds.pool.held import given_out, held_otherwise
from reconciler.kinds.resolution import Resolution
from reconciler.state.address import address


@dataclass(slots=True)
class PfCapacity:
    """The VFs of one PF. Each counts once, by the first of these that holds of it."""

    address: str
    vfs: int
    pooled: int = 0
    """In a pool, of the file or not."""
    running: int = 0
    """A running guest has it."""
    off: int = 0
    """The definition of a guest names it, which is off or gets it at its next start."""
    other: int = 0
    """The host or a process has it, or may have."""
    declared: int = 0
    """The file has a table for it, so that no NIC that names only PFs gets it."""
    free: int = 0


@dataclass(slots=True)
class PoolCapacity:
    """The VFs of one pool, and the guests' NICs that have or want one: by the guest's name, once per NIC."""

    address: str
    vfs: int
    running: list[str] = field(default_factory=list)
    off: list[str] = field(default_factory=list)
    other: int = 0
    """VFs that somebody has who didn't get them from the pool."""
    free: int = 0


@dataclass(slots=True)
class Capacity:
    """Of all declared PFs and pools that are there."""

    pfs: list[PfCapacity] = field(default_factory=list)
    pools: list[PoolCapacity] = field(default_factory=list)


def carried_out(observed: Snapshot, actions: Sequence[Action]) -> Snapshot:
    """The host as it is once these actions are done."""
    after = copy_host(observed)
    for action in actions:
        OPERATIONS[action.op].simulate(after, action.args)
    return after


def take_capacity(resolution: Resolution, after: Snapshot) -> Capacity:
    """As it is on the host when all is done."""
    holders = predicted_holders(resolution.holders, after)
    known = {predicted_address(pf, vf.index) for pf in after.pfs.values() for vf in pf.vfs}
    found = Capacity()
    for name, identity in resolution.pfs.items():
        found.pfs.append(_pf(resolution, after, name, after.pfs[identity], holders))
    for pool in resolution.desired.pools.values():
        network = after.libvirt.networks.get(pool.name)
        if pool.state == "present" and network is not None and network.mode == "hostdev":
            running, off = _wanting(resolution, after, pool.name)
            there = known.intersection(given_out(after, network))
            other = sum(held.how == "has" for held in held_otherwise(after, network, holders))
            free = max(0, len(there) - other - len(running) - len(off))
            found.pools.append(PoolCapacity(address("pool", pool.name), len(there), running, off, other, free))
    return found


def _wanting(resolution: Resolution, after: Snapshot, pool: str) -> tuple[list[str], list[str]]:
    """The guests with NICs of a pool as these actions leave them, so that a NIC that isn't attached now doesn't count:
    those that have a VF while they run, and those that want one at their next start. The file's guests go first."""
    names = dict.fromkeys([*resolution.desired.domains, *after.libvirt.domains])
    domains = [after.libvirt.domains[name] for name in names if name in after.libvirt.domains]
    nics = [(domain.name, running) for domain in domains for _, running in nics_of(domain, pool)]
    return [name for name, running in nics if running], [name for name, running in nics if not running]


def _pf(resolution: Resolution, after: Snapshot, name: str, pf: Pf, holders: Holders) -> PfCapacity:
    pooled = {
        item
        for network in after.libvirt.networks.values()
        if network.mode == "hostdev"
        for item in given_out(after, network)
    }
    named = {nic.vf_address for domain in after.libvirt.domains.values() for nic in domain.config}
    found = PfCapacity(address("pf", name), len(pf.vfs))
    for vf in pf.vfs:
        where, who = predicted_address(pf, vf.index), {item.kind for item in holders.get((pf.id, vf.index), [])}
        if where in pooled:
            found.pooled += 1
        elif "guest" in who:
            found.running += 1
        elif where is not None and where in named:
            found.off += 1
        elif who:
            found.other += 1
        elif vf.index in resolution.desired.pfs[name].vf:
            found.declared += 1
        else:
            found.free += 1
    return found
