"""Ten guests on two PFs by every method, two of them running: no VF is given twice, and who has which stays so.

One host goes through all of it in the order of this file. What the guests have is read from libvirt's XML.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from tests.lab.conftest import WORK, GuestNic, Host

RUNNING = ["web1", "idle1"]
OFF = ["db1", "g4", "g5", "g6", "g7", "g8", "g9", "byhand"]
POOL = ["0000:02:11.2", "0000:02:11.4"]
BY_HAND = ["0000:02:10.2", "0000:01:10.2"]
"""What byhand has: VF 1 of each PF, neither of which is there when it is defined."""

_AT = "<address type='pci' domain='0x0000' bus='0x0{}' slot='0x10' function='0x2'/>"
DEVICES = (
    "<interface type='hostdev' managed='yes'><mac address='52:54:00:6d:a0:0a'/>"
    f"<source>{_AT.format(2)}</source></interface>"
    f"<hostdev mode='subsystem' type='pci' managed='yes'><source>{_AT.format(1)}</source></hostdev>"
)
DEFINE = f"""
cd {WORK}
virsh dumpxml --inactive idle1 | sed '/<uuid>/d' >idle1.xml
for guest in {" ".join(OFF[1:-1])}; do sed "s/idle1/$guest/" idle1.xml >$guest.xml; virsh define $guest.xml; done
sed "s/idle1/byhand/; s#</devices>#{DEVICES}</devices>#" idle1.xml >byhand.xml
virsh define byhand.xml
virsh start idle1
"""

Given = dict[str, list[GuestNic]]


def given(host: Host, guests: list[str], *, inactive: bool = True) -> Given:
    """What guests have: by their definitions, or now."""
    option = "--inactive" if inactive else ""
    text = host.sh(f"for guest in {' '.join(guests)}; do virsh dumpxml {option} $guest; done")
    found: Given = {}
    for document in re.findall(r"<domain.*?</domain>", text, re.DOTALL):
        domain = ET.fromstring(document)
        devices = [*domain.iterfind("devices/interface"), *domain.iterfind("devices/hostdev")]
        found[domain.findtext("name") or ""] = [GuestNic.of(device) for device in devices]
    assert sorted(found) == sorted(guests)
    return found


def once(found: Given) -> None:
    """Asserts that no VF is in two definitions, or in one and in the pool."""
    named = [nic.address for nics in found.values() for nic in nics if nic.address]
    assert len(named) == len(set(named)), named
    assert set(named) & set(POOL) == set()


@pytest.fixture(scope="module")
def first(host: Host) -> Given:
    """The definitions of all ten after one apply."""
    host.sh(DEFINE)
    host.put("ten.toml")
    host.reconciler("apply ten.toml --yes").expect(0)
    return given(host, RUNNING + OFF)


@pytest.mark.long
def test_each_guest_has_its_own(first: Given, host: Host) -> None:
    once(first)
    assert len([nic for nics in first.values() for nic in nics]) == 13
    methods = {name: [(nic.alias, nic.element, nic.kind) for nic in nics] for name, nics in first.items()}
    assert methods["web1"] == [("ua-rec-fixed", "interface", "hostdev"), ("ua-rec-data", "interface", "network")]
    assert methods["idle1"] == [("ua-rec-any", "interface", "hostdev")]
    assert methods["g5"] == methods["g9"] == [("ua-rec-raw", "hostdev", "pci")]
    assert methods["g8"] == [("ua-rec-data", "interface", "network")]
    assert [nic.address for nic in first["byhand"]] == BY_HAND
    assert sorted(nic.address[:7] for nic in first["db1"]) == ["0000:01", "0000:02"]
    assert [nic.address for nic in first["web1"]][:1] == [host.vf_address("enp1s0", 0)]

    now = given(host, RUNNING, inactive=False)
    fixed, data = now["web1"]
    assert (fixed.address, now["idle1"]) == (first["web1"][0].address, first["idle1"])
    assert data.address in POOL
    index = POOL.index(data.address) + 5
    assert host.vfs("enp2s0")[index]["max_tx_rate"] == 100
    held = {f"int {n}" for n, driver in host.vf_drivers("enp1s0").items() if driver == "vfio-pci"}
    held |= {f"ext {n}" for n, driver in host.vf_drivers("enp2s0").items() if driver == "vfio-pci"}
    (idle,) = (n for n in range(7) if host.vf_address("enp1s0", n) == first["idle1"][0].address)
    assert held == {"int 0", f"int {idle}", f"ext {index}"}


RENAME = """
for names in 'enp1s0 lan0' 'enp2s0 lan1'; do
    set -- $names
    ip link set $1 down && ip link set $1 name $2 && ip link set $2 up
done
systemctl restart libvirtd
"""


@pytest.mark.long
def test_nobody_is_moved_by_a_second_apply_new_names_of_the_cards_or_libvirts_restart(first: Given, host: Host) -> None:
    before = given(host, RUNNING, inactive=False)
    host.reconciler("plan ten.toml --detailed-exitcode").expect(0).says("In sync")
    host.sh(RENAME)
    host.reconciler("apply ten.toml --yes").expect(0).says("In sync")
    assert given(host, RUNNING + OFF) == first
    assert {name: [nic.address for nic in nics] for name, nics in given(host, RUNNING, inactive=False).items()} == {
        name: [nic.address for nic in nics] for name, nics in before.items()
    }


MORE = '[domain.g6.nic.more]\npf = "int"\n'


@pytest.mark.long
def test_after_a_reboot_everybody_has_the_same_again_and_whoever_is_new_has_another(first: Given, host: Host) -> None:
    """The VFs are gone then, those that byhand was promised too, and one more NIC is declared."""
    host.lab.reboot()
    assert host.numvfs("enp1s0") == host.numvfs("enp2s0") == 0
    drift = host.reconciler("drift ten.toml --json").expect(2).json
    moved = {(item["address"], item["field"]) for item in drift["fields"] if item["label"] == "drift"}
    assert {("pf.int", "vfs"), ("pf.ext", "vfs")} <= moved
    assert not [where for where, _ in moved if where.startswith("domain.")]
    plan = host.reconciler("plan ten.toml --json").expect(0).json
    assert {"pf.set_numvfs"} <= {action["op"] for action in plan["actions"]}
    assert [action for action in plan["actions"] if action["op"].startswith("nic.")] == []

    host.put("more.toml", (host.sh(f"cat {WORK}/ten.toml")) + MORE)
    host.reconciler("apply more.toml --yes").expect(0)
    found = given(host, RUNNING + OFF)
    once(found)
    assert found["g6"].pop().alias == "ua-rec-more"
    assert found == first
    host.reconciler("plan more.toml --detailed-exitcode").expect(0)

    host.sh("virsh start web1; virsh start byhand")
    now = given(host, ["web1", "byhand"], inactive=False)
    assert now["web1"][0].address == first["web1"][0].address
    assert now["web1"][1].address in POOL
    assert [nic.address for nic in now["byhand"]] == BY_HAND
