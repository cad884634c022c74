"""libvirt's definitions, read from its files, as they are early in boot."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from reconciler.host.local.libvirt import Connection, Unavailable
from reconciler.host.local.libvirt_files import FILES, LibvirtFiles
from reconciler.host.local.reader import LocalReader
from reconciler.host.model import Nic
from reconciler.host.snapshot import dump, load

WARNING = """<!--
WARNING: THIS IS AN AUTO-GENERATED FILE. CHANGES TO IT ARE LIKELY TO BE
OVERWRITTEN AND LOST. Changes to this xml configuration should be made using:
  virsh edit web1
or other application using the libvirt API.
-->

"""
GUEST = """<domain type='kvm'><name>web1</name><uuid>11111111-2222-4333-8444-555555555555</uuid>
  <memory unit='KiB'>1048576</memory><devices>
  <interface type='network'><mac address='52:54:00:6d:90:02'/><source network='shared'/></interface>
  <hostdev mode='subsystem' type='pci' managed='yes'><alias name='ua-rec-fast'/>
    <source><address domain='0x0000' bus='0x01' slot='0x10' function='0x2'/></source></hostdev>
  </devices></domain>"""
POOL = """<network><name>shared</name><uuid>99999999-2222-4333-8444-555555555555</uuid>
  <forward mode='hostdev' managed='yes'><address type='pci' domain='0x0000' bus='0x01' slot='0x10' function='0x4'/>
  </forward></network>"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host with a guest and a pool; both are started at boot."""
    networks = tmp_path / "etc/libvirt/qemu/networks"
    for folder in (networks, networks.parent):
        (folder / "autostart").mkdir(parents=True)
    (networks.parent / "web1.xml").write_text(WARNING + GUEST)
    (networks / "shared.xml").write_text(WARNING.replace("web1", "net-edit shared") + POOL)
    (networks.parent / "autostart/web1.xml").symlink_to("/etc/libvirt/qemu/web1.xml")
    (networks / "autostart/shared.xml").symlink_to("/etc/libvirt/qemu/networks/shared.xml")
    (networks.parent / "notes.txt").write_text("not libvirt's")
    return tmp_path


def test_what_libvirt_has_defined_is_known_without_it(root: Path) -> None:
    found = LibvirtFiles(root).read(lambda address: None)
    assert (found.available, found.by_files, found.version) == (True, True, None)
    web1, shared = found.domains["web1"], found.networks["shared"]
    assert (web1.uuid[:4], web1.running, web1.autostart, web1.live) == ("1111", False, True, [])
    assert web1.config == [
        Nic("pool", None, "52:54:00:6d:90:02", None, "shared"),
        Nic("hostdev", "ua-rec-fast", None, "0000:01:10.2"),
    ]
    assert (shared.mode, shared.active, shared.autostart, shared.addresses) == (
        "hostdev",
        False,
        True,
        ["0000:01:10.4"],
    )


def test_the_reader_asks_no_libvirt(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "libvirt", None)
    (root / "proc").mkdir()
    snapshot = LocalReader(FILES, root).observe()
    assert list(snapshot.libvirt.domains) == ["web1"]
    assert load(dump(snapshot).encode(), "f").libvirt.by_files
    with pytest.raises(Unavailable, match="not to be asked"):
        Connection(FILES, read_only=False)._open(None)


def test_where_libvirt_never_was_it_has_defined_nothing(tmp_path: Path) -> None:
    found = LibvirtFiles(tmp_path).read(lambda address: None)
    assert (found.available, found.domains, found.networks) == (True, {}, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"<domain><name>x", "can't be parsed"),
        (b"<network><name>x</name><uuid>1</uuid></network>", "holds a <network>, and not a <domain>"),
        (b"<domain><uuid>1</uuid></domain>", "has no <name>"),
        (b"\xff\xfe", "codec can't decode"),
    ],
)
def test_half_of_the_guests_is_none(root: Path, text: bytes, said: str) -> None:
    broken = root / "etc/libvirt/qemu/broken.xml"
    broken.write_bytes(text)
    found = LibvirtFiles(root).read(lambda address: None)
    assert (found.available, found.domains) == (False, {})
    assert str(broken) in found.reason
    assert said in found.reason
