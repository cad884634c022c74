"""Steps on pools: out of the way before their VFs go, defined and started once the VFs are there."""

from __future__ import annotations

from reconciler.host.model import Network
from reconciler.kinds.action import Impact, Step, Undo
from reconciler.kinds.builder import Builder
from reconciler.kinds.operation import Args
from reconciler.kinds.pool.compare import compare, definition, in_use
from reconciler.kinds.pool.operations import defined_as, live_addresses
from reconciler.state.address import address
from reconciler.state.desired import DesiredPool


def release(builder: Builder, remade: set[str]) -> None:
    """Stops pools that are declared absent, and those whose VFs are about to be made again (``remade``: PFs);
    undefines the former."""
    for pool in builder.resolution.desired.pools.values():
        network = builder.host.libvirt.networks.get(pool.name)
        if network is None or address("pool", pool.name) in builder.resolution.left_out:
            continue
        if pool.state == "absent":
            _stop(builder, pool.name, network)
            if network.persistent:
                _undefine(builder, pool.name, builder.host.libvirt.networks[pool.name])
        elif network.active and _pfs(builder, pool) & remade:
            _stop(builder, pool.name, network)


def _pfs(builder: Builder, pool: DesiredPool) -> set[str]:
    names = {pool.pf, *(ref.pf for ref in pool.vfs)}
    return {builder.resolution.pfs[name] for name in names if name in builder.resolution.pfs}


def _guests(builder: Builder, network: Network) -> Impact:
    guests = in_use(builder.host, network)
    return Impact("guest", guests, [f"{guest}: NIC of pool {network.name}" for guest in guests]) if guests else Impact()


def _stop(builder: Builder, name: str, network: Network) -> None:
    if not network.active:
        return
    where = address("pool", name)
    released = _its_pfs(builder, network)
    before = builder.observed.libvirt.networks.get(name, network)  # By now this plan may have defined it.
    action = builder.add(
        "pool.stop",
        where,
        {"pool": name},
        needs=[f"released {identity}" for identity in released],
        makes=f"stopped {name}",
        impact=_guests(builder, network),
        undo=[Step("pool.start", where, {"pool": name})]
        if before.persistent
        else Undo(impossible="the network is transient: libvirt forgets it when it is stopped"),
    )
    for identity in released:
        builder.also_makes(f"released {identity}", action)


def _its_pfs(builder: Builder, network: Network) -> list[str]:
    """The PFs whose VFs a network has."""
    addresses = {*network.addresses, *network.live_addresses}
    return [
        pf.id
        for pf in builder.observed.pfs.values()
        if network.pf_dev in (pf.netdev, *pf.altnames) or any(vf.address in addresses for vf in pf.vfs)
    ]


def _undefine(builder: Builder, name: str, network: Network) -> None:
    where = address("pool", name)
    undo = [Step("pool.define", where, args) for args in (definition_of(builder, network),) if args is not None]
    if network.autostart and undo:
        undo.append(Step("pool.set_autostart", where, {"pool": name, "autostart": True}))
    builder.add(
        "pool.undefine",
        where,
        {"pool": name},
        needs=[f"stopped {name}"],
        undo=undo or Undo(impossible="what it was made of can't be told from its VFs' addresses"),
    )


def definition_of(builder: Builder, network: Network) -> Args | None:
    """The arguments of ``pool.define`` that make this network again."""
    if network.pf_dev is not None:
        for pf in builder.observed.pfs.values():
            if network.pf_dev in (pf.netdev, *pf.altnames):
                return {"pool": network.name, "pf": pf.id}
        return None
    by_address = {vf.address: [pf.id, vf.index] for pf in builder.observed.pfs.values() for vf in pf.vfs if vf.address}
    vfs = [by_address.get(item) for item in network.addresses]
    return None if None in vfs or not vfs else {"pool": network.name, "vfs": vfs}


def plan(builder: Builder) -> None:
    """Defines, restarts where the list of VFs is stale and nobody uses it, starts, sets autostart."""
    wrong = {state.address for state in compare(builder.resolution, builder.host) if state.differs}
    for pool in builder.resolution.desired.pools.values():
        where = address("pool", pool.name)
        if pool.state == "present" and where in wrong and where not in builder.resolution.left_out:
            _bring_up(builder, pool, where)


def _needs(builder: Builder, pool: DesiredPool) -> list[str]:
    return [f"vfs {identity}" for identity in sorted(_pfs(builder, pool))]


def _bring_up(builder: Builder, pool: DesiredPool, where: str) -> None:
    args = definition(builder.resolution, pool)
    if args is None:
        return
    networks = builder.host.libvirt.networks
    needs = [*_needs(builder, pool), f"stopped {pool.name}"]
    known = networks.get(pool.name)
    if known is None or not known.persistent or not defined_as(builder.host, known, args):
        _define(builder, pool, where, args, needs)
    network = networks[pool.name]
    # What it gives out can be right before its definition is: a run that waits for its confirmation starts it so.
    stale = network.active and sorted(network.live_addresses) != sorted(live_addresses(builder.host, network))
    if stale and not in_use(builder.host, network):
        _stop(builder, pool.name, network)
        network = networks[pool.name]
    if not network.active:
        builder.add(
            "pool.start",
            where,
            {"pool": pool.name},
            needs=[*needs, f"defined {pool.name}"],
            makes=f"pool {pool.name}",
            undo=[Step("pool.stop", where, {"pool": pool.name})],
        )
    if pool.autostart is not None and network.autostart != pool.autostart:
        builder.add(
            "pool.set_autostart",
            where,
            {"pool": pool.name, "autostart": pool.autostart},
            needs=[f"defined {pool.name}"],
            undo=[Step("pool.set_autostart", where, {"pool": pool.name, "autostart": network.autostart})],
        )


def _define(builder: Builder, pool: DesiredPool, where: str, args: Args, needs: list[str]) -> None:
    before = builder.host.libvirt.networks.get(pool.name)
    undo: list[Step] | Undo
    if before is None or not before.persistent:
        undo = [Step("pool.undefine", where, {"pool": pool.name})]
    else:
        old = definition_of(builder, before)
        undo = (
            [Step("pool.define", where, old)]
            if old is not None
            else Undo(impossible="what it was made of can't be told from its VFs' addresses")
        )
    builder.add(
        "pool.define",
        where,
        args,
        needs=needs,
        makes=f"defined {pool.name}",
        undo=undo,
    )
