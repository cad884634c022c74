"""libvirt's hostdev networks: a list of VFs that is fixed at the start, and the naive way in which they are given out.

Source: src/network/bridge_driver.c (networkValidate, networkCreateInterfacePool, networkAllocatePort, networkDestroy).
"""

from __future__ import annotations

import uuid

from reconciler.host.model import Network, NetworkPort, Nic
from reconciler.host.protocol import PoolSpec
from reconciler.host.twin.errors import LibvirtRefused, failed, internal, invalid, unsupported
from reconciler.host.twin.state import Twin


def network_of(twin: Twin, name: str) -> Network:
    """The network."""
    network = twin.libvirt.networks.get(name)
    if network is None:
        raise LibvirtRefused(f"Network not found: no network with matching name '{name}'")
    return network


def define(twin: Twin, pool: PoolSpec) -> None:
    """``virsh net-define``. Each address must be a VF's now; a start doesn't look again. One that is active goes on as
    it was started."""
    for address in pool.addresses:
        if twin.find(address) is None:
            device = f"/sys/bus/pci/devices/{address}"
            raise unsupported(f"device '{device}' in network '{pool.name}' is not an SR-IOV Virtual Function")
    before = twin.libvirt.networks.get(pool.name)
    if before is not None and before.uuid != pool.uuid:
        raise failed(f"network '{pool.name}' already exists with uuid {before.uuid}")
    network = before or Network(pool.name, pool.uuid or str(uuid.uuid5(uuid.NAMESPACE_OID, f"network {pool.name}")))
    network.persistent, network.mode = True, "hostdev"
    network.pf_dev, network.addresses = pool.pf_dev, list(pool.addresses)
    twin.libvirt.networks[pool.name] = network


def create(twin: Twin, pool: PoolSpec) -> None:
    """``virsh net-create``: started from what is given. A lasting definition of the same name and UUID stays, and
    counts again at the next start (virNetworkObjAssignDef)."""
    before = twin.libvirt.networks.get(pool.name)
    if before is not None and before.active:
        raise invalid(f"network is already active as '{pool.name}'")
    lasting = (before.pf_dev, list(before.addresses)) if before is not None and before.persistent else None
    define(twin, pool)
    network = twin.libvirt.networks[pool.name]
    network.persistent = lasting is not None
    try:
        start(twin, pool.name)
    finally:
        if lasting is not None:
            network.pf_dev, network.addresses = lasting
        elif not network.active:
            del twin.libvirt.networks[pool.name]


def start(twin: Twin, name: str) -> None:
    """``virsh net-start``: a PF's VFs are listed now, and never again until the next start."""
    network = network_of(twin, name)
    if network.active:
        raise invalid("network is already active")
    if network.mode == "hostdev":
        network.live_addresses = _listed(twin, network)
        network.ports = []
    network.active = True


def _listed(twin: Twin, network: Network) -> list[str]:
    if network.pf_dev is None:
        return list(network.addresses)
    pf = next((pf for pf in twin.pfs.values() if pf.netdev == network.pf_dev), None)
    if pf is None:
        raise internal(f"Could not get Virtual functions on {network.pf_dev}")
    if not pf.vfs:
        raise internal(f"No usable Vf's present on SRIOV PF {network.pf_dev}")
    return [vf.address for vf in pf.vfs if vf.address]


def stop(twin: Twin, name: str) -> None:
    """``virsh net-destroy``: also while guests use it. Who has what is forgotten; the guests keep their VFs."""
    network = network_of(twin, name)
    if not network.active:
        raise invalid(f"network '{name}' is not active")
    network.active, network.live_addresses, network.ports = False, [], []
    if not network.persistent:
        del twin.libvirt.networks[name]


def undefine(twin: Twin, name: str) -> None:
    """``virsh net-undefine``; an active one stays, as a transient network."""
    network = network_of(twin, name)
    if not network.persistent:
        raise invalid("can't undefine transient network")
    network.persistent, network.autostart = False, False
    if not network.active:
        del twin.libvirt.networks[name]


def set_autostart(twin: Twin, name: str, enabled: bool) -> None:
    """``virsh net-autostart``."""
    network = network_of(twin, name)
    if not network.persistent:
        raise invalid("cannot set autostart for transient network")
    network.autostart = enabled


def allocate(twin: Twin, domain: str, nic: Nic) -> str | None:
    """The first address that this network hasn't given out, whoever else may have it. ``None`` for a network that gives
    no VFs."""
    name = nic.pool or ""
    network = network_of(twin, name)
    if not network.active:
        raise invalid(f"network '{name}' is not active")
    given = {port.vf_address for port in network.ports}
    free = next((address for address in network.live_addresses if address not in given), None)
    if free is None:
        raise internal(f"network '{name}' requires exclusive access to interfaces, but none are available")
    network.ports.append(NetworkPort(domain, nic.mac, free))
    return free


def free(twin: Twin, domain: str, nic: Nic) -> None:
    """A guest has given back what a network gave it."""
    network = twin.libvirt.networks.get(nic.pool or "")
    if network is not None:
        network.ports = [port for port in network.ports if (port.owner, port.vf_address) != (domain, nic.vf_address)]


def reclaim(twin: Twin) -> None:
    """Running guests tell their networks what they have of them (VIR_NETWORK_PORT_CREATE_RECLAIM)."""
    for domain in twin.libvirt.domains.values():
        for nic in domain.live if domain.running else ():
            network = twin.libvirt.networks.get(nic.pool or "")
            if network is None or nic.vf_address not in network.live_addresses:
                continue
            if not any((port.owner, port.vf_address) == (domain.name, nic.vf_address) for port in network.ports):
                network.ports.append(NetworkPort(domain.name, nic.mac, nic.vf_address))
