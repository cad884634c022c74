"""libvirt's XML, read and written; pure text in, text out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from lxml import etree

from reconciler.host.model import OWN_ALIAS, STANDBY_ALIAS, Network, NetworkPort, Nic
from reconciler.host.protocol import NicMatch, NicSpec, PoolSpec

_ADDRESS = re.compile(r"([0-9a-f]{4,8}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])")
_MAX_XML = 16 * 1024 * 1024
"""Characters; libvirt sends strings of 4 MiB at most (src/remote/remote_protocol.x, REMOTE_STRING_MAX)."""
_KEPT = {"address", "boot", "rom", "acpi", "teaming"}
"""Children of a NIC that mean the same for every method, kept when the method changes."""
_REPLACED = {"mac", "source", "vlan", "alias"}
_VF_FIRST = {"hostdev": 0, "pci": 0, "network": 1}
"""By the type of an <interface> or <hostdev>."""

Element = etree._Element
IsVf = Callable[[str], bool | None]
"""Whether a PCI address is a VF's; ``None``: no device is there."""


def parse(xml: str, *, whole: bool = False) -> Element:
    """Parses without following entities or the network, and within libxml2's limits; ``whole``: with comments and
    CDATA, to be written again. Raises ValueError for what is no XML, and for what libvirt never writes: more than it
    can send, or a document type, which only declares entities."""
    if len(xml) > _MAX_XML:
        raise ValueError(f"libvirt's XML has {len(xml)} characters, and at most {_MAX_XML} are read")
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=not whole,
        strip_cdata=not whole,
    )
    try:
        element = etree.fromstring(xml.encode(), parser)
    except etree.XMLSyntaxError as error:
        raise ValueError(f"libvirt's XML can't be parsed: {error}") from error
    if element.getroottree().docinfo.internalDTD is not None:
        raise ValueError("libvirt's XML has a document type, which libvirt itself never writes")
    return element


def text(element: Element) -> str:
    """The XML of an element, indented."""
    etree.indent(element)
    return etree.tostring(element, encoding="unicode")


def plain_text(element: Element) -> str:
    """The XML of an element as it is, without touching its white space."""
    return etree.tostring(element, encoding="unicode", with_tail=False)


def canonical_text(element: Element) -> str:
    """The XML of an element in a form that does not depend on quotes, white space around elements, or where a namespace
    is declared (Exclusive XML Canonicalization)."""
    words = etree.tostring(element, method="c14n", exclusive=True, with_tail=False).decode().split()
    return " ".join(words).replace("> <", "><")


def pci_address(element: Element | None) -> str | None:
    """``0000:3b:10.0`` from an <address> with domain, bus, slot and function; ``None`` if it is none."""
    if element is None:
        return None
    try:
        parts = [_number(element.get(name) or "0x0") for name in ("domain", "bus", "slot", "function")]
    except ValueError:
        return None
    return "{:04x}:{:02x}:{:02x}.{:x}".format(*parts)


def _number(value: str) -> int:
    """As libvirt reads numbers: hexadecimal with 0x, else decimal (a leading 0 is harmless for addresses)."""
    return int(value, 16) if value[:2].lower() == "0x" else int(value)


def has_vfs(domain: Element, is_vf: IsVf) -> bool:
    """Whether a running domain has VFs, by its live XML, in which a pool's NIC has the address that it was given."""
    plain = domain.iterfind("devices/hostdev[@type='pci']/source/address")
    return (
        domain.find("devices/interface[@type='hostdev']") is not None
        or domain.find("devices/interface[@type='network']/source/address[@type='pci']") is not None
        or any((address := pci_address(item)) is not None and is_vf(address) for item in plain)
    )


