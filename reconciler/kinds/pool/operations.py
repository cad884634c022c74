"""Operations on a pool. Its VFs are named by PF and index; their PCI addresses are looked up when it is done."""

from __future__ import annotations

import uuid

from reconciler.host.model import Network, Snapshot
from reconciler.kinds.holders import predicted_address
from reconciler.kinds.operation import Args, Operation, pool_scope
from reconciler.state.checks import PF, POOL, each, either, flag, table, vf


def pool_addresses(host: Snapshot, args: Args) -> list[str]:
    """PCI addresses of the VFs in the arguments of ``pool.define``, all of the PF's for ``pf``."""
    if "pf" in args:
        pf = host.pfs.get(args["pf"])
        return [vf.address for vf in pf.vfs if vf.address] if pf is not None else []
    found = []
    for identity, index in args["vfs"]:
        pf = host.pfs.get(identity)
        address = predicted_address(pf, index) if pf is not None else None
        if address is not None:
            found.append(address)
    return found


def defined_as(host: Snapshot, network: Network | None, args: Args) -> bool:
    """Whether a network's definition has these VFs. ``pf``: all VFs of the PF, by its netdev's name (any of them)."""
    if network is None or network.mode != "hostdev":
        return False
    if "pf" in args:
        pf = host.pfs.get(args["pf"])
        if pf is not None and network.pf_dev is not None:
            return network.pf_dev in (pf.netdev, *pf.altnames)
        wanted = pool_addresses(host, args)
        return bool(wanted) and sorted(network.addresses) == sorted(wanted)
    return network.pf_dev is None and sorted(network.addresses) == sorted(pool_addresses(host, args))


def _defined(host: Snapshot, args: Args) -> bool:
    network = host.libvirt.networks.get(args["pool"])
    return network is not None and network.persistent and defined_as(host, network, args)


def _define(host: Snapshot, args: Args) -> None:
    networks = host.libvirt.networks
    network = networks.setdefault(
        args["pool"], Network(args["pool"], str(uuid.uuid5(uuid.NAMESPACE_OID, args["pool"])))
    )
    network.mode, network.persistent = "hostdev", True
    if "pf" in args:
        network.pf_dev, network.addresses = host.pfs[args["pf"]].netdev, []
    else:
        network.pf_dev, network.addresses = None, pool_addresses(host, args)


def live_addresses(host: Snapshot, network: Network) -> list[str]:
    """What a network would give out if it were started now."""
    if network.pf_dev is None:
        return list(network.addresses)
    for pf in host.pfs.values():
        if network.pf_dev in (pf.netdev, *pf.altnames):
            return [vf.address for vf in pf.vfs if vf.address]
    return []


def _started(host: Snapshot, args: Args) -> bool:
    network = host.libvirt.networks.get(args["pool"])
    return network is not None and network.active


def _start(host: Snapshot, args: Args) -> None:
    network = host.libvirt.networks[args["pool"]]
    network.active, network.live_addresses = True, live_addresses(host, network)


def _created(host: Snapshot, args: Args) -> bool:
    network = host.libvirt.networks.get(args["pool"])
    if network is None or not network.active:
        return False
    wanted = pool_addresses(host, args)
    return bool(wanted) and sorted(network.live_addresses) == sorted(wanted)


def _create(host: Snapshot, args: Args) -> None:
    """It runs from what it was given; a lasting definition of its name stays what it is."""
    networks = host.libvirt.networks
    if args["pool"] not in networks:
        _define(host, args)
        networks[args["pool"]].persistent = False
    network = networks[args["pool"]]
    network.active, network.live_addresses = True, pool_addresses(host, args)


def _stopped(host: Snapshot, args: Args) -> bool:
    network = host.libvirt.networks.get(args["pool"])
    return host.libvirt.available and (network is None or not network.active)


def _stop(host: Snapshot, args: Args) -> None:
    network = host.libvirt.networks[args["pool"]]
    network.active, network.live_addresses, network.ports = False, [], []
    if not network.persistent:
        del host.libvirt.networks[args["pool"]]


def _autostart_set(host: Snapshot, args: Args) -> bool:
    network = host.libvirt.networks.get(args["pool"])
    return network is not None and network.autostart == args["autostart"]


def _set_autostart(host: Snapshot, args: Args) -> None:
    host.libvirt.networks[args["pool"]].autostart = args["autostart"]


def _undefined(host: Snapshot, args: Args) -> bool:
    network = host.libvirt.networks.get(args["pool"])
    return host.libvirt.available and (network is None or not network.persistent)


def _undefine(host: Snapshot, args: Args) -> None:
    network = host.libvirt.networks[args["pool"]]
    if network.active:
        network.persistent = False
    else:
        del host.libvirt.networks[args["pool"]]


_BY_NAME = table({"pool": POOL})
_WITH_VFS = either(pf=table({"pool": POOL, "pf": PF}), vfs=table({"pool": POOL, "vfs": each(vf)}))

OPERATIONS = (
    Operation("pool.define", _WITH_VFS, pool_scope, _defined, _define),
    Operation("pool.create", _WITH_VFS, pool_scope, _created, _create),
    Operation("pool.start", _BY_NAME, pool_scope, _started, _start),
    Operation("pool.stop", _BY_NAME, pool_scope, _stopped, _stop),
    Operation(
        "pool.set_autostart", table({"pool": POOL, "autostart": flag}), pool_scope, _autostart_set, _set_autostart
    ),
    Operation("pool.undefine", _BY_NAME, pool_scope, _undefined, _undefine),
)
