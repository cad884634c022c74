"""The inventory, ``reconciler-inventory/1``: the host as it is, each VF with its holders and pools.

The field names are the JSON names. Null means *unknown* unless the field says otherwise; `Inventory.notes`
says why.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from reconciler.drivers.cards import card_name
from reconciler.drivers.table import DRIVERS, facts
from reconciler.host.model import BlacklistEntry, HostIdentity, Network, Nic, Pf, Snapshot, Use, Vf
from reconciler.kinds.holders import Holders, VfId, find_holders, vfs_by_address
from reconciler.kinds.pool.demand import nics_of
from reconciler.kinds.pool.operations import live_addresses
from reconciler.plan.document import Tool
from reconciler.state.desired import Attributes

INVENTORY_FORMAT = "reconciler-inventory/1"


@dataclass(slots=True)
class InventoryHolder:
    """One who has a VF now, or may have as far as could be read (``unknown``)."""

    kind: Literal["guest", "process", "host", "unknown"]
    who: str
    """Domain, ``COMMAND (pid N)``, how the host uses it, or why it isn't known."""
    nic: str = ""
    """Alias of the guest's NIC, else its MAC."""
    mac: str | None = None
    """MAC of the guest's NIC; null when its XML has none (plain hostdev) and for others than guests."""


@dataclass(slots=True)
class InventoryClaim:
    """A guest that is shut off and names a VF in its definition: it wants it at its next start."""

    domain: str
    nic: str = ""
    """Alias of its NIC, else its MAC."""


@dataclass(slots=True)
class InventoryVf:
    """One VF."""

    index: int
    address: str | None
    """PCI address; null on a bus without VF devices."""
    driver: str | None
    """Null: no driver is bound."""
    iommu_group: int | None
    """Null: none, so the IOMMU is off."""
    netdev: str | None
    """Null: none in this network namespace."""
    attributes: Attributes | None
    """Null: unknown. A missing key: the driver doesn't report it."""
    holders: list[InventoryHolder] = field(default_factory=list)
    claims: list[InventoryClaim] = field(default_factory=list)
    pools: list[str] = field(default_factory=list)
    """Names of the libvirt networks that have it."""


@dataclass(slots=True)
class InventoryPf:
    """One PF with its VFs in index order."""

    id: str
    """``pci/0000:01:00.0``."""
    bus: str
    device: str
    netdev: str
    altnames: list[str]
    mac: str | None
    vendor: str | None
    device_id: str | None
    card: str | None
    """Marketing name by its PCI ids; null: not known."""
    queues_per_vf: str | None
    """In words, since it may depend on the number of VFs; null: not known."""
    driver: str | None
    driver_version: str | None
    """Null: its module says none, as most of the kernel's own."""
    out_of_tree: bool
    """The driver was not built with the kernel."""
    numa_node: int | None
    """Null: the platform doesn't say."""
    up: bool | None
    carrier: bool | None
    """Null while it is down, or when that is unknown."""
    speed: int | None
    """Mbit/s; null without a link."""
    mtu: int | None
    autoprobe: bool | None
    """Whether the host's VF driver takes new VFs; null: this bus doesn't have it."""
    num_vfs: int | None
    total_vfs: int | None
    """Null: the bus has no such limit."""
    used_vfs: int
    """VFs that somebody has, or may have."""
    uses: list[Use]
    vfs: list[InventoryVf]


@dataclass(slots=True)
class InventoryVfRef:
    """A VF by its PF's identity and its index."""

    pf: str
    index: int


@dataclass(slots=True)
class InventoryNic:
    """A guest's NIC that has a VF, or is to have one."""

    name: str
    """Alias, else MAC, else the VF's PCI address."""
    mac: str | None
    """Null: its XML has none (plain hostdev)."""
    pool: str | None
    """The libvirt network that it draws from; null: it names a VF."""
    address: str | None
    """PCI address of its VF, which may not be there; null: none as yet, or not known."""
    vf: InventoryVfRef | None
    """Null: there is no such VF."""


@dataclass(slots=True)
class InventoryGuest:
    """A libvirt domain: its live NICs while it runs, else those of its definition."""

    name: str
    running: bool
    nics: list[InventoryNic]