def nics(domain: Element, is_vf: IsVf, modes: Mapping[str, str]) -> list[Nic]:
    """The NICs of a domain's XML. `is_vf` tells whether a PCI address is a VF's; `modes` are the forward
    modes of the networks that libvirt knows: a NIC in a hostdev network, or in one that libvirt does not
    know, is a pool's.

    A plain PCI <hostdev> counts when it is a VF, and with our own alias also while nothing is at its address
    (after a reboot); an <interface type='hostdev'> always, since libvirt gives it VFs only.
    """
    found = []
    devices = domain.find("devices")
    for element in devices if devices is not None else ():
        if element.tag == "interface":
            found.append(_interface(element, modes))
        elif element.tag == "hostdev":
            nic = _hostdev(element, is_vf)
            if nic is not None:
                found.append(nic)
    return found


def other_aliases(domain: Element, is_vf: IsVf) -> list[str]:
    """Aliases like those of our NICs, of devices that are no NICs, such as a PCI device that is no VF. An alias is
    unique in a domain."""
    return [
        alias
        for element in domain.iterfind("devices/*")
        if element.tag != "interface"
        and not (element.tag == "hostdev" and _hostdev(element, is_vf) is not None)
        and (alias := _alias(element) or "").startswith((OWN_ALIAS, STANDBY_ALIAS))
    ]


def _interface(element: Element, modes: Mapping[str, str]) -> Nic:
    mac = element.find("mac")
    nic = Nic(
        "other",
        alias=_alias(element),
        mac=(mac.get("address") or "").lower() or None if mac is not None else None,
    )
    tag = element.find("vlan/tag")
    nic.vlan = int(tag.get("id") or 0) if tag is not None else 0
    _teaming(element, nic)
    if element.get("type") == "bridge":
        source = element.find("source")
        nic.bridge = source.get("bridge") if source is not None else None
    elif element.get("type") == "hostdev":
        nic.method = "interface"
        nic.vf_address = pci_address(element.find("source/address"))
    elif element.get("type") == "network":
        source = element.find("source")
        nic.pool = source.get("network") if source is not None else None
        if modes.get(nic.pool or "", "hostdev") == "hostdev":
            nic.method = "pool"
    return nic


def _hostdev(element: Element, is_vf: IsVf) -> Nic | None:
    if element.get("type") != "pci" or element.get("mode") != "subsystem":
        return None
    nic = Nic("hostdev", alias=_alias(element), vf_address=pci_address(element.find("source/address")))
    _teaming(element, nic)
    return nic if is_vf_or_ours(nic.vf_address, nic.alias or "", is_vf) else None


def is_vf_or_ours(address: str | None, alias: str, is_vf: IsVf) -> bool:
    """Whether a plain <hostdev> is a NIC. Our alias makes one of what isn't there, but not of a device that is: whoever
    gave that to the guest, it stays."""
    found = is_vf(address) if address is not None else None
    return alias.startswith(OWN_ALIAS) if found is None else found


def _teaming(element: Element, nic: Nic) -> None:
    teaming = element.find("teaming")
    kind = teaming.get("type") if teaming is not None else None
    if teaming is not None and kind == "transient":
        nic.teaming, nic.partner = "transient", teaming.get("persistent")
    elif kind == "persistent":
        nic.teaming = "persistent"


def _alias(element: Element) -> str | None:
    alias = element.find("alias")
    return alias.get("name") if alias is not None else None


def mark_pool_nics(name: str, live: Iterable[Nic], config: Iterable[Nic], networks: Mapping[str, Network]) -> None:
    """Live XML shows a NIC from a pool as an <interface type='hostdev'> without its pool's name
    (src/conf/domain_conf.c, virDomainActualNetDefFormat). The name comes from the network's ports
    (libvirt 5.5 and newer), else from the same NIC in the persistent XML: by alias, else by MAC."""
    ports = {
        (port.mac, port.vf_address): network.name
        for network in networks.values()
        for port in network.ports
        if port.owner == name
    }
    pools = [nic for nic in config if nic.method == "pool" and nic.pool]
    by_alias = {nic.alias: nic.pool for nic in pools if nic.alias}
    by_mac = {nic.mac: nic.pool for nic in pools if nic.mac}
    for nic in live:
        if nic.method != "interface":
            continue
        pool = ports.get((nic.mac, nic.vf_address)) or by_alias.get(nic.alias or "") or by_mac.get(nic.mac or "")
        if pool is not None and _may_come_from(nic, networks.get(pool)):
            nic.method, nic.pool = "pool", pool


