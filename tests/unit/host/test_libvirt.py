"""Reading and changing domains and networks, with a fake binding."""

from __future__ import annotations

import sys

import pytest

from reconciler.host.local import libvirt as module
from reconciler.host.local import libvirt_writer
from reconciler.host.local.libvirt import LibvirtReader
from reconciler.host.local.libvirt_errors import advice
from reconciler.host.local.libvirt_writer import LibvirtWriter
from reconciler.host.model import NetworkPort, Nic, Snapshot
from reconciler.host.platform import Platform
from reconciler.host.protocol import HostError, NicMatch, NicSpec, PoolSpec
from reconciler.host.snapshot import dump
from tests.unit.host.fake_libvirt import FakeLibvirt, Thing, hang, libvirtError

URI = "qemu:///system"
CONFIG = """<domain><devices><interface type='network'><mac address='52:54:00:6d:90:02'/>
  <source network='p'/><alias name='ua-rec-data'/></interface></devices></domain>"""
LIVE = """<domain><devices><interface type='hostdev'><mac address='52:54:00:6d:90:02'/>
  <source><address type='pci' domain='0x0000' bus='0x01' slot='0x10' function='0x0'/></source>
  <alias name='ua-rec-data'/></interface></devices></domain>"""
POOL = "<network><forward mode='hostdev'><pf dev='enp1s0'/></forward></network>"
ACTIVE = """<network><forward mode='hostdev'><pf dev='enp1s0'/>
  <address type='pci' domain='0x0000' bus='0x01' slot='0x10' function='0x0'/></forward></network>"""
PORT = """<networkport><owner><name>web1</name></owner><mac address='52:54:00:6d:90:02'/>
  <plug type='hostdev-pci'><address domain='0x0000' bus='0x01' slot='0x10' function='0x0'/></plug>
</networkport>"""


def fill(fake: FakeLibvirt) -> None:
    """A pool with a running guest in it, and a guest that is off."""
    pool = Thing("p", isActive=1, XMLDesc=lambda flags: POOL if flags else ACTIVE)
    pool.answers["listAllPorts"] = lambda flags: [Thing("port", XMLDesc=PORT)]
    fake.networks = [pool, Thing("default", XMLDesc="<network><forward mode='nat'/></network>")]
    fake.domains = [
        Thing("web1", isActive=1, XMLDesc=lambda flags: CONFIG if flags else LIVE),
        Thing("off", XMLDesc=CONFIG.replace("network='p'", "network='default'")),
    ]


def test_everything(libvirt: FakeLibvirt) -> None:
    fill(libvirt)
    found = LibvirtReader(URI).read(lambda address: True)
    assert (found.available, found.version, libvirt.opened) == (True, 11003000, ["ro"])
    web1, off = found.domains["web1"], found.domains["off"]
    assert web1.live == [Nic("pool", "ua-rec-data", "52:54:00:6d:90:02", "0000:01:10.0", "p")]
    assert web1.config == [Nic("pool", "ua-rec-data", "52:54:00:6d:90:02", None, "p")]
    assert (off.running, off.live, off.config[0].method) == (False, [], "other")
    pool = found.networks["p"]
    assert (pool.pf_dev, pool.addresses, pool.live_addresses) == ("enp1s0", [], ["0000:01:10.0"])
    assert pool.ports == [NetworkPort("web1", "52:54:00:6d:90:02", "0000:01:10.0")]
    assert found.networks["default"].mode == "nat"


def test_a_transient_guest_has_no_persistent_nics(libvirt: FakeLibvirt) -> None:
    fill(libvirt)
    libvirt.domains[0].answers["isPersistent"] = 0
    web1 = LibvirtReader(URI).read(lambda address: True).domains["web1"]
    assert (web1.persistent, web1.config, web1.live[0].pool) == (False, [], "p")


def test_what_vanishes_while_it_is_read_is_left_out(libvirt: FakeLibvirt) -> None:
    fill(libvirt)
    libvirt.domains[0].answers["XMLDesc"] = libvirtError("gone", 42)
    libvirt.networks[1].answers["XMLDesc"] = libvirtError("gone", 43)
    found = LibvirtReader(URI).read(lambda address: True)
    assert (list(found.domains), list(found.networks)) == (["off"], ["p"])


