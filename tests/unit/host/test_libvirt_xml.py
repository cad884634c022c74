"""libvirt's XML, both ways."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from reconciler.host.local import guest_xml
from reconciler.host.local import libvirt_xml as xml
from reconciler.host.model import Network, NetworkPort, Nic
from reconciler.host.protocol import NicMatch, NicSpec, PoolSpec

DOMAIN = """<domain type='kvm'>
  <name>web1</name>
  <devices>
    <interface type='hostdev' managed='yes'>
      <mac address='52:54:00:6D:90:03'/>
      <driver name='vfio'/>
      <source><address type='pci' domain='0x0000' bus='0x3b' slot='0x10' function='0x6'/></source>
      <vlan><tag id='42'/></vlan>
      <alias name='ua-rec-mgmt'/>
      <boot order='1'/>
      <address type='pci' domain='0x0000' bus='0x05' slot='0x00' function='0x0'/>
    </interface>
    <interface type='network'>
      <mac address='52:54:00:6d:90:02'/>
      <source network='sriov-int' portgroup='blue'/>
      <model type='virtio'/>
      <alias name='ua-rec-data'/>
      <address type='pci' domain='0x0000' bus='0x06' slot='0x00' function='0x0'/>
    </interface>
    <interface type='network'><source network='default'/><mac address='52:54:00:00:00:01'/></interface>
    <interface type='network'><source network='undefined'/></interface>
    <interface type='bridge'><source bridge='br0'/><mac address='52:54:00:6d:90:03'/></interface>
    <interface type='user'/>
    <hostdev mode='subsystem' type='pci' managed='yes'>
      <source><address domain='0x0000' bus='0x3b' slot='0x11' function='0x0'/></source>
      <alias name='ua-rec-fast'/>
    </hostdev>
    <hostdev mode='subsystem' type='pci'>
      <source><address domain='0x0000' bus='0x3b' slot='0x11' function='0x2'/></source>
    </hostdev>
    <hostdev mode='subsystem' type='pci'>
      <source><address domain='0x0000' bus='0x65' slot='0x00' function='0x0'/></source>
    </hostdev>
    <hostdev mode='subsystem' type='usb'><source><vendor id='0x1234'/></source></hostdev>
  </devices>
