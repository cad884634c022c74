"""What of an observed host can be compared between two hosts: flat, ``pf.enp1s0.vf.3.vlan`` to its value.

Left out or mapped: what is different each time (interface indexes, process ids, UUIDs of networks, IOMMU group
numbers), what is not about SR-IOV, and the MACs that a kernel makes up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from reconciler.host.model import Domain, Libvirt, Modules, Network, Nic, Pf, Process, Snapshot, Vf
from reconciler.state.desired import ZERO_MAC

Value = bool | int | str | None
Flat = dict[str, Value]

MADE_UP = "made up"
"""Instead of a MAC that neither the case nor nobody (zero) gave."""
_MODULES = ("igbvf", "vfio_pci")


def flat(snapshot: Snapshot, macs: Collection[str]) -> Flat:
    """The comparable part of a snapshot; ``macs``: those that the case gives."""
    found: Flat = dict(_modules(snapshot.modules))
    for pf in snapshot.pfs.values():
        name = pf.netdev if pf.bus == "pci" else pf.device
        found.update((f"pf.{name}.{key}", value) for key, value in _pf(pf, snapshot.vfio_open, macs))
    found.update(_libvirt(snapshot.libvirt, macs))
    return found


def _modules(modules: Modules) -> Iterator[tuple[str, Value]]:
    for name in _MODULES:
        yield f"modules.{name}", name in (modules.loaded or [])
    yield "modules.own", None if modules.own is None else " ".join(modules.own)
    yield "modules.blacklist", " ".join(entry.module for entry in modules.blacklist or [] if entry.module in _MODULES)


def _pf(pf: Pf, vfio_open: dict[int, list[Process]] | None, macs: Collection[str]) -> Iterator[tuple[str, Value]]:
    yield "vfs", pf.num_vfs
    yield "autoprobe", pf.autoprobe
    yield "up", pf.up
    yield "carrier", pf.carrier
    yield "speed", pf.speed
    yield "mtu", pf.mtu
    for vf in pf.vfs:
        for key, value in _vf(vf, macs):
            yield f"vf.{vf.index}.{key}", value
        if vf.iommu_group is not None and vfio_open is not None:
            holders = sorted(process.command for process in vfio_open.get(vf.iommu_group, []))
            yield f"vf.{vf.index}.held", " ".join(holders)


def _vf(vf: Vf, macs: Collection[str]) -> Iterator[tuple[str, Value]]:
    yield "address", vf.address
    yield "driver", vf.driver
    yield "driver_override", vf.driver_override
    yield "iommu", vf.iommu_group is not None
    yield "netdev", vf.netdev is not None
    yield "uses", "; ".join(use.kind for use in vf.uses)
    for name, value in (vf.attributes or {}).items():
        yield name, _mac(str(value), macs) if name == "mac" else value
    if vf.saved is not None:
        yield "saved.mac", _mac(str(vf.saved.get("mac")), macs)
        yield "saved.vlan", vf.saved.get("vlan")


def _libvirt(libvirt: Libvirt, macs: Collection[str]) -> Iterator[tuple[str, Value]]:
    yield "libvirt.available", libvirt.available
    for domain in libvirt.domains.values():
        yield from _domain(domain, macs)
    for network in libvirt.networks.values():
        for key, value in _network(network, macs):
            yield f"network.{network.name}.{key}", value


def _domain(domain: Domain, macs: Collection[str]) -> Iterator[tuple[str, Value]]:
    yield f"domain.{domain.name}.running", domain.running
    for kind, nics in (("live", domain.live), ("config", domain.config)):
        for number, nic in enumerate(nics):
            own = nic.alias if nic.alias is not None and nic.alias.startswith("ua-") else f"#{number}"
            yield f"domain.{domain.name}.{kind}.{own}", _nic(nic, macs)


def _nic(nic: Nic, macs: Collection[str]) -> str:
    mac = None if nic.mac is None else _mac(nic.mac, macs)
    return f"{nic.method} pool={nic.pool} vf={nic.vf_address} mac={mac} vlan={nic.vlan}"


def _network(network: Network, macs: Collection[str]) -> Iterator[tuple[str, Value]]:
    yield "active", network.active
    yield "autostart", network.autostart
    yield "persistent", network.persistent
    yield "mode", network.mode
    yield "pf_dev", network.pf_dev
    yield "addresses", " ".join(network.addresses)
    yield "live_addresses", " ".join(network.live_addresses)
    ports = (f"{port.vf_address} {port.owner} {_mac(port.mac or '', macs)}" for port in network.ports)
    yield "ports", "; ".join(sorted(ports))


def _mac(mac: str, macs: Collection[str]) -> str:
    return mac if mac in macs or mac == ZERO_MAC else MADE_UP