def _may_come_from(nic: Nic, network: Network | None) -> bool:
    """False when the pool is active and doesn't have the VF: the persistent XML was changed since the
    start."""
    return network is None or not network.live_addresses or nic.vf_address in network.live_addresses


@dataclass(slots=True)
class Forward:
    """What a network's XML says of where it forwards to."""

    mode: str
    """"" without a <forward> element."""
    pf_dev: str | None
    addresses: list[str]


def forward(network: Element) -> Forward:
    """The <forward> element of a network."""
    element = network.find("forward")
    if element is None:
        return Forward("", None, [])
    pf = element.find("pf")
    listed = [pci_address(address) for address in element.findall("address")]
    return Forward(
        # <forward/> alone means nat (docs/formatnetwork.rst)
        element.get("mode") or "nat",
        pf.get("dev") if pf is not None else None,
        [address for address in listed if address is not None],
    )


def network_port(xml: str) -> NetworkPort:
    """``virsh net-port-dumpxml``."""
    element = parse(xml)
    mac = element.find("mac")
    return NetworkPort(
        owner=element.findtext("owner/name") or "",
        mac=(mac.get("address") or "").lower() or None if mac is not None else None,
        vf_address=pci_address(element.find("plug/address")),
    )


def render_pool(pool: PoolSpec) -> str:
    """A hostdev network."""
    network = etree.Element("network")
    etree.SubElement(network, "name").text = pool.name
    if pool.uuid:
        etree.SubElement(network, "uuid").text = pool.uuid
    element = etree.SubElement(network, "forward", mode="hostdev", managed="yes")
    if pool.pf_dev:
        etree.SubElement(element, "pf", dev=pool.pf_dev)
    for address in pool.addresses:
        element.append(_pci_element(address))
    return text(network)


def render_nic(nic: NicSpec) -> str:
    """The device element of a NIC, for attaching it."""
    return text(nic_element(nic))


def nic_element(nic: NicSpec) -> Element:
    """<interface type='hostdev'>, <hostdev>, <interface type='network'>, or what stands in for one of them. A plain
    <hostdev> has neither MAC nor VLAN in its XML: libvirt leaves both alone, and they are set on the VF."""
    if nic.method == "hostdev":
        element = etree.Element("hostdev", mode="subsystem", type="pci", managed="yes")
    elif nic.method == "pool":
        element = etree.Element("interface", type="network")
    elif nic.method == "bridge":
        element = etree.Element("interface", type="bridge")
    else:
        element = etree.Element("interface", type="hostdev", managed="yes")
    if nic.method != "hostdev" and nic.mac:
        etree.SubElement(element, "mac", address=nic.mac)
    source = etree.SubElement(element, "source")
    if nic.method == "pool":
        source.set("network", nic.pool or "")
    elif nic.method == "bridge":
        source.set("bridge", nic.bridge or "")
        etree.SubElement(element, "model", type="virtio")
        etree.SubElement(element, "teaming", type="persistent")
    else:
        address = _pci_element(nic.vf_address or "")
        if nic.method == "hostdev":
            del address.attrib["type"]  # libvirt's schema has it in an <interface> and not in a <hostdev>
        source.append(address)
    if nic.method != "hostdev" and nic.vlan:
        etree.SubElement(etree.SubElement(element, "vlan"), "tag", id=str(nic.vlan))
    if nic.standby:
        etree.SubElement(element, "teaming", type="transient", persistent=nic.standby)
    etree.SubElement(element, "alias", name=nic.alias)
    return element


