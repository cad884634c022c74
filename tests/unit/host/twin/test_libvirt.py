"""Guests and their VFs: start, stop, hot-plug, and what libvirt saves and restores."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.host.protocol import HostError, NicMatch, NicSpec
from reconciler.host.twin.hands import run
from reconciler.state.desired import ZERO_MAC
from tests.unit.host.twin.twins import INT, MAC, attach, attributes, do, interface, lab, said, vf

WEB1 = NicMatch(alias="ua-rec-net")


def live(host, name: str = "web1"):  # type: ignore[no-untyped-def]
    """Live NICs of a guest."""
    return host.observe().libvirt.domains[name].live


def test_hot_plug_takes_the_vf_and_sets_mac_and_vlan() -> None:
    host = lab("ip link set enp1s0 vf 0 vlan 9 qos 2 spoofchk off", driver=True, vfs=1)
    began = host.monotonic()
    attach(host, vlan=5)
    assert host.monotonic() - began == pytest.approx(1.3, abs=0.1)
    assert (vf(host).driver, vf(host).netdev) == ("vfio-pci", None)
    seen = attributes(host)
    assert (seen["mac"], seen["vlan"], seen["qos"], seen["spoofchk"]) == (MAC, 5, 0, False)
    assert [nic.alias for nic in live(host)] == ["ua-rec-net"]
    group = vf(host).iommu_group
    assert group is not None
    assert [process.command for process in (host.observe().vfio_open or {})[group]] == ["qemu-system-x86"]


def test_an_interface_without_a_vlan_clears_the_one_that_the_vf_had() -> None:
    host = lab("ip link set enp1s0 vf 0 vlan 9", vfs=1)
    attach(host)
    assert attributes(host)["vlan"] == 0


def test_mac_and_vlan_are_put_back_and_the_rest_leaks_to_the_next_guest() -> None:
    host = lab("ip link set enp1s0 vf 0 mac 52:54:00:00:00:09 vlan 9", vfs=1)
    attach(host, vlan=5)
    assert vf(host).saved == {"mac": "52:54:00:00:00:09", "vlan": 9}
    do(host, "ip link set enp1s0 vf 0 max_tx_rate 100 spoofchk off trust on vlan 77")
    do(host, "virsh destroy web1")
    seen = attributes(host)
    assert (seen["mac"], seen["vlan"]) == ("52:54:00:00:00:09", 9), "what was set by hand meanwhile is undone"
    assert (seen["max_tx_rate"], seen["spoofchk"], seen["trust"]) == (100, False, True)
    attach(host, "idle1")
    do(host, "virsh start idle1")
    assert attributes(host)["max_tx_rate"] == 100


def test_a_plain_hostdev_keeps_what_the_vf_has() -> None:
    host = lab("ip link set enp1s0 vf 0 mac 52:54:00:00:00:09 vlan 9 qos 2", vfs=1)
    host.attach_nic("web1", replace(interface(), method="hostdev", mac=None, vlan=None), live=True, config=True)
    assert (attributes(host)["vlan"], attributes(host)["qos"], vf(host).saved) == (9, 2, None)
    do(host, "virsh destroy web1")
    assert (attributes(host)["mac"], attributes(host)["vlan"]) == ("52:54:00:00:00:09", 9)


def test_the_hosts_driver_takes_the_vf_back_where_autoprobe_lets_it() -> None:
    host = lab(driver=True, vfs=1)
    attach(host)
    do(host, "virsh destroy web1")
    assert vf(host).driver == "igbvf"
    assert vf(host).saved is None


def test_an_unplug_is_answered_a_little_later() -> None:
    host = lab(vfs=1)
    attach(host)
    host.detach_nic("web1", WEB1, live=True, config=False)
    assert len(live(host)) == 1, "it only asks"
    host.sleep(1)
    assert live(host) == []
    assert attributes(host)["mac"] == ZERO_MAC
    assert vf(host).driver is None


def test_a_guest_that_does_not_answer_keeps_its_nic() -> None:
    host = lab("virsh start idle1", vfs=1)
    attach(host, "idle1")
    host.detach_nic("idle1", WEB1, live=True, config=False)
    host.sleep(120)
    assert len(live(host, "idle1")) == 1
    host.detach_nic("idle1", WEB1, live=True, config=False)  # The writer takes "already under way" for success.
    again = run(host, "virsh detach-device-alias idle1 ua-rec-net --live")
    assert "already in the process of unplug" in again.message
    assert do(host, "virsh shutdown idle1").ok
    host.sleep(120)
    assert host.observe().libvirt.domains["idle1"].running


def test_slots_run_out() -> None:
    host = lab(vfs=7)
    for index in range(6):
        attach(host, index=index, alias=f"ua-rec-{index}", mac=f"52:54:00:00:01:0{index}")
    with pytest.raises(HostError) as refused:
        attach(host, index=6, alias="ua-rec-6", mac="52:54:00:00:01:06")
    assert "No more available PCI slots" in refused.value.detail
    assert "root port" in refused.value.detail
    assert len(host.observe().libvirt.domains["web1"].config) == 6, "a refusal changes nothing"


def test_a_vf_of_another_guest_is_refused_at_the_start_and_not_before() -> None:
    host = lab(vfs=2)
    attach(host)
    attach(host, "db1", 1, alias="ua-rec-a", mac="52:54:00:00:01:01")
    attach(host, "db1", 0, alias="ua-rec-b", mac="52:54:00:00:01:02")
    result = run(host, "virsh start db1")
    assert result.message.splitlines() == [
        "error: Failed to start domain 'db1'",
        "error: Requested operation is not valid: PCI device 0000:01:10.0 is in use by driver QEMU, domain web1",
    ]
    assert vf(host, 1).driver is None, "what was taken before the refusal is given back"
    assert not host.observe().libvirt.domains["db1"].running


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("ip link set enp1s0 down", "because the PF is not online"),
        ("virsh destroy web1", "domain is not running"),
        ("pull enp1s0", "supported on SR-IOV Virtual Functions only"),
    ],
)
def test_what_libvirt_refuses(change: str, says: str) -> None:
    host = lab(change, vfs=1)
    with pytest.raises(HostError) as refused:
        host.attach_nic("web1", interface(), live=True, config=False)
    assert says in refused.value.detail
    assert refused.value.summary == "libvirt refused a change."


def test_the_same_alias_or_vf_twice_in_a_guest_is_refused() -> None:
    host = lab(vfs=2)
    attach(host)
    for spec, says in (
        (interface(0, alias="ua-rec-2"), "Hostdev already exists"),
        (interface(1), "non unique alias"),
    ):
        with pytest.raises(HostError) as refused:
            host.attach_nic("web1", spec, live=False, config=True)
        assert says in said(refused.value)


def test_only_user_aliases_last_and_a_mac_is_generated_once() -> None:
    host = lab(vfs=1)
    host.attach_nic("db1", NicSpec("interface", "net7", vf_address="0000:01:10.0"), live=False, config=True)
    (nic,) = host.observe().libvirt.domains["db1"].config
    assert nic.alias is None
    assert nic.mac is not None
    do(host, "virsh start db1")
    assert live(host, "db1")[0].alias == "hostdev0"
    assert attributes(host)["mac"] == nic.mac


def test_update_changes_the_definition_alone() -> None:
    host = lab(vfs=2)
    attach(host, vlan=5)
    host.update_nic("web1", WEB1, interface(1, vlan=6))
    domain = host.observe().libvirt.domains["web1"]
    assert [(nic.vf_address, nic.vlan) for nic in domain.config] == [("0000:01:10.2", 6)]
    assert [(nic.vf_address, nic.vlan) for nic in domain.live] == [("0000:01:10.0", 5)]
    with pytest.raises(HostError, match="A NIC is gone"):
        host.update_nic("web1", NicMatch(alias="ua-rec-other"), interface(1))


def test_a_guest_that_answers_shuts_down_by_itself() -> None:
    host = lab("virsh shutdown web1")
    assert host.observe().libvirt.domains["web1"].running
    host.sleep(3)
    assert not host.observe().libvirt.domains["web1"].running


def test_what_libvirt_says_of_unknown_things() -> None:
    host = lab()
    assert "no domain with matching name 'nosuch'" in run(host, "virsh start nosuch").message
    assert "no network with matching name 'nosuch'" in run(host, "virsh net-start nosuch").message
    assert "no device found with alias ua-x" in run(host, "virsh detach-device-alias web1 ua-x --live").message
    assert host.observe().pfs[INT].up


@pytest.mark.parametrize(
    ("saved", "then"),
    [(ZERO_MAC, "02:00:00:00:00:00"), ("52:54:00:00:00:09", "52:54:00:00:00:09"), ("01:00:5e:00:00:01", MAC)],
)
def test_another_mac_than_the_saved_one_is_only_tried_for_the_zero_one(saved: str, then: str) -> None:
    host = lab(vfs=1)
    attach(host)
    with host.changing() as twin:
        twin.pfs[INT].driver = "bnx2x"  # It refuses the zero MAC, as all do with one of a group.
        twin.pfs[INT].vfs[0].saved = {"mac": saved, "vlan": 0}
    do(host, "virsh destroy web1")
    assert attributes(host)["mac"] == then


def test_an_iommu_group_belongs_to_one_guest() -> None:
    host = lab(vfs=3)
    with host.changing() as twin:
        for item in twin.pfs[INT].vfs[:2]:
            item.iommu_group = 40
    attach(host)
    attach(host, index=1, alias="ua-rec-second", mac="52:54:00:6d:90:02")
    assert [nic.alias for nic in live(host)] == ["ua-rec-net", "ua-rec-second"], "its own guest may have the rest"
    do(host, "virsh detach-device-alias web1 ua-rec-second --live")
    host.sleep(5)
    attach(host, "db1", index=1)
    refused = run(host, "virsh start db1")
    assert not refused.ok
    assert f"PCI device {vf(host).address} is in use by driver QEMU, domain web1" in refused.message
    attach(host, "idle1", index=2)
    do(host, "virsh start idle1")