def test_old_libvirt_without_ports(libvirt: FakeLibvirt) -> None:
    fill(libvirt)
    libvirt.networks[0].answers["listAllPorts"] = libvirtError("not supported", 3)
    assert LibvirtReader(URI).read(lambda address: True).networks["p"].ports == []
    del libvirt.networks[0].answers["listAllPorts"]
    assert LibvirtReader(URI).read(lambda address: True).networks["p"].ports == []


def test_half_of_the_domains_is_not_enough(libvirt: FakeLibvirt) -> None:
    fill(libvirt)
    libvirt.domains[1].answers["XMLDesc"] = libvirtError("cannot acquire lock", 68)
    found = LibvirtReader(URI).read(lambda address: True)
    assert (found.available, found.domains) == (False, {})
    assert found.reason == f"libvirt at {URI} could not be read: cannot acquire lock."


def test_no_binding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "libvirt", None)
    found = LibvirtReader(URI).read(lambda address: True)
    assert not found.available
    assert "apt install python3-libvirt" in found.reason
    with pytest.raises(HostError) as caught:
        LibvirtWriter(URI).start_pool("p")
    assert "pip install" in caught.value.detail


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("Failed to connect socket to '/run/libvirt/libvirt-sock-ro': No such file", "running?"),
        ("Failed to connect socket: Permission denied", "group libvirt"),
        ("authentication unavailable: no polkit agent", "group libvirt"),
        ("something else", "something else."),
    ],
)
def test_no_connection(libvirt: FakeLibvirt, said: str, hint: str) -> None:
    libvirt.refuses = libvirtError(said)
    found = LibvirtReader(URI).read(lambda address: True)
    assert not found.available
    assert said in found.reason
    assert found.reason.endswith(hint) or hint in found.reason


