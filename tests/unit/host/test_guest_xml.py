"""What a definition says that matters when the guest goes to another host."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.host.guests import Definition, MovingGuest
from reconciler.host.local import guest_xml, libvirt_xml
from reconciler.host.local.guests import moving_guest
from reconciler.host.local.shared_storage import Storage, read_mountinfo, shared_at
from tests.unit.host.test_libvirt_xml import DOMAIN, MODES

VF = "0000:3b:11.2"
MOUNTS = r"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:25 / /srv/nfs rw - nfs4 server:/export rw
31 22 0:26 / /srv/nfs/local rw - xfs /dev/sdb rw
32 22 0:27 / /mnt/with\040blank rw - fuse.glusterfs x rw
33 22 0:28 / /over rw - ext4 /dev/sdc rw
34 22 0:29 / /over rw - ceph 10.0.0.1:/ rw
broken line
"""


NFS = Storage(lambda path: (path.startswith("/nfs/"), "a mount"))


def read(devices: str = "", before: str = "", os: str = "<type arch='x86_64' machine='q35'>hvm</type>") -> MovingGuest:
    """A guest with such devices; everything below /nfs is shared."""
    xml = (
        f"<domain type='kvm'><name>g</name><uuid>u</uuid><memory>1024</memory><os>{os}</os>{before}"
        f"<devices>{devices}</devices></domain>"
    )
    essence = guest_xml.essence(libvirt_xml.parse(xml))
    definition = Definition("g", "u", xml, essence)
    return moving_guest(definition, {VF}.__contains__, MODES, NFS)


def test_vf_nics_go_and_all_else_stays_as_it_is() -> None:
    definition = Definition("web1", "u", DOMAIN, {})
    guest = moving_guest(definition, lambda address: address == VF or None, MODES, Storage(lambda path: (True, "")))
    assert [(nic.method, nic.vf_address) for nic in guest.taken_off] == [
        ("interface", "0000:3b:10.6"),
        ("hostdev", "0000:3b:11.0"),
        ("hostdev", VF),
    ]
    assert guest.lone == ["ua-rec-mgmt", "ua-rec-fast", VF, "ua-rec-data", "NIC"]
    assert guest.networks == {"sriov-int": True, "default": False, "undefined": True}
    assert guest.links == ["bridge br0"]
    assert guest.devices == [
        "a pci device of the host (0000:65:00.0)",
        "a usb device of the host (unnamed)",
    ]
    for part in ("ua-rec-data", "portgroup", "0x65", "usb", "<interface type='user'/>".replace("'", '"')):
        assert part in guest.stripped
    for part in ("ua-rec-mgmt", "0x3b", "ua-rec-fast"):
        assert part not in guest.stripped


def test_what_nobody_knows_comes_along_word_for_word() -> None:
    ours = (
        '<metadata><x:a xmlns:x="urn:x" b="1">ü &amp; <x:c/><!-- kept --><![CDATA[1 < 2]]></x:a></metadata>'
        '<qemu:commandline xmlns:qemu="http://libvirt.org/schemas/domain/qemu/1.0"><qemu:arg value="-x"/>'
        "</qemu:commandline><new-in-libvirt-99/>"
    )
    nic = "<interface type='hostdev'><source><address type='pci' bus='0x3b'/></source></interface>"
    guest = read(f"<controller type='pci'/>\n  {nic}\n  <tray>x</tray>", ours)
    assert ours in guest.stripped
    assert "<tray>x</tray>" in guest.stripped
    assert "hostdev" not in guest.stripped
    assert guest.stripped_essence["metadata"] == guest.definition.essence["metadata"]


def test_the_stand_in_of_a_failover_pair_stays() -> None:
    pair = """
      <interface type='bridge'><mac address='52:54:00:00:00:09'/><source bridge='br0'/>
        <teaming type='persistent'/><alias name='ua-standby-x'/></interface>
      <interface type='hostdev'><mac address='52:54:00:00:00:09'/><teaming type='transient' persistent='ua-standby-x'/>
        <source><address type='pci' bus='0x3b'/></source><alias name='ua-rec-x'/></interface>"""
    guest = read(pair)
    assert guest.lone == []
    assert [nic.alias for nic in guest.taken_off] == ["ua-rec-x"]
    assert "ua-standby-x" in guest.stripped
    assert "ua-rec-x" not in guest.stripped


