"""Guests and files that are not as one expects: definitions with elements of somebody else, aliases that are taken,
guests that are renamed or gone, two files for one host. No guest is started.

One host goes through it in the order of this file.
"""

from __future__ import annotations

import re

import pytest

from tests.lab.conftest import WORK, Host

PF = """schema = 1
[pf.int]
match = { name = "enp1s0" }
link = "up"
vfs = 4
vf_driver = "none"
[pf.int.vf.0]
vlan = 10
"""
NIC = '[domain.db1.nic.data]\nvf = "int/1"\nmac = "52:54:00:6d:99:01"\n'
MOVED = NIC.replace("int/1", "int/2") + "vlan = 7\n"
OTHER = PF.partition("[pf.int.vf")[0].replace("pf.int", "pf.card") + "[pf.card.vf.0]\nvlan = 20\n"

QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"
FOREIGN = {
    "<domain type='kvm'>": f"<domain type='kvm' xmlns:qemu='{QEMU}'>",
    "</uuid>": "</uuid><title>Shop &amp; “till”</title><description>two  blanks\n and a line</description><metadata>"
    '<m:app xmlns:m="urn:example:m" m:a="1&lt;2"><m:x>ü <m:y/> tail</m:x></m:app><o:y xmlns:o="urn:example:o"/>'
    "</metadata>",
    "</devices>": "<sound model='ich9'><alias name='ua-sound'/></sound></devices>",
    "</domain>": "<qemu:commandline><qemu:arg value='-name'/><qemu:arg value='x,debug-threads=on'/>"
    "<qemu:env name='A' value='b &amp; c'/></qemu:commandline></domain>",
}
"""What somebody else has in a definition, by what stands there before."""

OURS = re.compile(
    r" *<interface type='hostdev'(?:(?!</interface>).)*<alias name='ua-rec-data'/>.*?</interface>\n", re.S
)


def definition(host: Host, guest: str = "db1") -> str:
    """The definition of a guest, with passwords."""
    return host.sh(f"virsh dumpxml --inactive --security-info {guest}")


def define(host: Host, xml: str) -> None:
    host.sh(f"cat >{WORK}/guest.xml && virsh define {WORK}/guest.xml", input=xml)


@pytest.fixture(scope="module")
def plain(host: Host) -> str:
    """The definition of db1 as it comes with the lab. The host has its VFs."""
    files = {"pf": PF, "nic": PF + NIC, "moved": PF + MOVED, "other": OTHER}
    files["absent"] = PF + '[domain.db1.nic.data]\nstate = "absent"\n'
    files["both"] = PF + NIC + '[domain.idle1.nic.data]\nvf = "int/2"\n'
    for name, text in files.items():
        host.put(f"{name}.toml", text)
    host.reconciler("apply pf.toml --yes").expect(0)
    return definition(host)


def test_what_else_stands_in_a_definition_is_kept(plain: str, host: Host) -> None:
    xml = plain
    for there, more in FOREIGN.items():
        assert there in xml
        xml = xml.replace(there, more)
    define(host, xml)
    before = definition(host)
    for kept in ("two  blanks\n and a line", "urn:example:o", "<qemu:env name='A' value='b &amp; c'/>", "ua-sound"):
        assert kept in before
    for file, vf, vlan in (("nic", 1, 0), ("moved", 2, 7)):
        host.reconciler(f"apply {file}.toml --yes").expect(0)
        now = definition(host)
        assert OURS.sub("", now) == before
        nic = host.nics("db1", inactive=True)["ua-rec-data"]
        assert (nic.address, nic.vlan) == (host.vf_address("enp1s0", vf), vlan)
    host.reconciler("apply absent.toml --yes").expect(0)
    assert definition(host) == before
    define(host, plain)


TAKEN = {
    "db1": "<interface type='user'><mac address='52:54:00:6d:99:77'/><model type='virtio'/>"
    "<alias name='ua-rec-data'/></interface>",
    "idle1": "<disk type='file'><source file='/root/files/pf.toml'/><target dev='sda' bus='sata'/>"
    "<alias name='ua-rec-data'/></disk>",
}


def test_an_alias_that_another_device_has_is_told_and_left_alone(plain: str, host: Host) -> None:
    idle = definition(host, "idle1")
    for guest, device in TAKEN.items():
        define(host, definition(host, guest).replace("</devices>", f"{device}</devices>"))
    before = host.observed()
    ran = host.reconciler("apply both.toml --yes").expect(1)
    ran.says("Another device of the guest has this NIC's alias. [alias-taken]", "virsh edit db1", "virsh edit idle1")
    ran.says("an interface without a VF (MAC 52:54:00:6d:99:77)", "a device that is no NIC")
    host.reconciler("apply absent.toml --yes").expect(0).says("In sync")
    assert host.changes_since(before) == []
    define(host, plain)
    define(host, idle)


@pytest.mark.long
def test_a_guest_that_is_renamed_or_gone_is_named(plain: str, host: Host) -> None:
    host.reconciler("plan nic.toml -o nic.plan").expect(0)
    host.sh("virsh domrename db1 db2")
    before = host.observed()
    gone = host.reconciler("apply nic.plan").expect(6)
    gone.says("domain.db1: libvirt doesn't know this guest.", "Did you mean 'db2'?", "Nothing was changed")
    host.reconciler("apply nic.toml --yes").expect(1).says("There is no domain 'db1'. Did you mean 'db2'?")
    assert host.changes_since(before) == []
    host.sh("virsh undefine db2")
    host.reconciler("apply nic.plan").expect(6).says("There is no domain 'db1'.", "Domains here: idle1, web1.")
    define(host, plain)
    host.reconciler("apply nic.plan").expect(0)


def test_of_two_files_for_one_host_the_contradictions_are_told_and_what_is_taken_over(plain: str, host: Host) -> None:
    told = host.reconciler("plan pf.toml other.toml").expect(1)
    told.says("pf.int.vf.0.vlan is 10 in pf.toml:8, and pf.card.vf.0.vlan is 20 in other.toml:8")
    taken = host.reconciler("apply other.toml --yes").expect(0)
    taken.says("pf.card.vf.0.vlan was last applied from pf.toml, and other.toml declares otherwise")
    assert host.vfs("enp1s0")[0]["vlan"] == 20
    host.reconciler("drift pf.toml").expect(0).says("pending (1)", "pf.int.vf.0.vlan")
