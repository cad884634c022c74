"""Guests and their definitions by libvirt, with a fake binding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.host.guests import NetworkThere, Who
from reconciler.host.local.guests import LibvirtGuests
from reconciler.host.protocol import HostError, NoAnswer
from tests.unit.host.fake_libvirt import FakeLibvirt, Thing, hang, libvirtError

XML = """<domain type='kvm'><name>db1</name><uuid>uuid of db1</uuid><os><type machine='q35'>hvm</type></os><devices>
<interface type='hostdev'><source><address type='pci' bus='0x01' slot='0x10'/></source></interface></devices>
</domain>"""
NET = "<network><forward mode='hostdev'/></network>"


def make(libvirt: FakeLibvirt, root: Path, **answers: Any) -> LibvirtGuests:
    domain = Thing(
        "db1",
        XMLDesc=lambda flags: XML if flags & libvirt.VIR_DOMAIN_XML_SECURE else "<domain/>",
        hasManagedSaveImage=1,
        listAllSnapshots=lambda flags: [Thing("before", getName="before")],
        listAllCheckpoints=libvirtError("no", libvirt.VIR_ERR_NO_SUPPORT),
        autostart=1,
        undefine=None,
        setAutostart=None,
        **answers,
    )
    libvirt.domains = [domain]
    libvirt.networks = [Thing("p", isActive=1, XMLDesc=NET)]
    libvirt.connection.answers |= {
        "lookupByUUIDString": lambda uuid: libvirt._find(libvirt.domains, uuid.removeprefix("uuid of "), 42),
        "getCapabilities": "<capabilities><host><uuid>h-1</uuid></host></capabilities>",
        "getHostname": "r620",
        "getDomainCapabilities": libvirtError("the machine 'q35' is not supported", 8),
    }
    (root / "proc/self").mkdir(parents=True, exist_ok=True)
    (root / "proc/self/mountinfo").write_text("")
    return LibvirtGuests("qemu:///system", root, seconds=0.5)


def test_a_guest_with_all_that_a_move_asks(libvirt: FakeLibvirt, tmp_path: Path) -> None:
    guests = make(libvirt, tmp_path)
    guest = guests.moving("uuid of db1")
    assert guest is not None
    assert (guest.definition.name, guest.definition.autostart, guest.definition.xml) == ("db1", True, XML)
    assert (guest.managed_save, guest.snapshots, guest.checkpoints) == (True, ["before"], [])
    assert [nic.vf_address for nic in guest.taken_off] == ["0000:01:10.0"]
    found = guests.find("db1")
    assert found is not None
    assert found.uuid == "uuid of db1"
    assert guests.find("nobody") is None
    assert guests.definition("uuid of nobody") is None
    assert guests.moving("uuid of nobody") is None
    assert libvirt.opened == ["rw"]  # Passwords are not given out on a read-only connection.


def test_a_transient_guest_has_no_definition(libvirt: FakeLibvirt, tmp_path: Path) -> None:
    found = make(libvirt, tmp_path, isPersistent=0, isActive=1).find("db1")
    assert found is not None
    assert (found.persistent, found.running, found.autostart) == (False, True, False)


def test_the_destination(libvirt: FakeLibvirt, tmp_path: Path) -> None:
    found = make(libvirt, tmp_path).destination(XML)
    assert found.who == Who("h-1", "r620")
    assert found.names == {"db1": "uuid of db1"}
    assert found.networks == {"p": NetworkThere(True, "hostdev")}
    assert found.refuses == "the machine 'q35' is not supported"
    assert ("getDomainCapabilities", None, None, "q35", "kvm") in libvirt.connection.calls


@pytest.mark.parametrize("answers", [{"getType": "LXC"}, {"getURI": "qemu+ssh://h/session"}])
def test_a_destination_that_is_no_system_with_qemu(
    libvirt: FakeLibvirt, tmp_path: Path, answers: dict[str, str]
) -> None:
    guests = make(libvirt, tmp_path)
    libvirt.connection.answers |= answers
    assert "no libvirt of a system with QEMU" in guests.destination(XML).refuses


def test_vfs_of_other_devices_are_no_nics(libvirt: FakeLibvirt, tmp_path: Path) -> None:
    for number, kind in (("1", "0x020000"), ("2", "0x010802"), ("3", "")):
        device = tmp_path / f"sys/bus/pci/devices/0000:5e:00.{number}"
        device.mkdir(parents=True)
        (device / "physfn").symlink_to(tmp_path)
        (device / "class").write_text(kind)
    hostdev = (
        "<hostdev mode='subsystem' type='pci' managed='yes'><source><address domain='0x0000' bus='0x5e' slot='0x00' "
        "function='0x{}'/></source></hostdev>"
    )
    xml = XML.replace("</devices>", "".join(hostdev.format(number) for number in range(1, 5)) + "</devices>")
    guests = make(libvirt, tmp_path)
    libvirt.domains[0].answers["XMLDesc"] = xml
    guest = guests.moving("uuid of db1")
    assert guest is not None
    assert [nic.vf_address for nic in guest.taken_off] == ["0000:01:10.0", "0000:5e:00.1"]
    assert guest.devices == [f"a pci device of the host (0000:5e:00.{number})" for number in (2, 3, 4)]


def test_ssh_is_not_to_ask_where_nobody_answers(libvirt: FakeLibvirt, monkeypatch: pytest.MonkeyPatch) -> None:
    libvirt.refuses = libvirtError("Cannot recv data: root@h: Permission denied (publickey,password).")
    monkeypatch.setattr("sys.stdin", None)
    guests = LibvirtGuests("qemu+ssh://h/system?keyfile=k")
    assert guests.connection.uri == "qemu+ssh://h/system?keyfile=k&no_tty=1"
    assert guests.uri == "qemu+ssh://h/system?keyfile=k"
    assert LibvirtGuests("qemu:///system").connection.uri == "qemu:///system"
    with pytest.raises(HostError) as refused:
        guests.who()
    assert "ssh has to log in there without a question" in refused.value.detail


def test_orders(libvirt: FakeLibvirt, tmp_path: Path) -> None:
    guests = make(libvirt, tmp_path)
    guests.define("<domain/>")
    guests.undefine("uuid of db1")
    guests.set_autostart("uuid of db1", True)
    assert ("defineXML", "<domain/>") in libvirt.connection.calls
    assert ("undefine",) in libvirt.domains[0].calls
    assert ("setAutostart", 1) in libvirt.domains[0].calls


def test_a_refusal_and_no_answer_are_told_apart(libvirt: FakeLibvirt, tmp_path: Path) -> None:
    guests = make(libvirt, tmp_path)
    libvirt.connection.answers["defineXML"] = libvirtError("no such machine")
    with pytest.raises(HostError, match="refused") as refused:
        guests.define("<domain/>")
    assert not isinstance(refused.value, NoAnswer)
    assert "no such machine" in refused.value.detail
    libvirt.connection.answers["defineXML"] = hang
    with pytest.raises(NoAnswer, match="not available") as late:
        guests.define("<domain/>")
    assert "did not answer within 0.5 s" in late.value.detail
    libvirt.refuses = libvirtError("Connection refused")
    with pytest.raises(HostError, match="not available") as gone:
        LibvirtGuests("qemu+ssh://h/system").who()
    assert not isinstance(gone.value, NoAnswer)


@pytest.mark.parametrize(
    ("error", "alive"),
    [
        (libvirtError("End of file while reading data: Input/output error", 38, domain=7), 1),
        (libvirtError("client socket is closed", 1, domain=13), 1),
        (libvirtError("internal error", 1), 0),
        (libvirtError("internal error", 1), libvirtError("no connection")),
    ],
)
def test_a_connection_that_is_lost_during_an_order_is_no_refusal(
    libvirt: FakeLibvirt, tmp_path: Path, error: libvirtError, alive: Any
) -> None:
    guests = make(libvirt, tmp_path)
    libvirt.connection.answers |= {"defineXML": error, "isAlive": alive}
    with pytest.raises(NoAnswer, match="not available") as lost:
        guests.define("<domain/>")
    assert "was lost" in lost.value.detail
    libvirt.domains[0].answers["undefine"] = error
    with pytest.raises(NoAnswer):
        guests.undefine("uuid of db1")


def test_a_libvirt_of_a_user_is_another_one(libvirt: FakeLibvirt, tmp_path: Path) -> None:
    guests = make(libvirt, tmp_path)
    assert guests.who().identity == "h-1"
    libvirt.connection.answers["getURI"] = "qemu:///session"
    assert guests.who().identity == "h-1 qemu:///session"
    libvirt.connection.answers["getCapabilities"] = "<capabilities/>"
    assert guests.who().identity == ""


@pytest.mark.parametrize(("uri", "code"), [("qemu:///system", 77), ("qemu+ssh://h/system", 1)])
def test_only_this_host_takes_root(libvirt: FakeLibvirt, uri: str, code: int) -> None:
    libvirt.refuses = libvirtError("authentication unavailable: Permission denied")
    with pytest.raises(HostError) as error:
        LibvirtGuests(uri).who()
    assert error.value.code == code