@dataclass(slots=True)
class InventoryPool:
    """A libvirt network with forward mode hostdev."""

    name: str
    uuid: str
    active: bool
    persistent: bool
    autostart: bool
    pf_dev: str | None
    """Netdev of the PF whose VFs it has all; null: it lists them by address."""
    capacity: int
    """VFs that it gives out, or would give out if it were started now."""
    used: int
    """VFs of it that somebody has, or may have."""
    nics: int
    """NICs of guests, running or not, that name it. More than its capacity can't all run."""
    vfs: list[InventoryVfRef]
    missing: list[str]
    """PCI addresses that it lists and where there is no VF."""


@dataclass(slots=True)
class InventoryModules:
    """Kernel modules of VFs."""

    loaded: list[str] | None
    """VF drivers, and vfio-pci, that are loaded."""
    blacklist: list[BlacklistEntry] | None
    """Every entry in force that another file than ours makes."""
    own: list[str] | None
    """Entries of our own file; null: there is no such file, or it could not be read."""


@dataclass(slots=True)
class InventoryLibvirt:
    """Whether libvirt could be asked."""

    available: bool
    reason: str
    version: int | None
    """As libvirt counts: 11003000 is 11.3.0."""
    uri: str = ""


@dataclass(slots=True)
class Inventory:
    """The whole document."""

    host: HostIdentity
    pfs: list[InventoryPf]
    pools: list[InventoryPool]
    modules: InventoryModules
    libvirt: InventoryLibvirt
    guests: list[InventoryGuest] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    taken_at: str = ""
    tool: Tool = field(default_factory=Tool)
    format: str = INVENTORY_FORMAT


def take_inventory(snapshot: Snapshot) -> Inventory:
    """The inventory of an observed host."""
    holders, pools = find_holders(snapshot), _pool_addresses(snapshot)
    of_vf: dict[str, list[str]] = {}
    for name, addresses in pools.items():
        for address in addresses:
            of_vf.setdefault(address, []).append(name)
    claims, macs = _claims(snapshot), _macs(snapshot)
    return Inventory(
        host=snapshot.host,
        pfs=[_pf(pf, [_vf(pf, vf, holders, claims, macs, of_vf) for vf in pf.vfs]) for pf in snapshot.pfs.values()],
        pools=[_pool(snapshot, name, addresses, holders) for name, addresses in pools.items()],
        modules=_modules(snapshot),
        libvirt=InventoryLibvirt(
            snapshot.libvirt.available,
            snapshot.libvirt.reason,
            snapshot.libvirt.version,
            snapshot.libvirt.uri,
        ),
        guests=_guests(snapshot),
        notes=list(snapshot.notes),
        taken_at=snapshot.taken_at,
    )


def build_inventory(snapshot: Snapshot) -> dict[str, Any]:
    """The document ``reconciler-inventory/1`` as JSON data."""
    return {"format": INVENTORY_FORMAT, "tool": {}, "taken_at": "", **asdict(take_inventory(snapshot))}


def inventory_schema() -> dict[str, Any]:
    """The JSON Schema of the document."""
    from pydantic import TypeAdapter

    schema = TypeAdapter(Inventory).json_schema()
    schema["properties"]["format"]["const"] = INVENTORY_FORMAT
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": INVENTORY_FORMAT}


def _pf(pf: Pf, vfs: list[InventoryVf]) -> InventoryPf:
    shared = (
        "bus",
        "device",
        "netdev",
        "altnames",
        "mac",
        "vendor",
        "device_id",
        "driver",
        "driver_version",
        "out_of_tree",
        "numa_node",
        "up",
        "carrier",
        "speed",
        "mtu",
        "autoprobe",
        "num_vfs",
        "total_vfs",
        "uses",
    )
    values = {name: getattr(pf, name) for name in shared}
    return InventoryPf(
        id=pf.id,
        card=card_name(pf.vendor, pf.device_id),
        queues_per_vf=facts(pf.driver, pf.device_id).queues or None,
        used_vfs=sum(bool(vf.holders) for vf in vfs),
        vfs=vfs,
        **values,
    )


