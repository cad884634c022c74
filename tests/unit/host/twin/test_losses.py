"""What running guests lose, and for how long."""

from __future__ import annotations

import pytest

from reconciler.host.protocol import NicMatch, NicSpec
from reconciler.host.twin.host import TwinHost
from reconciler.host.twin.profiles import make_from
from tests.unit.host.twin.twins import EXT, attach, do, lab


def held() -> TwinHost:
    """web1 has a VF of the first PF, and nothing is lost yet."""
    host = lab(vfs=1)
    attach(host)
    assert host.losses() == []
    return host


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("ip link set enp1s0 mtu 9000", "setting the MTU re-initialises enp1s0"),
        ("cable enp1s0 out", "enp1s0 has no link"),
        ("ip link set enp1s0 down", "enp1s0 is down"),
        ("pull enp1s0", "its VF is taken away"),
        ("virsh detach-device-alias web1 ua-rec-net", "its VF is taken away"),
    ],
)
def test_reasons(command: str, reason: str) -> None:
    host = held()
    do(host, command)
    host.sleep(1)
    (loss,) = host.losses()
    assert (loss.domain, loss.nic, loss.reason) == ("web1", "ua-rec-net", reason)


def test_a_link_that_comes_back_ends_it() -> None:
    host = held()
    began = host.monotonic()
    do(host, "ip link set enp1s0 mtu 9000")
    assert host.losses()[0].until is None
    host.sleep(10)
    (loss,) = host.losses()
    assert loss.since == pytest.approx(began)
    assert loss.until == pytest.approx(began + 2, abs=0.2)


def test_another_pf_and_a_guest_that_is_off_lose_nothing() -> None:
    host = held()
    attach(host, "db1", 0)
    host.set_numvfs(EXT, 2, 30)
    host.sleep(10)
    assert host.losses() == []


def test_detach_and_attach_is_one_loss() -> None:
    host = held()
    host.detach_nic("web1", NicMatch(alias="ua-rec-net"), live=True, config=True)
    host.sleep(1)
    attach(host)
    (loss,) = host.losses()
    assert loss.until is not None
    assert loss.until - loss.since == pytest.approx(1.8, abs=0.1)


def test_a_guest_that_is_stopped_on_purpose_loses_nothing_more() -> None:
    host = held()
    do(host, "ip link set enp1s0 down")
    host.sleep(5)
    do(host, "virsh destroy web1")
    (loss,) = host.losses()
    assert loss.until is not None


def test_a_driver_that_resets_the_vf_takes_its_traffic_for_a_moment() -> None:
    host = TwinHost(make_from("x710"))
    identity = "pci/0000:3b:00.0"
    do(host, "ip link set ens1f0 up")
    host.set_numvfs(identity, 1, 30)
    host.sleep(10)
    host.attach_nic(
        "web1", NicSpec("interface", "ua-rec-n", "52:54:00:00:03:01", 0, "0000:3b:02.0"), live=True, config=True
    )
    host.sleep(2)
    do(host, "ip link set ens1f0 vf 0 trust on")
    host.sleep(2)
    (loss,) = host.losses()
    assert loss.reason == "i40e resets the VF"
    assert loss.until is not None
