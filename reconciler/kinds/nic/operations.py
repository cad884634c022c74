"""Operations on a guest's NIC.

The argument ``nic`` is the device as it is to stand in the XML: ``method``, ``alias``, ``mac`` and ``vlan`` (interface
and pool only), ``standby`` (alias of what stands in for it; null: nothing does), and ``vf`` (``[PF identity, index]``)
or ``pool``. ``match`` finds a device, by one of ``alias``, ``mac`` and ``vf`` (PCI address).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reconciler.drivers.readback import complete
from reconciler.drivers.table import facts
from reconciler.host.model import Domain, NetworkPort, Nic, PciBus, Snapshot
from reconciler.kinds.arguments import MATCH, NIC
from reconciler.kinds.holders import predicted_address, vfs_by_address
from reconciler.kinds.operation import Args, Operation, domain_scope
from reconciler.kinds.pf.operations import probed
from reconciler.kinds.pool.forgotten import knows_ports
from reconciler.kinds.vf.operations import find_vf
from reconciler.state.checks import DOMAIN, flag, table
from reconciler.state.desired import ZERO_MAC, Attributes


def nic_address(host: Snapshot, nic: Args) -> str | None:
    """PCI address of the VF that a ``nic`` argument names; ``None`` for a pool NIC."""
    if nic.get("vf") is None:
        return None
    identity, index = nic["vf"]
    pf = host.pfs.get(identity)
    return predicted_address(pf, index) if pf is not None else None


def same_device(host: Snapshot, nic: Nic, wanted: Args, *, vlan: bool) -> bool:
    """Whether a device in an XML is as a ``nic`` argument says. ``vlan`` false: the tag doesn't count (in live XML it
    stays what it was at the attach, while the kernel's may have been changed since)."""
    return (
        nic.method == wanted["method"]
        and nic.pool == wanted.get("pool")
        and (wanted.get("vf") is None or nic.vf_address == nic_address(host, wanted))
        and (wanted.get("mac") is None or nic.mac == wanted["mac"])
        and ("standby" not in wanted or nic.partner == wanted["standby"])
        and (not vlan or wanted.get("vlan") is None or nic.vlan == wanted["vlan"])
    )


def find_match(nics: list[Nic], match: Args) -> Nic | None:
    """The device that a ``match`` argument means. It has one key: ``alias``, ``mac``, or ``vf`` (PCI address)."""
    ((key, wanted),) = match.items()
    get = {"alias": _alias, "mac": _mac, "vf": _vf}[key]
    return next((nic for nic in nics if nic.method != "other" and get(nic) == wanted), None)


def _alias(nic: Nic) -> str | None:
    return nic.alias


def _mac(nic: Nic) -> str | None:
    return nic.mac


def _vf(nic: Nic) -> str | None:
    return nic.vf_address


def _domain(host: Snapshot, args: Args) -> Domain | None:
    return host.libvirt.domains.get(args["domain"])


def _attached(host: Snapshot, args: Args) -> bool:
    domain = _domain(host, args)
    if domain is None:
        return False
    match = {"alias": args["nic"]["alias"]}
    for wanted, nics in ((args["live"], domain.live), (args["config"], domain.config)):
        if wanted:
            nic = find_match(nics, match)
            if nic is None or not same_device(host, nic, args["nic"], vlan=True):
                return False
    return True


def takes_port(nic: Nic) -> bool:
    """Whether a device has a PCIe root port to itself, on a machine that has them."""
    return nic.method != "other" or nic.teaming == "persistent"


def occupy(domain: Domain, *, live: bool, count: int = 1) -> None:
    """Takes free root ports for devices, or gives them back (``count`` below 0). libvirt adds one to a definition that
    has none left (qemuDomainAssignPCIAddresses)."""
    if live and domain.hardware is not None and domain.hardware.free_root_ports is not None:
        free = domain.hardware.free_root_ports
        domain.hardware = replace(domain.hardware, free_root_ports=max(0, free - count))
    elif not live and domain.buses is not None:
        chosen = next((bus for bus in domain.buses if bus.free == (count > 0)), None)
        last = max((bus.index for bus in domain.buses), default=0)
        if chosen is not None:
            domain.buses = [replace(bus, free=not bus.free) if bus is chosen else bus for bus in domain.buses]
        elif count > 0:
            domain.buses = [*domain.buses, PciBus(last + 1)]


def _attach(host: Snapshot, args: Args) -> None:
    domain = host.libvirt.domains[args["domain"]]
    if args["config"]:
        domain.config.append(_device(host, args["nic"]))
        occupy(domain, live=False)
    if args["live"]:
        occupy(domain, live=True)
        nic = _device(host, args["nic"])
        if nic.pool is not None:
            nic.vf_address = _from_pool(host, nic.pool)
        domain.live.append(nic)
        if nic.pool in host.libvirt.networks:
            host.libvirt.networks[nic.pool].ports.append(NetworkPort(domain.name, nic.mac, nic.vf_address))
        _libvirt_prepares(host, nic)


def _device(host: Snapshot, nic: Args) -> Nic:
    return Nic(
        method=nic["method"],
        alias=nic["alias"],
        mac=nic.get("mac"),
        vf_address=nic_address(host, nic),
        pool=nic.get("pool"),
        vlan=nic.get("vlan") or 0,
        teaming="transient" if nic.get("standby") else "",
        partner=nic.get("standby"),
    )