def test_a_connection_that_hangs(libvirt: FakeLibvirt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_READ_SECONDS", 0.05)
    libvirt.connection.answers["listAllNetworks"] = hang
    reader = LibvirtReader(URI)
    assert "did not answer within 0.05 s" in reader.read(lambda address: True).reason
    libvirt.connection.answers["listAllNetworks"] = []
    monkeypatch.setattr(module, "_READ_SECONDS", 5)
    assert reader.read(lambda address: True).available
    assert libvirt.opened == ["ro", "ro"]


def test_a_connection_that_died_is_opened_again(libvirt: FakeLibvirt) -> None:
    reader = LibvirtReader(URI)
    reader.read(lambda address: True)
    reader.read(lambda address: True)
    assert libvirt.opened == ["ro"]
    libvirt.connection.answers["getLibVersion"] = libvirtError("Broken pipe", 38)
    reader.read(lambda address: True)
    assert libvirt.opened == ["ro", "ro"]


def test_refreshing(libvirt: FakeLibvirt) -> None:
    fill(libvirt)
    reader = LibvirtReader(URI)
    found = reader.read(lambda address: True)
    gone = libvirt.domains.pop()
    libvirt.networks[0].answers["listAllPorts"] = []
    found = reader.refresh_domain(found, "web1", lambda address: True)
    assert (list(found.domains), found.networks["p"].ports) == (["off", "web1"], [])
    found = reader.refresh_domain(found, "off", lambda address: True)
    assert list(found.domains) == ["web1"]
    libvirt.domains.append(gone)
    libvirt.networks.pop(0)
    found = reader.refresh_networks(found)
    assert list(found.networks) == ["default"]


def test_pools_are_changed(libvirt: FakeLibvirt) -> None:
    libvirt.networks = [Thing("p", create=0, destroy=0, setAutostart=0, undefine=0)]
    writer = LibvirtWriter(URI)
    writer.define_pool(PoolSpec("p", pf_dev="enp1s0"))
    writer.start_pool("p")
    writer.set_pool_autostart("p", True)
    writer.stop_pool("p")
    writer.undefine_pool("p")
    assert libvirt.networks[0].calls == [("create",), ("setAutostart", 1), ("destroy",), ("undefine",)]
    assert libvirt.opened == ["rw"]


NIC = NicSpec("interface", "ua-rec-mgmt", "52:54:00:6d:90:03", 100, "0000:01:10.6")


def test_attaching(libvirt: FakeLibvirt) -> None:
    libvirt.domains = [Thing("web1", attachDeviceFlags=0)]
    LibvirtWriter(URI).attach_nic("web1", NIC, live=True, config=True)
    ((_, text, flags),) = libvirt.domains[0].calls
    assert ("ua-rec-mgmt" in text, flags) == (True, 3)


def test_detaching_live_and_persistent_each_in_its_own_way(libvirt: FakeLibvirt) -> None:
    fill(libvirt)
    web1 = libvirt.domains[0]
    web1.answers |= {"detachDeviceAlias": 0, "detachDeviceFlags": 0}
    web1.answers["XMLDesc"] = lambda flags: (
        CONFIG.replace("<alias name='ua-rec-data'/>", "") if flags else LIVE.replace("ua-rec-data", "hostdev0")
    )
    LibvirtWriter(URI).detach_nic("web1", NicMatch(mac="52:54:00:6d:90:02"), live=True, config=True)
    calls = [call for call in web1.calls if call[0] != "XMLDesc"]
    assert calls[0] == ("detachDeviceAlias", "hostdev0", 1)
    assert (calls[1][0], calls[1][2]) == ("detachDeviceFlags", 2)


def test_detaching_what_is_gone_or_on_its_way(libvirt: FakeLibvirt) -> None:
    fill(libvirt)
    writer = LibvirtWriter(URI)
    writer.detach_nic("web1", NicMatch("ua-rec-none"), live=True, config=True)
    on_its_way = libvirtError("device is already in the process of unplug", 55)
    libvirt.domains[0].answers["detachDeviceAlias"] = on_its_way
    writer.detach_nic("web1", NicMatch("ua-rec-data"), live=True, config=False)
    libvirt.domains[0].answers["detachDeviceAlias"] = libvirtError("No more available PCI slots")
    with pytest.raises(HostError) as caught:
        writer.detach_nic("web1", NicMatch("ua-rec-data"), live=True, config=False)
    assert "root ports" in caught.value.detail


def test_updating_keeps_passwords_and_defines(libvirt: FakeLibvirt) -> None:
    fill(libvirt)
    LibvirtWriter(URI).update_nic("web1", NicMatch("ua-rec-data"), NIC)
    assert ("XMLDesc", 3) in libvirt.domains[0].calls
    text = libvirt.connection.calls[-1][1]
    assert "ua-rec-mgmt" in text
    assert "ua-rec-data" not in text
    with pytest.raises(HostError, match="gone"):
        LibvirtWriter(URI).update_nic("web1", NicMatch("ua-rec-none"), NIC)


PORTS = """<domain><devices><controller type='pci' index='0' model='pcie-root'/>
<controller type='pci' index='1' model='pcie-root-port'><address type='pci' bus='0x00' slot='0x01'/></controller>
<controller type='pci' index='2' model='pcie-root-port'/><controller type='pci' index='3' model='pcie-root-port'/>
<interface><address type='pci' bus='0x01'/></interface><controller type='usb'/></devices></domain>"""


def test_root_ports_are_added_to_the_definition_and_dropped_from_its_end(libvirt: FakeLibvirt) -> None:
    libvirt.domains = [Thing("web1", XMLDesc=PORTS)]
    writer = LibvirtWriter(URI)
    writer.add_root_ports("web1", 5)
    assert libvirt.connection.calls[-1][1].count('<controller type="pci" model="pcie-root-port"/>') == 3
    assert ("XMLDesc", 3) in libvirt.domains[0].calls
    writer.add_root_ports("web1", 2)
    assert libvirt.connection.calls[-1][1].count("pcie-root-port") == 3, "it has two already"
    for keep, left in (([], 1), ([2], 2), ([3], 3), ([1, 2, 3], 3)):
        writer.drop_root_ports("web1", keep)
        assert libvirt.connection.calls[-1][1].count("pcie-root-port") == left
    libvirt.domains = [Thing("web1", XMLDesc="<domain><devices/></domain>")]
    with pytest.raises(HostError) as caught:
        writer.add_root_ports("web1", 1)
    assert "the guest has no PCIe" in caught.value.detail


def test_refusals_keep_the_words_and_add_advice(libvirt: FakeLibvirt) -> None:
    said = "internal error: Unable to configure VF 3 of PF 'p1p1' because the PF is not online. Please change"
    libvirt.domains = [Thing("web1", attachDeviceFlags=libvirtError(said))]
    with pytest.raises(HostError) as caught:
        LibvirtWriter(URI).attach_nic("web1", NIC, live=True, config=False)
    assert said in caught.value.detail
    assert "set it up" in caught.value.detail
    with pytest.raises(HostError, match="refused"):
        LibvirtWriter(URI).attach_nic("web2", NIC, live=True, config=False)


def test_a_write_that_hangs(libvirt: FakeLibvirt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libvirt_writer, "_SECONDS", 0.05)
    libvirt.networks = [Thing("p", create=hang)]
    with pytest.raises(HostError) as caught:
        LibvirtWriter(URI).start_pool("p")
    assert "did not answer within" in caught.value.detail


@pytest.mark.parametrize(
    "message",
    [
        "network 'p' requires exclusive access to interfaces, but none are available",
        "PCI device 0000:01:10.0 is in use by driver QEMU, domain web1",
        "No usable Vf's present on SRIOV PF p1p1",
        "network 'p' is not active",
        "Unmanaged PCI device must be manually detached from the host",
        "Cannot set interface MAC/vlanid to 52:54:00:00:00:01/0 for ifname p1p1 vf 3",
        "internal error: No more available PCI slots",
        "host doesn't support passthrough of host PCI devices",
        "non unique alias detected: ua-rec-a",
    ],
)
def test_known_messages(message: str) -> None:
    assert advice(message)
    assert advice("something new") == ""


SECRET = "hunter2"


def _with_password(xml: str) -> str:
    graphics = f"<graphics type='vnc' passwd='{SECRET}'/><disk><auth><secret>{SECRET}</secret></auth></disk>"
    return xml.replace("<devices>", f"<devices>{graphics}")


def test_a_password_in_a_guests_xml_is_in_no_snapshot(libvirt: FakeLibvirt) -> None:
    """libvirt leaves it out when it isn't asked for it; even if it did not, nothing of it would be kept."""
    fill(libvirt)
    flags: list[int] = []

    def xml(asked: int) -> str:
        flags.append(asked)
        return _with_password(CONFIG)

    libvirt.domains[0].answers["XMLDesc"] = xml
    reader = LibvirtReader("qemu:///system")
    platform = Platform()
    found = reader.read(lambda address: True)
    reader.examine(platform, lambda address: True)
    assert found.available
    assert SECRET not in dump(Snapshot(libvirt=found, platform=platform))
    assert not [asked for asked in flags if asked & libvirt.VIR_DOMAIN_XML_SECURE]


def test_a_definition_that_libvirt_refuses_is_not_repeated(libvirt: FakeLibvirt) -> None:
    """A NIC is changed in the whole definition, passwords and all."""
    fill(libvirt)
    libvirt.domains = [Thing("web1", XMLDesc=_with_password(CONFIG))]

    asked: list[str] = []

    def refuse(xml: str) -> None:
        asked.append(xml)
        raise libvirtError("XML error: something")

    libvirt.connection.answers["defineXML"] = refuse
    with pytest.raises(HostError) as caught:
        LibvirtWriter("qemu:///system").update_nic(
            "web1", NicMatch(alias="ua-rec-data"), NicSpec("pool", "ua-rec-data", pool="p")
        )
    assert SECRET in asked[0]
    assert SECRET not in f"{caught.value} {caught.value.summary} {caught.value.detail}"