def on_bridge(domain: Element, alias: str, bridge: str) -> str | None:
    """The NIC with this alias, as it is but for its bridge; ``None`` if it is no NIC on a bridge."""
    element = find_nic(domain, NicMatch(alias))
    source = element.find("source") if element is not None and element.get("type") == "bridge" else None
    if element is None or source is None:
        return None
    source.set("bridge", bridge)
    return plain_text(element)


def other_interface(nic: Nic) -> Element:
    """A NIC that is no VF: in a libvirt network, else on its bridge, which is br0 if it isn't known."""
    element = etree.Element("interface", type="network" if nic.pool else "bridge")
    if nic.mac:
        etree.SubElement(element, "mac", address=nic.mac)
    etree.SubElement(element, "source", {"network": nic.pool} if nic.pool else {"bridge": nic.bridge or "br0"})
    if nic.alias:
        etree.SubElement(element, "alias", name=nic.alias)
    return element


def plain_domain(name: str, uuid: str, memory_kib: int, machine: str) -> Element:
    """A guest without any device."""
    element = etree.Element("domain", type="kvm")
    for tag, text_in_it in (("name", name), ("uuid", uuid)):
        etree.SubElement(element, tag).text = text_in_it
    etree.SubElement(element, "memory", unit="KiB").text = str(memory_kib)
    etree.SubElement(element, "vcpu").text = "2"
    kind = etree.SubElement(etree.SubElement(element, "os"), "type", arch="x86_64", machine=machine)
    kind.text = "hvm"
    etree.SubElement(element, "devices")
    return element


def _pci_element(address: str) -> Element:
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ValueError(f"{address!r} is no PCI address")
    names = ("domain", "bus", "slot", "function")
    values = {name: f"0x{part}" for name, part in zip(names, match.groups(), strict=True)}
    return etree.Element("address", {"type": "pci", **values})


def find_nic(domain: Element, match: NicMatch) -> Element | None:
    """The NIC's element: by alias, else by MAC, else by its VF's PCI address, among <interface> and PCI
    <hostdev> devices. ``None`` if there is none."""
    devices = domain.find("devices")
    elements = [e for e in devices if e.tag in ("interface", "hostdev")] if devices is not None else []
    for wanted, value in (
        (match.alias, _alias),
        (match.mac, _mac),
        (match.vf_address, lambda e: pci_address(e.find("source/address"))),
    ):
        found = [element for element in elements if wanted and value(element) == wanted]
        if found:
            # A failover pair shares one MAC: the VF is meant, not its stand-in.
            return min(found, key=lambda e: _VF_FIRST.get(e.get("type") or "", len(_VF_FIRST)))
    return None


def _mac(element: Element) -> str | None:
    mac = element.find("mac")
    return (mac.get("address") or "").lower() if mac is not None else None


def replace_nic(domain: Element, old: Element, nic: NicSpec) -> None:
    """Puts a NIC in the place of another. What we don't manage stays: its place on the guest's PCI bus,
    boot order, teaming, …; with the same method everything that we don't write, else what every method
    has. A MAC that is not given stays as well."""
    new = nic_element(nic)
    same = new.tag == old.tag and new.get("type") == old.get("type")
    if nic.method != "hostdev" and not nic.mac and (mac := old.find("mac")) is not None:
        new.insert(0, mac)
    if same and nic.method == "pool":
        _keep_portgroup(old, new)
    replaced = _REPLACED if nic.standby is None else _REPLACED | {"teaming"}
    for child in list(old):
        if child.tag not in replaced and (same or child.tag in _KEPT):
            new.append(child)
    if same and old.get("managed") and nic.method != "pool":
        new.set("managed", old.get("managed") or "yes")
    parent = old.getparent()
    if parent is None:
        raise ValueError("the NIC is in no domain")
    parent.replace(old, new)


def _keep_portgroup(old: Element, new: Element) -> None:
    before, after = old.find("source"), new.find("source")
    if before is None or after is None or before.get("network") != after.get("network"):
        return
    portgroup = before.get("portgroup")
    if portgroup:
        after.set("portgroup", portgroup)
