"""What of a definition that was sent is not in the one that is given back."""

from __future__ import annotations

import pytest

from reconciler.host.guest_compare import missing, same

SENT = """<domain type='kvm'><name>g</name><uuid>0000aaaa-0000-4000-8000-00000000000f</uuid>
<metadata><x:a xmlns:x='u'>text<!-- kept --><x:b/>more</x:a></metadata>
<memory unit='GiB'>2</memory><os><type arch='x86_64' machine='q35'>hvm</type></os>
<cpu mode='custom'><feature policy='require' name='aes'/></cpu><unheard-of level='3'/><devices>
<disk type='file' device='disk'><source file='/a'/><target dev='vda'/></disk>
<disk type='file' device='disk'><source file='/b'/><target dev='vdb'/></disk>
<interface type='network'><mac address='52:54:00:AA:00:01'/><source network='p'/><address slot='0x03'/></interface>
<interface type='network'><mac address='52:54:00:AA:00:02'/><source network='p'/><boot order='1'/></interface>
<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng></devices></domain>"""


def test_what_libvirt_adds_and_writes_otherwise_is_no_difference() -> None:
    found = SENT
    for given, other in (
        ("<memory unit='GiB'>2<", "<memory unit='KiB'>2097152<"),
        ("machine='q35'", "machine='pc-q35-10.0'"),
        ("AA:00:01", "aa:00:01"),
        ("slot='0x03'", "domain='0x0000' slot='3'"),
        ("0000aaaa-", "0000AAAA-"),
        ("<devices>", "<on_crash>destroy</on_crash><devices><controller type='usb' index='0'/>"),
        ("<target dev='vda'/>", "<target dev='vda' bus='virtio'/><address type='pci' slot='0x05'/>"),
    ):
        assert given in found
        found = found.replace(given, other)
    assert missing(SENT, found) == []
    assert missing(SENT, SENT.replace("\n", "\n   ")) == []
    assert not same(SENT, found)
    assert same(SENT, SENT.replace("\n", " "))


@pytest.mark.parametrize(
    ("gone", "instead", "told"),
    [
        ("<unheard-of level='3'/>", "", "/unheard-of (empty) is not there"),
        ("level='3'", "level='4'", "/unheard-of level: 3 -> 4"),
        ("<boot order='1'/>", "", "/devices/interface[2]/boot (empty) is not there"),
        ("<x:b/>", "", "/metadata/a/b (empty) is not there"),
        ("<!-- kept -->", "", "/metadata/a/comment (kept) is not there"),
        (">text<", ">other<", "/metadata/a: text -> other"),
        ("more", "", "the text after /metadata/a/b: more"),
        ("<memory unit='GiB'>2<", "<memory unit='MiB'>2<", "/memory: 2147483648 -> 2097152"),
        ("machine='q35'", "machine='pc-i440fx-10.0'", "/os/type machine: q35 -> pc-i440fx-10.0"),
        ("/dev/urandom", "/dev/random", "/devices/rng/backend: /dev/urandom -> /dev/random"),
        ("AA:00:02", "AA:00:03", "/devices/interface[2]/mac address: 52:54:00:AA:00:02 -> 52:54:00:AA:00:03"),
        ("<source file='/a'/>", "<source file='/A'/>", "/devices/disk[1]/source file: /a -> /A"),
        ("<feature policy='require' name='aes'/>", "", "/cpu/feature (feature aes) is not there"),
        (" type='kvm'", " type='qemu'", "/ type: kvm -> qemu"),
    ],
)
def test_what_is_lost_is_named(gone: str, instead: str, told: str) -> None:
    assert SENT.count(gone) == 1
    assert missing(SENT, SENT.replace(gone, instead)) == [told]


def test_one_of_two_that_are_alike_is_missed() -> None:
    nic = "<interface type='user'><mac address='52:54:00:aa:00:01'/></interface>"
    two, one = f"<domain><devices>{nic}{nic}</devices></domain>", f"<domain><devices>{nic}</devices></domain>"
    (lost,) = missing(two, one)
    assert "/devices/interface[2]" in lost
    assert "is not there" in lost
    assert missing(one, two) == []


def test_nics_and_disks_are_counted_in_order() -> None:
    a, b = "<interface type='user'/>", "<interface type='bridge'/>"
    assert missing(f"<domain><devices>{a}{b}</devices></domain>", f"<domain><devices>{b}{a}</devices></domain>")
    c, d = "<rng model='a'/>", "<rng model='b'/>"
    assert not missing(f"<domain><devices>{c}{d}</devices></domain>", f"<domain><devices>{d}{c}</devices></domain>")


def test_another_thing_altogether() -> None:
    assert missing("<domain/>", "<network/>") == ["domain -> network"]