@pytest.mark.parametrize(
    ("os", "devices", "told"),
    [
        ("<loader type='pflash'>/c</loader><nvram>/var/n.fd</nvram>", "", "its NVRAM (/var/n.fd)"),
        ("<nvram type='file'><source file='/x'/></nvram>", "", "its NVRAM"),
        ("", "<tpm model='tpm-crb'><backend type='emulator'/></tpm>", "the state of its TPM"),
        ("", "<tpm><backend type='passthrough'/></tpm>", "the host's TPM"),
        ("", "<memory model='nvdimm'><source><path>/n</path></source></memory>", "its NVDIMM (/n)"),
    ],
)
def test_state_in_files_of_the_host(os: str, devices: str, told: str) -> None:
    (state,) = read(devices, os=os).states
    assert state.startswith(told)


def test_firmware_without_variables_has_no_state() -> None:
    assert read(os="<loader stateless='yes' type='pflash'>/c</loader>").states == []
    firmware = "<domain><os firmware='efi'/></domain>"
    assert len(guest_xml.states(libvirt_xml.parse(firmware))) == 1
    stateless = "<domain><os firmware='efi'><loader stateless='yes'/></os></domain>"
    assert guest_xml.states(libvirt_xml.parse(stateless)) == []


@pytest.mark.parametrize(
    ("disk", "shared"),
    [
        ("<disk type='file'><source file='/nfs/a'/><target dev='vda'/></disk>", [True]),
        ("<disk type='file'><source file='/a'/><target dev='vda'/></disk>", [False]),
        ("<disk type='dir'><source dir='/a'/><target dev='vda'/></disk>", [False]),
        ("<disk type='block'><source dev='/dev/mapper/lun'/><target dev='vda'/></disk>", [False]),
        ("<disk type='volume'><source pool='p' volume='v'/><target dev='vda'/></disk>", [False]),
        ("<disk type='nvme'><source type='pci' namespace='1'/><target dev='vda'/></disk>", [False]),
        ("<disk type='network'><source protocol='rbd' name='p/i'/><target dev='vda'/></disk>", [True]),
        (
            "<disk type='network'><source protocol='nbd'><host transport='unix' socket='/s'/></source></disk>",
            [False],
        ),
        ("<disk type='network'><source protocol='nbd' name='x'/></disk>", [False]),
        ("<disk type='network'><source protocol='iscsi'><host name='127.0.0.1' port='3260'/></source></disk>", [False]),
        ("<disk type='network'><source protocol='nbd'><host name='::1'/></source></disk>", [False]),
        ("<disk type='network'><source protocol='nbd'><host name='storage1'/></source></disk>", [True]),
        (
            "<disk type='file'><source file='/nfs/o'><dataStore type='file'><format type='raw'/><source file='/d'/>"
            "</dataStore></source></disk>",
            [True, False],
        ),
        ("<disk type='file' device='cdrom'><target dev='sda'/></disk>", []),
        ("<disk type='file' device='cdrom'><source file='/i.iso'/><readonly/></disk>", [False]),
        (
            "<disk type='file'><source file='/nfs/a'/><backingStore type='file'><source file='/b'/>"
            "<backingStore/></backingStore></disk>",
            [True, False],
        ),
    ],
)
def test_which_disks_the_other_host_has(disk: str, shared: list[bool]) -> None:
    assert [item.shared for item in read(disk).disks] == shared


@pytest.mark.parametrize(
    "device",
    [
        "<filesystem type='mount'><source dir='/srv'/></filesystem>",
        "<interface type='vhostuser'><source type='unix' path='/s'/></interface>",
        "<hostdev mode='subsystem' type='mdev'><source><address uuid='x'/></source></hostdev>",
        "<shmem name='x'/>",
        "<input type='evdev'><source dev='/dev/input/event1'/></input>",
    ],
)
def test_things_of_this_host_alone(device: str) -> None:
    assert len(read(device).devices) == 1


