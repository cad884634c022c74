"""Pools, compared: the definition, whether it is active, autostart, and whether its list of VFs is of today."""

from __future__ import annotations

from typing import Any

from reconciler.host.model import Network, Snapshot
from reconciler.kinds.field_state import FieldState, Status
from reconciler.kinds.operation import Args
from reconciler.kinds.pool.operations import defined_as, live_addresses
from reconciler.kinds.resolution import Resolution, references
from reconciler.state.address import address
from reconciler.state.desired import DesiredPool


def compare(resolution: Resolution, host: Snapshot) -> list[FieldState]:
    """Fields ``state``, ``pf`` or ``vfs``, ``active``, ``autostart`` and ``live_vfs`` of every declared pool."""
    if not host.libvirt.available:
        return [
            FieldState(address("pool", name), "state", f"pool {name}", pool.state, None, "unknown")
            for name, pool in resolution.desired.pools.items()
        ]
    return [
        state
        for pool in resolution.desired.pools.values()
        if address("pool", pool.name) not in resolution.left_out
        for state in _compare(resolution, host, pool)
    ]


def definition(resolution: Resolution, pool: DesiredPool) -> Args | None:
    """The arguments of ``pool.define``; ``None`` when a PF of it isn't there."""
    if pool.pf is not None:
        identity = resolution.pfs.get(pool.pf)
        return None if identity is None else {"pool": pool.name, "pf": identity}
    vfs = [resolution.vf_id(ref) for ref in pool.vfs]
    if None in vfs:
        return None
    return {"pool": pool.name, "vfs": [[vf[0], vf[1]] for vf in vfs if vf is not None]}


def in_use(host: Snapshot, network: Network) -> list[str]:
    """The running guests that have a VF out of this pool."""
    guests = [port.owner for port in network.ports]
    guests += [
        domain.name
        for domain in host.libvirt.domains.values()
        if domain.running and any(nic.pool == network.name for nic in domain.live)
    ]
    return sorted(set(guests))


def _compare(resolution: Resolution, host: Snapshot, pool: DesiredPool) -> list[FieldState]:
    where, identity = address("pool", pool.name), f"pool {pool.name}"

    def state(field: str, declared: Any, observed: Any, status: Status | None = None) -> FieldState:
        told: Status = status or ("same" if declared == observed else "different")
        return FieldState(where, field, identity, declared, observed, told)

    network = host.libvirt.networks.get(pool.name)
    presence = "present" if network is not None else "absent"
    if pool.state == "absent":
        return [state("state", "absent", presence)]
    wanted = definition(resolution, pool)
    if wanted is None:
        return []
    states = [] if network is not None else [state("state", "present", "absent")]
    gone: Status | None = "parent-missing" if network is None else None
    states.append(_definition(resolution, host, pool, network, wanted, state, gone))
    states.append(state("active", True, network.active if network else None, gone))
    if network is not None and not network.persistent:
        states.append(state("persistent", True, False))
    if pool.autostart is not None:
        states.append(state("autostart", pool.autostart, network.autostart if network else None, gone))
    if network is not None and network.active:
        stale = _stale(host, network)
        if stale is not None:
            status: Status = "pending-restart" if in_use(host, network) else "different"
            names = references(resolution, host)
            fresh, live = ([names.get(item, item) for item in side] for side in stale)
            states.append(state("live_vfs", fresh, live, status))
    return states


def _definition(
    resolution: Resolution,
    host: Snapshot,
    pool: DesiredPool,
    network: Network | None,
    wanted: Args,
    state: Any,
    gone: Status | None,
) -> FieldState:
    field = "pf" if pool.pf is not None else "vfs"
    declared: Any = pool.pf if pool.pf is not None else [f"{ref.pf}/{ref.index}" for ref in pool.vfs]
    if network is None:
        return state(field, declared, None, gone)  # type: ignore[no-any-return]
    if defined_as(host, network, wanted):
        return state(field, declared, declared, "same")  # type: ignore[no-any-return]
    observed: Any = network.pf_dev
    if observed is None:
        names = references(resolution, host)
        observed = [names.get(item, item) for item in network.addresses]
    if network.mode != "hostdev":
        observed = f"a network with forward mode {network.mode or 'none'}"
    return state(field, declared, observed, "different")  # type: ignore[no-any-return]


def _stale(host: Snapshot, network: Network) -> tuple[list[str], list[str]] | None:
    """What the active network should give out and what it does: libvirt lists the VFs once, when it is started
    (networkCreateInterfacePool)."""
    fresh, live = sorted(live_addresses(host, network)), sorted(network.live_addresses)
    return None if fresh == live else (fresh, live)