def _vf(
    pf: Pf,
    vf: Vf,
    holders: Holders,
    claims: dict[str, list[InventoryClaim]],
    macs: dict[tuple[str, str], str | None],
    pools: dict[str, list[str]],
) -> InventoryVf:
    return InventoryVf(
        index=vf.index,
        address=vf.address,
        driver=vf.driver,
        iommu_group=vf.iommu_group,
        netdev=vf.netdev,
        attributes=vf.attributes,
        holders=[
            InventoryHolder(holder.kind, holder.who, holder.nic, macs.get((holder.who, vf.address or "")))
            for holder in holders.get((pf.id, vf.index), [])
        ],
        claims=claims.get(vf.address or "", []),
        pools=pools.get(vf.address or "", []),
    )


def _macs(snapshot: Snapshot) -> dict[tuple[str, str], str | None]:
    """MACs of guests' NICs by domain and the VF's PCI address."""
    found: dict[tuple[str, str], str | None] = {}
    for network in snapshot.libvirt.networks.values():
        for port in network.ports:
            found[port.owner, port.vf_address or ""] = port.mac
    for domain in snapshot.libvirt.domains.values():
        for nic in domain.live:
            found[domain.name, nic.vf_address or ""] = nic.mac
    return found


def _claims(snapshot: Snapshot) -> dict[str, list[InventoryClaim]]:
    """Guests that are off, by the PCI addresses of the VFs that they name."""
    found: dict[str, list[InventoryClaim]] = {}
    for domain in snapshot.libvirt.domains.values():
        for nic in [] if domain.running else domain.config:
            if nic.vf_address:
                claim = InventoryClaim(domain.name, nic.alias or nic.mac or "")
                found.setdefault(nic.vf_address, []).append(claim)
    return found


def _guests(snapshot: Snapshot) -> list[InventoryGuest]:
    known = vfs_by_address(snapshot)

    def nic_of(nic: Nic) -> InventoryNic:
        vf = known.get(nic.vf_address or "")
        return InventoryNic(
            name=nic.alias or nic.mac or nic.vf_address or "",
            mac=nic.mac,
            pool=nic.pool,
            address=nic.vf_address,
            vf=InventoryVfRef(*vf) if vf is not None else None,
        )

    return [
        InventoryGuest(
            domain.name,
            domain.running,
            [nic_of(nic) for nic in (domain.live if domain.running else domain.config) if nic.method != "other"],
        )
        for domain in snapshot.libvirt.domains.values()
    ]


def _pool_addresses(snapshot: Snapshot) -> dict[str, list[str]]:
    """The PCI addresses that each pool gives out, or would give out if it were started now."""
    return {name: _gives(snapshot, network) for name, network in snapshot.libvirt.networks.items() if _is_pool(network)}


def _is_pool(network: Network) -> bool:
    return network.mode == "hostdev"


def _gives(snapshot: Snapshot, network: Network) -> list[str]:
    return list(network.live_addresses) if network.active else live_addresses(snapshot, network)


def _pool(snapshot: Snapshot, name: str, addresses: list[str], holders: Holders) -> InventoryPool:
    network, known = snapshot.libvirt.networks[name], vfs_by_address(snapshot)
    there: list[VfId] = [known[address] for address in addresses if address in known]
    nics = [nic for domain in snapshot.libvirt.domains.values() for nic, _ in nics_of(domain, name)]
    return InventoryPool(
        name=name,
        uuid=network.uuid,
        active=network.active,
        persistent=network.persistent,
        autostart=network.autostart,
        pf_dev=network.pf_dev,
        capacity=len(there),
        used=sum(bool(holders.get(vf)) for vf in there),
        nics=len(nics),
        vfs=[InventoryVfRef(*vf) for vf in there],
        missing=[address for address in addresses if address not in known],
    )


def _modules(snapshot: Snapshot) -> InventoryModules:
    drivers = {known.vf_driver for known in DRIVERS.values()} | {"vfio_pci"}
    drivers |= {vf.driver.replace("-", "_") for pf in snapshot.pfs.values() for vf in pf.vfs if vf.driver}
    loaded, listed = snapshot.modules.loaded, snapshot.modules.blacklist
    return InventoryModules(
        loaded=None if loaded is None else [module for module in loaded if module in drivers],
        blacklist=None if listed is None else [entry for entry in listed if entry.module in drivers],
        own=snapshot.modules.own,
    )