def test_what_another_host_may_have_too() -> None:
    devices = """<serial type='dev'><source path='/dev/ttyS0'/></serial><serial type='pty'/><smartcard mode='host'/>
      <graphics type='vnc' listen='192.0.2.7'><listen type='address' address='192.0.2.7'/></graphics>
      <graphics type='spice' listen='0.0.0.0'/><parallel type='dev'><source path='/dev/parport0'/></parallel>
      <interface type='user'><filterref filter='clean-traffic'/></interface>"""
    assert read(devices).needs == [
        "the network filter clean-traffic",
        "the serial port /dev/ttyS0",
        "the parallel port /dev/parport0",
        "the host's smart card reader",
        "the address 192.0.2.7 for vnc",
    ]


def test_what_it_needs_there() -> None:
    os = "<kernel>/boot/k</kernel><initrd>/boot/i</initrd><loader>/l</loader>"
    before = "<vcpu cpuset='0-3'>2</vcpu><numatune/><memoryBacking><hugepages/></memoryBacking>"
    disk = "<disk type='network'><auth><secret type='ceph' uuid='s'/></auth><source protocol='rbd'/></disk>"
    guest = read(disk, before, os)
    assert guest.files == ["/boot/k", "/boot/i", "/l"]
    assert guest.secrets == ["s"]
    assert len(guest.resources) == 3


@pytest.mark.parametrize(
    ("path", "shared"),
    [
        ("/var/lib/libvirt/images/a", False),
        ("/srv/nfs/a", True),
        ("/srv/nfs", True),
        ("/srv/nfs/local/a", False),
        ("/srv/nfsx/a", False),
        ("/mnt/with blank/a", True),
        ("/over/a", True),
        ("", False),
    ],
)
def test_shared_storage_goes_by_the_innermost_mount(path: str, shared: bool) -> None:
    assert shared_at(path, MOUNTS, lambda path: None)[0] is shared


@pytest.mark.parametrize(
    ("device", "told"),
    [
        ("0:28", (False, "ext4 mounted at /over")),
        ("0:29", (True, "ceph mounted at /over")),
        ("8:1", (False, "ext4 mounted at /")),
        ("9:9", (False, "it is not on the ceph mounted at /over, but on device 9:9")),
    ],
)
def test_of_mounts_over_one_another_the_one_counts_that_the_file_is_on(device: str, told: tuple[bool, str]) -> None:
    assert shared_at("/over/a", MOUNTS, lambda path: device) == told


def test_a_folder_of_the_machine_below_is_not_shared() -> None:
    assert shared_at("/m/a", "1 1 0:1 / /m rw - 9p hostshare rw", lambda path: None)[0] is False


def test_a_link_counts_as_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/srv/nfs/a")
    assert shared_at(str(tmp_path / "link"), MOUNTS, lambda path: None) == (True, "nfs4 mounted at /srv/nfs")
    assert shared_at("/a", "")[0] is False
    assert " - " in read_mountinfo(Path("/"))


def test_what_differs_is_seen() -> None:
    one = read("<disk type='file'><source file='/a'/><target dev='vda'/></disk>").definition.essence
    for other in (
        read("<disk type='file'><source file='/b'/><target dev='vda'/></disk>"),
        read(),
        read("<disk type='file'><source file='/a'/><target dev='vda'/></disk><interface type='user'/>"),
        read("<disk type='file'><source file='/a'/><target dev='vda'/></disk>", "<vcpu>9</vcpu>"),
    ):
        assert other.definition.essence != one


def test_metadata_is_the_same_however_it_is_written() -> None:
    one = "<metadata>\n  <a:x xmlns:a='urn:a' b='1' c='2'>t</a:x>\n</metadata>"
    same = '<metadata><a:x c="2" b="1" xmlns:a="urn:a">t</a:x></metadata>'
    other = one.replace("'1'", "'3'")
    digests = [read("", text).definition.essence["metadata"] for text in (one, same, other)]
    assert digests[0] == digests[1] != digests[2]