</domain>"""
MODES = {"sriov-int": "hostdev", "default": "nat"}


def gone(address: str) -> bool | None:
    """Nothing is at any address."""
    return None


@pytest.mark.parametrize(("found", "is_nic"), [(True, True), (None, True), (False, False)])
def test_our_alias_makes_no_nic_of_a_device_that_is_there_and_no_vf(found: bool | None, is_nic: bool) -> None:
    device = (
        "<hostdev mode='subsystem' type='pci'><source><address domain='0' bus='0x65' slot='0' function='0'/></source>"
        "<alias name='ua-rec-gpu'/></hostdev>"
    )
    domain = xml.parse(f"<domain><devices>{device}</devices></domain>")
    assert [nic.alias for nic in xml.nics(domain, lambda address: found, {})] == (["ua-rec-gpu"] if is_nic else [])
    assert xml.other_aliases(domain, lambda address: found) == ([] if is_nic else ["ua-rec-gpu"])
    assert [guest_xml.name_of(taken.element) for taken in guest_xml.vf_nics(domain, lambda address: found)] == (
        ["ua-rec-gpu"] if is_nic else []
    )


def test_devices_that_are_no_nics_and_have_an_alias_like_ours() -> None:
    devices = (
        "<disk><alias name='ua-rec-data'/></disk><disk><alias name='ua-standby-x'/></disk>"
        "<channel><alias name='ua-other'/></channel><memballoon/>"
        "<hostdev mode='subsystem' type='usb'><alias name='ua-rec-usb'/></hostdev></devices>"
    )
    assert xml.other_aliases(xml.parse(DOMAIN), gone) == []
    assert xml.other_aliases(xml.parse(DOMAIN.replace("</devices>", devices)), gone) == [
        "ua-rec-data",
        "ua-standby-x",
        "ua-rec-usb",
    ]


def test_nics_of_a_domain() -> None:
    assert xml.nics(xml.parse(DOMAIN), lambda address: address == "0000:3b:11.2" or None, MODES) == [
        Nic("interface", "ua-rec-mgmt", "52:54:00:6d:90:03", "0000:3b:10.6", vlan=42),
        Nic("pool", "ua-rec-data", "52:54:00:6d:90:02", pool="sriov-int"),
        Nic("other", mac="52:54:00:00:00:01", pool="default"),
        Nic("pool", pool="undefined"),
        Nic("other", mac="52:54:00:6d:90:03", bridge="br0"),
        Nic("other"),
        Nic("hostdev", "ua-rec-fast", vf_address="0000:3b:11.0"),
        Nic("hostdev", vf_address="0000:3b:11.2"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "<domain/>",
        "<domain><devices/></domain>",
        "<domain><devices><interface/><hostdev/><interface type='hostdev'/></devices></domain>",
        "<domain><devices><interface type='hostdev'><source><address bus='z'/></source></interface></devices></domain>",
        "<domain><devices><interface type='network'><mac/><vlan/></interface></devices></domain>",
        "<domain><devices><!-- <interface/> --><?pi?></devices></domain>",
    ],
)
def test_poor_xml_is_no_crash(text: str) -> None:
    for nic in xml.nics(xml.parse(text), lambda address: True, {}):
        assert nic.vf_address is None or nic.vf_address == "0000:00:00.0"


@pytest.mark.parametrize("text", ["", "<domain>", "text", "<a></b>"])
def test_what_is_no_xml(text: str) -> None:
    with pytest.raises(ValueError, match="can't be parsed"):
        xml.parse(text)


LAUGHS = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 12))


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/hostname'>]><domain><name>&x;</name></domain>",
        "<!DOCTYPE d SYSTEM 'http://127.0.0.1:9/d.dtd'><domain/>",
        f"<!DOCTYPE d [<!ENTITY l0 'ha'>{LAUGHS}]><domain><name>&l11;</name></domain>",
        "<!DOCTYPE d [<!ENTITY % x SYSTEM 'file:///etc/hostname'> %x;]><domain/>",
        "<domain>&x;</domain>",
        "<a>" * 3000 + "</a>" * 3000,
        f"<domain><name>{'x' * (xml._MAX_XML)}</name></domain>",
        "<domain><name>\ud800</name></domain>",
        "",
    ],
    ids=["external", "dtd", "laughs", "parameter", "undeclared", "deep", "long", "surrogate", "empty"],
)
def test_what_libvirt_never_writes_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  whatever it says
        xml.parse(text)


def test_an_entity_is_never_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the document type were let through."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    text = f"<!DOCTYPE d [<!ENTITY x SYSTEM 'file://{secret}'>]><domain><name>&x;</name></domain>"
    made: list[Any] = []
    monkeypatch.setattr(xml.etree, "fromstring", lambda data, parser: made.append(etree.XML(data, parser)) or made[0])
    with pytest.raises(ValueError, match="document type"):
        xml.parse(text)
    assert "secret" not in etree.tostring(made[0].find("name"), encoding="unicode")


MARKUP = "a'\"<b>&amp;]]>{0}"


def test_names_are_never_markup() -> None:
    """What is built has the elements that are meant, and the names in it as they are."""
    pool = etree.fromstring(xml.render_pool(PoolSpec(MARKUP, pf_dev=MARKUP)))
    assert (pool.findtext("name"), pool.find("forward/pf").get("dev")) == (MARKUP, MARKUP)
    assert [child.tag for child in pool] == ["name", "forward"]
    nic = etree.fromstring(xml.render_nic(NicSpec("pool", MARKUP, MARKUP, 3, pool=MARKUP)))
    assert [child.tag for child in nic] == ["mac", "source", "vlan", "alias"]
    assert nic.find("source").get("network") == nic.find("alias").get("name") == MARKUP


@pytest.mark.parametrize("name", ["a\x00", "a\x1b", "\ud800"])
def test_what_xml_can_not_hold_is_refused(name: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  whatever it says
        xml.render_pool(PoolSpec(name, pf_dev="x"))


def live() -> list[Nic]:
    return [
        Nic("interface", "ua-rec-data", "52:54:00:6d:90:02", "0000:3b:10.0"),
        Nic("interface", "hostdev1", "52:54:00:6d:90:05", "0000:3b:10.2"),
        Nic("interface", "ua-rec-mgmt", "52:54:00:6d:90:03", "0000:3b:10.6"),
        Nic("hostdev", "ua-rec-data", None, "0000:3b:11.0"),
    ]


def test_pools_of_live_nics_from_the_persistent_xml() -> None:
    config = [
        Nic("pool", "ua-rec-data", "52:54:00:6d:90:99", pool="a"),
        Nic("pool", None, "52:54:00:6d:90:05", pool="b"),
        Nic("interface", "ua-rec-mgmt", "52:54:00:6d:90:03", "0000:3b:10.6"),
    ]
    nics = live()
    xml.mark_pool_nics("web1", nics, config, {})
    assert [(nic.method, nic.pool) for nic in nics] == [
        ("pool", "a"),
        ("pool", "b"),
        ("interface", None),
        ("hostdev", None),
    ]


def test_pools_of_a_transient_guest_from_the_ports() -> None:
    ports = [
        NetworkPort("web1", "52:54:00:6d:90:02", "0000:3b:10.0"),
        NetworkPort("other", "52:54:00:6d:90:05", "0000:3b:10.2"),
    ]
    nics = live()
    xml.mark_pool_nics("web1", nics, [], {"a": Network("a", "", ports=ports)})
    assert [nic.pool for nic in nics] == ["a", None, None, None]


def test_a_nic_outside_of_the_active_pool_is_not_from_it() -> None:
    config = [Nic("pool", "ua-rec-data", "52:54:00:6d:90:02", pool="a")]
    nics = live()
    xml.mark_pool_nics("web1", nics, config, {"a": Network("a", "", live_addresses=["0000:3b:12.0"])})
    assert nics[0].method == "interface"


def test_networks() -> None:
    pf = "<network><forward mode='hostdev' managed='yes'><pf dev='p1p1'/></forward></network>"
    assert xml.forward(xml.parse(pf)) == xml.Forward("hostdev", "p1p1", [])
    listed = """<network connections='1'><forward mode='hostdev'><pf dev='p1p1'/>
      <address type='pci' domain='0x0000' bus='0x3b' slot='0x10' function='0x0' connections='1'/>
      <address type='pci' domain='0' bus='59' slot='16' function='2'/></forward></network>"""
    assert xml.forward(xml.parse(listed)).addresses == ["0000:3b:10.0", "0000:3b:10.2"]
    assert xml.forward(xml.parse("<network><bridge name='virbr0'/></network>")).mode == ""
    assert xml.forward(xml.parse("<network><forward/></network>")).mode == "nat"


def test_a_network_port() -> None:
    # from libvirt's tests/virnetworkportxml2xmldata/plug-hostdev-pci.xml
    port = """<networkport><uuid>5d744f21-ba4a-4d6e-bdb2-30a35ff3207d</uuid>
      <owner><name>memtest</name><uuid>d54df46f-1ab5-4a22-8618-4560ef5fac2c</uuid></owner>
      <mac address='52:54:00:7B:35:93'/>
      <plug type='hostdev-pci' managed='yes'>
        <address domain='0x0001' bus='0x02' slot='0x03' function='0x4'/></plug></networkport>"""
    assert xml.network_port(port) == NetworkPort("memtest", "52:54:00:7b:35:93", "0001:02:03.4")
    assert xml.network_port("<networkport/>") == NetworkPort("")


INTERFACE = NicSpec("interface", "ua-rec-mgmt", "52:54:00:6d:90:03", 100, vf_address="0000:3b:10.6")
HOSTDEV = NicSpec("hostdev", "ua-rec-fast", "52:54:00:6d:90:04", 100, vf_address="0000:3b:11.0")
POOL = NicSpec("pool", "ua-rec-data", "52:54:00:6d:90:02", 0, pool="sriov-int")


def test_rendered_nics() -> None:
    assert xml.render_nic(INTERFACE) == (
        '<interface type="hostdev" managed="yes">\n'
        '  <mac address="52:54:00:6d:90:03"/>\n'
        "  <source>\n"
        '    <address type="pci" domain="0x0000" bus="0x3b" slot="0x10" function="0x6"/>\n'
        "  </source>\n"
        "  <vlan>\n"
        '    <tag id="100"/>\n'
        "  </vlan>\n"
        '  <alias name="ua-rec-mgmt"/>\n'
        "</interface>"
    )
    assert xml.render_nic(HOSTDEV) == (
        '<hostdev mode="subsystem" type="pci" managed="yes">\n'
        "  <source>\n"
        '    <address domain="0x0000" bus="0x3b" slot="0x11" function="0x0"/>\n'
        "  </source>\n"
        '  <alias name="ua-rec-fast"/>\n'
        "</hostdev>"
    )
    assert xml.render_nic(POOL) == (
        '<interface type="network">\n'
        '  <mac address="52:54:00:6d:90:02"/>\n'
        '  <source network="sriov-int"/>\n'
        '  <alias name="ua-rec-data"/>\n'
        "</interface>"
    )


@pytest.mark.parametrize("nic", [INTERFACE, HOSTDEV, POOL])
def test_a_rendered_nic_reads_back(nic: NicSpec) -> None:
    domain = xml.parse(f"<domain><devices>{xml.render_nic(nic)}</devices></domain>")
    (found,) = xml.nics(domain, lambda address: True, MODES)
    plain = nic.method == "hostdev"
    assert found == Nic(
        nic.method,
        nic.alias,
        None if plain else nic.mac,
        nic.vf_address,
        nic.pool,
        0 if plain else nic.vlan or 0,
    )


STANDBY = NicSpec("bridge", "ua-standby-mgmt", "52:54:00:6d:90:03", bridge="br0")


def test_a_rendered_pair_reads_back() -> None:
    assert xml.render_nic(STANDBY) == (
        '<interface type="bridge">\n'
        '  <mac address="52:54:00:6d:90:03"/>\n'
        '  <source bridge="br0"/>\n'
        '  <model type="virtio"/>\n'
        '  <teaming type="persistent"/>\n'
        '  <alias name="ua-standby-mgmt"/>\n'
        "</interface>"
    )
    for spec in (INTERFACE, HOSTDEV, POOL):
        paired = xml.render_nic(replace(spec, standby="ua-standby-mgmt"))
        domain = xml.parse(f"<domain><devices>{xml.render_nic(STANDBY)}{paired}</devices></domain>")
        standby, nic = xml.nics(domain, lambda address: True, MODES)
        assert standby == Nic("other", "ua-standby-mgmt", STANDBY.mac, bridge="br0", teaming="persistent")
        assert (nic.method, nic.teaming, nic.partner) == (spec.method, "transient", "ua-standby-mgmt")


def test_a_nic_on_another_bridge_is_otherwise_as_it_was() -> None:
    device = (
        "<interface type='bridge'><mac address='52:54:00:6d:90:03'/><source bridge='br0'/><target dev='vnet0'/>"
        "<mtu size='9000'/><alias name='ua-standby-a'/></interface>"
    )
    domain = f"<domain><devices>{device}<interface type='user'><alias name='ua-b'/></interface></devices></domain>"
    moved = xml.on_bridge(xml.parse(domain), "ua-standby-a", "br1")
    assert moved == device.replace("br0", "br1").replace("'", '"')
    assert xml.on_bridge(xml.parse(domain), "ua-b", "br1") is None
    assert xml.on_bridge(xml.parse(domain), "ua-c", "br1") is None


@pytest.mark.parametrize(
    ("standby", "teaming"), [(None, {"type": "transient", "persistent": "ua-x"}), ("", None), ("ua-y", "ua-y")]
)
def test_replacing_keeps_or_changes_the_pair(standby: str | None, teaming: object) -> None:
    domain = xml.parse(DOMAIN.replace("<vlan>", "<teaming type='transient' persistent='ua-x'/><vlan>", 1))
    old = xml.find_nic(domain, NicMatch("ua-rec-mgmt"))
    assert old is not None
    xml.replace_nic(domain, old, replace(INTERFACE, standby=standby))
    found = xml.find_nic(domain, NicMatch("ua-rec-mgmt")).findall("teaming")  # type: ignore[union-attr]
    if isinstance(teaming, str):
        assert [element.get("persistent") for element in found] == [teaming]
    else:
        assert [dict(element.attrib) for element in found] == ([teaming] if teaming else [])


POOLS = [
    PoolSpec("sriov-int", pf_dev="p1p1"),
    PoolSpec("a & <b>", uuid="5d744f21-ba4a-4d6e-bdb2-30a35ff3207d", addresses=["0000:3b:10.0", "0001:3b:1f.7"]),
]


@pytest.mark.parametrize("pool", POOLS)
def test_a_rendered_pool_reads_back(pool: PoolSpec) -> None:
    network = xml.parse(xml.render_pool(pool))
    assert (network.findtext("name"), network.findtext("uuid")) == (pool.name, pool.uuid)
    assert xml.forward(network) == xml.Forward("hostdev", pool.pf_dev, list(pool.addresses))


def test_what_is_no_pci_address() -> None:
    with pytest.raises(ValueError, match="no PCI address"):
        xml.render_pool(PoolSpec("a", addresses=["01:00.0"]))


@pytest.mark.parametrize(
    ("match", "alias"),
    [
        (NicMatch(alias="ua-rec-data", mac="52:54:00:6d:90:03"), "ua-rec-data"),
        (NicMatch(alias="ua-rec-none", mac="52:54:00:6d:90:02"), "ua-rec-data"),
        (NicMatch(mac="52:54:00:6d:90:03"), "ua-rec-mgmt"),  # and not the bridge with the same MAC
        (NicMatch(vf_address="0000:3b:11.0"), "ua-rec-fast"),
    ],
)
def test_finding_a_nic(match: NicMatch, alias: str) -> None:
    found = xml.find_nic(xml.parse(DOMAIN), match)
    assert found is not None
    assert found.find("alias").get("name") == alias  # type: ignore[union-attr]


def test_not_finding_a_nic() -> None:
    assert xml.find_nic(xml.parse(DOMAIN), NicMatch()) is None
    assert xml.find_nic(xml.parse("<domain/>"), NicMatch(alias="a")) is None


def replaced(match: NicMatch, nic: NicSpec) -> etree._Element:
    domain = xml.parse(DOMAIN)
    before = [child.tag for child in domain.find("devices")]  # type: ignore[union-attr]
    old = xml.find_nic(domain, match)
    assert old is not None
    xml.replace_nic(domain, old, nic)
    found = xml.find_nic(domain, NicMatch(alias=nic.alias))
    assert found is not None
    after = [child.tag for child in domain.find("devices")]  # type: ignore[union-attr]
    assert len(before) == len(after)
    return found


def test_replacing_keeps_what_is_not_ours() -> None:
    new = replaced(NicMatch(alias="ua-rec-mgmt"), NicSpec("interface", "ua-rec-mgmt", None, 0, "0000:3b:10.0"))
    assert [child.tag for child in new] == ["mac", "source", "alias", "driver", "boot", "address"]
    assert new.find("mac").get("address") == "52:54:00:6D:90:03"  # type: ignore[union-attr]
    assert new.find("address").get("bus") == "0x05"  # type: ignore[union-attr]
    assert xml.pci_address(new.find("source/address")) == "0000:3b:10.0"


def test_replacing_by_another_method_keeps_the_place() -> None:
    new = replaced(NicMatch(alias="ua-rec-mgmt"), NicSpec("pool", "ua-rec-mgmt", None, None, pool="a"))
    assert [child.tag for child in new] == ["mac", "source", "alias", "boot", "address"]
    new = replaced(NicMatch(alias="ua-rec-data"), HOSTDEV)
    assert [child.tag for child in new] == ["source", "alias", "address"]


def test_replacing_keeps_the_portgroup_of_the_same_pool() -> None:
    def source(pool: str) -> dict[str, str]:
        new = replaced(NicMatch(alias="ua-rec-data"), NicSpec("pool", "ua-rec-data", pool=pool))
        return {str(k): str(v) for k, v in new.find("source").attrib.items()}  # type: ignore[union-attr]

    assert source("sriov-int") == {"network": "sriov-int", "portgroup": "blue"}
    assert source("other") == {"network": "other"}
