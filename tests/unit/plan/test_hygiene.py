"""What VFs are to be like when guests come and go."""

from __future__ import annotations

from reconciler.host.model import Domain, Nic, Snapshot
from reconciler.plan.hygiene import differing, set_by_libvirt, vfs_of, wanted
from reconciler.state.desired import ZERO_MAC
from tests.hosts import desired, guest, host, igb

FILE = """
[pf.int]
match.name = "enp1s0"
vfs = 4
vf_defaults.spoofchk = true
[pf.int.vf.2]
max_tx_rate = 70
vlan = 9
[pool.p]
vfs = ["int/0-1"]
[domain.web.nic]
data = { pool = "p", max_tx_rate = 100, spoofchk = false }
mgmt = { vf = "int/3", mac = "52:54:00:00:00:03", trust = true }
"""


def at(index: int) -> str:
    return igb(1, 4).vfs[index].address or ""


def with_guest(*nics: Nic, name: str = "web") -> Snapshot:
    domains: list[Domain] = [guest(name, running=True, live=nics)] if nics else [guest(name)]
    return host(igb(1, 4, up=True, carrier=True, speed=1000), igb(2, 2), domains=domains)


def test_a_pool_nic_has_its_own_attributes_on_the_vf_that_libvirt_chose() -> None:
    now = with_guest(Nic("interface", "ua-rec-data", "52:54:00:00:00:01", at(1)))
    vfs = vfs_of(now, "web")
    assert vfs == [("pci/0000:01:00.0", 1)]
    target = wanted(desired(FILE), now, vfs)[vfs[0]]
    assert target.values == {"max_tx_rate": 100, "min_tx_rate": 0, "spoofchk": False, "trust": False}
    assert target.declared == {"max_tx_rate", "spoofchk"}


def test_a_guest_that_the_file_does_not_know_gets_what_the_vf_has_and_no_leftovers() -> None:
    now = with_guest(Nic("hostdev", None, None, at(2)), name="other")
    (target,) = wanted(desired(FILE), now, vfs_of(now, "other")).values()
    assert target.values["max_tx_rate"] == 70
    assert target.values["vlan"] == 9
    assert target.values["mac"] == ZERO_MAC
    assert target.declared == {"max_tx_rate", "vlan", "spoofchk"}


def test_what_nobody_has_goes_back_to_the_file_and_else_to_the_driver() -> None:
    pf = "pci/0000:01:00.0"
    found = wanted(desired(FILE), with_guest(), [(pf, 0), (pf, 2), (pf, 3)])
    assert found[pf, 0].values["spoofchk"] is True
    assert (found[pf, 0].values["max_tx_rate"], found[pf, 0].values["mac"]) == (0, ZERO_MAC)
    assert (found[pf, 2].values["max_tx_rate"], found[pf, 2].values["vlan"]) == (70, 9)
    assert found[pf, 3].values == {"min_tx_rate": 0, "max_tx_rate": 0, "spoofchk": True, "trust": True}


def test_pfs_that_the_file_does_not_declare_are_left_alone() -> None:
    assert wanted(desired(FILE), with_guest(), [("pci/0000:02:00.0", 0), ("pci/0000:09:00.0", 0)]) == {}


def test_what_differs() -> None:
    pf = igb(1, 1)
    assert pf.vfs[0].attributes is not None
    pf.vfs[0].attributes |= {"max_tx_rate": 5, "trust": True}
    del pf.vfs[0].attributes["spoofchk"]
    values = {"max_tx_rate": 0, "min_tx_rate": 0, "trust": True, "spoofchk": True}
    assert differing(pf, 0, values, unreported=False) == {"max_tx_rate": 0}
    assert differing(pf, 0, values, unreported=True) == {"max_tx_rate": 0, "spoofchk": True}


def test_mac_and_vlan_that_libvirt_has_set_are_those_of_the_xml_as_far_as_they_can_be_checked() -> None:
    now = with_guest(
        Nic("interface", "ua-rec-data", "52:54:00:00:00:01", at(1), vlan=7),
        Nic("hostdev", "ua-rec-x", None, at(2)),
        Nic("interface", "ua-rec-y", "52:54:00:00:00:02", at(3)),
    )
    pf = "pci/0000:01:00.0"
    second = {"mac": "52:54:00:00:00:02"}  # Its VLAN may be the network's.
    assert set_by_libvirt(now, "web") == {(pf, 1): {"mac": "52:54:00:00:00:01", "vlan": 7}, (pf, 3): second}
    now.pfs[pf].vfs[1].attributes = {}
    assert set_by_libvirt(now, "web") == {(pf, 3): second}
    assert set_by_libvirt(now, "unknown") == {}


def test_a_protocol_goes_with_the_vlan_that_it_is_for() -> None:
    """Without a VLAN any protocol is right, but the struct that sets the VLAN has one too."""
    values = {"vlan": 100, "qos": 0, "vlan_proto": "802.1ad"}
    assert differing(igb(1, 1), 0, values, unreported=False) == {"vlan": 100, "vlan_proto": "802.1ad"}


def test_a_vf_that_is_only_promised_is_as_its_own_table_says() -> None:
    """The planner would give VF 0 to the NIC, which nobody has approved; once it is there it counts."""
    text = """
[pf.int]
match.name = "enp1s0"
vf_defaults.max_tx_rate = 100
[domain.web.nic.fast]
pf = "int"
method = "hostdev"
mac = "52:54:00:00:00:44"
trust = true
"""
    pf = "pci/0000:01:00.0"
    target = wanted(desired(text), with_guest(), [(pf, 0)])[pf, 0]
    assert (target.values["mac"], target.values["trust"], target.declared) == (ZERO_MAC, False, {"max_tx_rate"})
    now = with_guest(Nic("hostdev", "ua-rec-fast", None, at(0)))
    target = wanted(desired(text), now, [(pf, 0)])[pf, 0]
    assert (target.values["mac"], target.values["trust"]) == ("52:54:00:00:00:44", True)
