"""VF attributes: what the driver takes, makes of it and reports."""

from __future__ import annotations

import errno

import pytest

from reconciler.host.protocol import NicSpec, VfSet
from reconciler.host.twin.hands import run
from reconciler.host.twin.host import TwinHost
from reconciler.host.twin.profiles import make_from
from reconciler.state.desired import Attributes
from tests.unit.host.twin.twins import INT, MAC, attach, attributes, do, lab


def with_vfs(profile: str, netdev: str) -> tuple[TwinHost, str]:
    """A twin with two VFs on a PF that is up and has a link."""
    host = TwinHost(make_from(profile))
    do(host, f"ip link set {netdev} up")
    host.sleep(5)
    identity = next(key for key, pf in host.observe().pfs.items() if pf.netdev == netdev)
    host.set_autoprobe(identity, False)
    host.set_numvfs(identity, 2, 30)
    host.sleep(5)
    return host, identity


@pytest.mark.parametrize(
    ("profile", "netdev", "wanted", "code"),
    [
        ("igb-lab", "enp1s0", {"link_state": "disable"}, errno.EOPNOTSUPP),
        ("igb-lab", "enp1s0", {"min_tx_rate": 5, "max_tx_rate": 10}, errno.EINVAL),
        ("igb-lab", "enp1s0", {"min_tx_rate": 0, "max_tx_rate": 1001}, errno.EINVAL),
        ("igb-lab", "enp1s0", {"vlan": 5, "qos": 0, "vlan_proto": "802.1ad"}, errno.EPROTONOSUPPORT),
        ("r620-x520", "p1p1", {"min_tx_rate": 0, "max_tx_rate": 10}, errno.EINVAL),
        ("r620-x520", "p1p1", {"min_tx_rate": 0, "max_tx_rate": 10001}, errno.EINVAL),
    ],
)
def test_what_drivers_refuse(profile: str, netdev: str, wanted: Attributes, code: int) -> None:
    host, identity = with_vfs(profile, netdev)
    before = attributes(host, 0, identity)
    (refused,) = host.set_vfs(identity, [VfSet(0, wanted)])
    assert refused is not None
    assert refused.errno == code
    assert f"{netdev} vf 0" in refused.detail
    assert attributes(host, 0, identity) == before


def test_each_request_has_its_own_answer() -> None:
    host = lab(vfs=2)
    answers = host.set_vfs(
        INT, [VfSet(0, {"trust": True}), VfSet(1, {"link_state": "disable"}), VfSet(9, {"trust": True})]
    )
    assert [answer.errno if answer else 0 for answer in answers] == [0, errno.EOPNOTSUPP, errno.EINVAL]
    assert attributes(host, 0)["trust"] is True


def test_a_rate_takes_a_link() -> None:
    host = lab("ip link set enp1s0 down", vfs=1)
    request = VfSet(0, {"min_tx_rate": 0, "max_tx_rate": 100})
    (refused,) = host.set_vfs(INT, [request])
    assert refused is not None
    assert refused.errno == errno.EINVAL
    host.set_link(INT, True)
    host.sleep(3)
    assert host.set_vfs(INT, [request]) == [None]


def test_what_is_ignored_reads_back_as_it_was() -> None:
    host, identity = with_vfs("r620-x520", "p1p1")
    assert host.set_vfs(identity, [VfSet(0, {"link_state": "enable"})]) == [None]
    assert attributes(host, 0, identity)["link_state"] == "auto"


def test_another_speed_of_the_link_takes_rates_away() -> None:
    host = lab("ip link set enp1s0 vf 0 max_tx_rate 100", "cable enp1s0 out", "cable enp1s0 in", vfs=1)
    host.sleep(5)
    assert attributes(host)["max_tx_rate"] == 100, "the speed is the same"
    do(host, "cable enp1s0 in 100")
    host.sleep(5)
    assert attributes(host)["max_tx_rate"] == 0


def test_one_message_is_taken_in_the_kernels_order_and_left_at_the_first_error() -> None:
    host = lab(vfs=1)
    result = run(host, "ip link set dev enp1s0 vf 0 trust on state disable spoofchk off vlan 7 mac 52:54:00:00:00:07")
    assert (result.ok, result.errno) == (False, errno.EOPNOTSUPP)
    assert result.message == "RTNETLINK answers: Operation not supported"
    seen = attributes(host)
    assert (seen["mac"], seen["vlan"], seen["spoofchk"]) == ("52:54:00:00:00:07", 7, False)
    assert seen["trust"] is False, "trust comes after link state"


def test_a_vlan_by_hand_takes_the_priority_away() -> None:
    host = lab("ip link set enp1s0 vf 0 vlan 7 qos 3", vfs=1)
    assert attributes(host)["qos"] == 3
    do(host, "ip link set enp1s0 vf 0 vlan 8")
    assert (attributes(host)["vlan"], attributes(host)["qos"]) == (8, 0)


def test_libvirt_sets_mac_and_vlan_one_after_the_other_also_where_each_resets_the_vf() -> None:
    host, identity = with_vfs("x710", "ens1f0")
    where = host.observe().pfs[identity].vfs[0].address
    host.attach_nic("web1", NicSpec("interface", "ua-rec-net", MAC, 5, where), live=True, config=True)
    seen = attributes(host, 0, identity)
    assert (seen["mac"], seen["vlan"]) == (MAC, 5)


def test_sfc_changes_no_mac_and_no_vlan_under_a_guest() -> None:
    host = lab(vfs=1)
    with host.changing() as twin:
        twin.pfs[INT].driver = "sfc"
    attach(host, vlan=5)
    answers = host.set_vfs(INT, [VfSet(0, {"mac": MAC[:-1] + "9"}), VfSet(0, {"spoofchk": False})])
    assert [answer.errno if answer else 0 for answer in answers] == [errno.EBUSY, 0]
    do(host, "virsh destroy web1")
    assert host.set_vfs(INT, [VfSet(0, {"mac": MAC[:-1] + "9"})]) == [None]


@pytest.mark.parametrize(
    ("profile", "netdev", "code"), [("x710", "ens1f0", errno.EAGAIN), ("e810", "ens2f0np0", errno.EBUSY)]
)
def test_a_vf_that_is_being_reset_takes_no_request(profile: str, netdev: str, code: int) -> None:
    """The writer asks again until it does, as the local one; `ip` doesn't."""
    host, identity = with_vfs(profile, netdev)
    requests = [VfSet(0, {"mac": "52:54:00:00:00:07"}), VfSet(0, {"spoofchk": False}), VfSet(1, {"spoofchk": False})]
    began = host.monotonic()
    assert host.set_vfs(identity, requests) == [None, None, None]
    assert attributes(host, 0, identity)["spoofchk"] is False
    assert host.monotonic() - began >= 0.5
    do(host, f"ip link set {netdev} vf 1 mac 52:54:00:00:00:08 vlan 7")
    assert run(host, f"ip link set {netdev} vf 1 vlan 8").errno == code
    host.sleep(1.0)
    assert run(host, f"ip link set {netdev} vf 1 vlan 8").ok