def _from_pool(host: Snapshot, name: str) -> str | None:
    """What libvirt would give: the first address that this network has given to nobody, whoever else has it
    (networkAllocatePort). Where it doesn't tell whom it has given what, the first that no guest has."""
    network = host.libvirt.networks.get(name)
    if network is None:
        return None
    used = {port.vf_address for port in network.ports}
    if not knows_ports(host):
        used = {nic.vf_address for domain in host.libvirt.domains.values() for nic in domain.live}
    return next((item for item in network.live_addresses if item not in used), None)


def _libvirt_prepares(host: Snapshot, nic: Nic) -> None:
    """Binds the VF to vfio-pci; for an interface keeps MAC and VLAN to put them back, sets its own, and clears what it
    can't carry (virNetDevSaveNetConfig, virNetDevSetVfConfig)."""
    vf = find_vf(host, vfs_by_address(host).get(nic.vf_address or ""))
    if vf is None:
        return
    vf.driver, vf.netdev, vf.uses = "vfio-pci", None, []
    if nic.method != "hostdev" and vf.attributes is not None:
        vf.saved = {name: vf.attributes[name] for name in ("mac", "vlan") if name in vf.attributes}
        vlan: Attributes = complete({"vlan": nic.vlan, "qos": 0}, {})
        vf.attributes.update({"mac": nic.mac or ZERO_MAC, **vlan})


def _libvirt_releases(host: Snapshot, nic: Nic) -> None:
    """Gives the VF back to the host's driver, if one may take it; MAC and VLAN return to what they were before, which
    is nothing where that isn't known (virNetDevRestoreNetConfig)."""
    where = vfs_by_address(host).get(nic.vf_address or "")
    vf = find_vf(host, where)
    if vf is None or where is None:
        return
    vf.driver = left_by_libvirt(host, where[0])
    if nic.method != "hostdev" and vf.attributes is not None:
        saved = vf.saved or {}
        vlan: Attributes = complete({"vlan": saved.get("vlan", 0), "qos": 0}, {})
        vf.attributes.update({"mac": saved.get("mac", ZERO_MAC), **vlan})
        vf.saved = None


def left_by_libvirt(host: Snapshot, pf: str) -> str | None:
    """The driver that a managed VF has after libvirt gave it back: it asks the kernel to probe."""
    card = host.pfs[pf]
    return facts(card.driver, card.device_id).vf_driver if probed(host, card) else None


def _detached(host: Snapshot, args: Args) -> bool:
    domain = _domain(host, args)
    if domain is None:
        return host.libvirt.available
    live = args["live"] and find_match(domain.live, args["match"]) is not None
    return not live and not (args["config"] and find_match(domain.config, args["match"]) is not None)


def _detach(host: Snapshot, args: Args) -> None:
    domain = host.libvirt.domains[args["domain"]]
    if args["config"]:
        gone = find_match(domain.config, args["match"])
        domain.config = [nic for nic in domain.config if nic is not gone]
        if gone is not None:
            occupy(domain, live=False, count=-1)
    if args["live"]:
        gone = find_match(domain.live, args["match"])
        domain.live = [nic for nic in domain.live if nic is not gone]
        if gone is not None:
            occupy(domain, live=True, count=-1)
            for network in host.libvirt.networks.values():
                network.ports = [port for port in network.ports if port.vf_address != gone.vf_address]
            _libvirt_releases(host, gone)


def _updated(host: Snapshot, args: Args) -> bool:
    domain = _domain(host, args)
    nic = find_match(domain.config, {"alias": args["nic"]["alias"]}) if domain is not None else None
    return nic is not None and same_device(host, nic, args["nic"], vlan=True)


def _update(host: Snapshot, args: Args) -> None:
    domain = host.libvirt.domains[args["domain"]]
    old, new = find_match(domain.config, args["match"]), _device(host, args["nic"])
    if old is not None and "standby" not in args["nic"]:  # What a file says nothing of stays.
        new.teaming, new.partner = old.teaming, old.partner
    domain.config = [new if nic is old else nic for nic in domain.config]


def match_of(nic: Nic) -> dict[str, Any]:
    """The ``match`` argument for a device that was observed: by its alias if that is a lasting one (libvirt's own, like
    ``hostdev0``, stand in live XML only), else by its MAC, else by its VF."""
    if (nic.alias or "").startswith("ua-"):
        return {"alias": nic.alias}
    return {"mac": nic.mac} if nic.mac is not None else {"vf": nic.vf_address}


# A guest answers an unplug request in a second or not at all; under load it may take a while.
GUEST_ANSWERS = 60.0

OPERATIONS = (
    Operation(
        "nic.attach",
        table({"domain": DOMAIN, "nic": NIC, "live": flag, "config": flag}),
        domain_scope,
        _attached,
        _attach,
        deadline=lambda args: 30.0,
    ),
    Operation(
        "nic.detach",
        table({"domain": DOMAIN, "match": MATCH, "live": flag, "config": flag}),
        domain_scope,
        _detached,
        _detach,
        deadline=lambda args: GUEST_ANSWERS,
    ),
    Operation("nic.update", table({"domain": DOMAIN, "match": MATCH, "nic": NIC}), domain_scope, _updated, _update),
)
