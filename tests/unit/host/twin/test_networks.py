"""libvirt's hostdev networks: the frozen list, the naive choice."""

from __future__ import annotations

import pytest

from reconciler.host.protocol import HostError, NicSpec, PoolSpec
from reconciler.host.twin.hands import run
from reconciler.host.twin.host import TwinHost
from tests.unit.host.twin.twins import INT, attach, do, lab


def with_pool(vfs: int = 2, *, by_address: bool = False) -> TwinHost:
    """The lab with a pool of the first PF's VFs that is active."""
    host = lab(vfs=vfs)
    addresses = [vf.address or "" for vf in host.observe().pfs[INT].vfs] if by_address else []
    host.define_pool(PoolSpec("sriov", None, None if by_address else "enp1s0", addresses))
    host.start_pool("sriov")
    return host


def from_pool(number: int = 0) -> NicSpec:
    """A NIC by the third method."""
    return NicSpec("pool", f"ua-rec-{number}", f"52:54:00:00:02:0{number}", pool="sriov")


def network(host: TwinHost):  # type: ignore[no-untyped-def]
    """The pool as it is seen."""
    return host.observe().libvirt.networks["sriov"]


@pytest.mark.parametrize("by_address", [False, True])
def test_the_list_of_vfs_is_frozen_at_the_start(by_address: bool) -> None:
    host = with_pool(2, by_address=by_address)
    listed = ["0000:01:10.0", "0000:01:10.2"]
    assert network(host).live_addresses == listed
    host.set_numvfs(INT, 0, 30)
    host.set_numvfs(INT, 4, 30)
    assert network(host).live_addresses == listed
    do(host, "virsh net-destroy sriov")
    do(host, "virsh net-start sriov")
    assert len(network(host).live_addresses) == (2 if by_address else 4)


def test_a_pf_without_vfs_does_not_start() -> None:
    host = lab()
    host.define_pool(PoolSpec("sriov", None, "enp1s0"))
    with pytest.raises(HostError) as refused:
        host.start_pool("sriov")
    assert "No usable Vf's present on SRIOV PF enp1s0" in refused.value.detail
    host.define_pool(PoolSpec("other", None, "nosuch0"))
    with pytest.raises(HostError, match="libvirt refused"):
        host.start_pool("other")


def test_a_guest_gets_the_first_that_the_network_has_not_given_out() -> None:
    host = with_pool(2)
    host.attach_nic("web1", from_pool(), live=True, config=True)
    domain = host.observe().libvirt.domains["web1"]
    assert [(nic.method, nic.pool, nic.vf_address) for nic in domain.live] == [("pool", "sriov", "0000:01:10.0")]
    assert [(nic.method, nic.vf_address) for nic in domain.config] == [("pool", None)]
    assert [(port.owner, port.vf_address) for port in network(host).ports] == [("web1", "0000:01:10.0")]
    do(host, "virsh destroy web1")
    assert network(host).ports == []


def test_exhaustion_is_an_error_at_the_attach() -> None:
    host = with_pool(1)
    host.attach_nic("web1", from_pool(0), live=True, config=True)
    with pytest.raises(HostError) as refused:
        host.attach_nic("web1", from_pool(1), live=True, config=True)
    assert "network 'sriov' requires exclusive access to interfaces, but none are available" in refused.value.detail
    assert "Every VF of the pool is taken" in refused.value.detail


def test_a_vf_that_another_method_gave_away_is_handed_out_all_the_same() -> None:
    host = with_pool(2)
    attach(host, "web1", 0)
    host.attach_nic("db1", from_pool(), live=False, config=True)
    result = run(host, "virsh start db1")
    assert "0000:01:10.0 is in use by driver QEMU, domain web1" in result.message
    assert network(host).ports == [], "the address is given back"


def test_net_destroy_forgets_who_has_what() -> None:
    host = with_pool(2)
    host.attach_nic("web1", from_pool(), live=True, config=True)
    do(host, "virsh net-destroy sriov")
    do(host, "virsh net-start sriov")
    assert network(host).ports == []
    host.attach_nic("db1", from_pool(1), live=False, config=True)
    assert "in use by driver QEMU, domain web1" in run(host, "virsh start db1").message


def test_a_restart_of_libvirtd_makes_a_network_know_again() -> None:
    host = with_pool(2)
    host.attach_nic("web1", from_pool(), live=True, config=True)
    before = network(host).ports
    do(host, "virsh net-destroy sriov")
    do(host, "virsh net-start sriov")
    do(host, "systemctl restart libvirtd")
    host.sleep(5)
    assert network(host).ports == before != []
    host.attach_nic("db1", from_pool(1), live=False, config=True)
    do(host, "virsh start db1")
    assert len(network(host).ports) == 2


def test_an_inactive_network_gives_nothing() -> None:
    host = with_pool(1)
    host.stop_pool("sriov")
    with pytest.raises(HostError) as refused:
        host.attach_nic("web1", from_pool(), live=True, config=False)
    assert "network 'sriov' is not active. Start the pool first." in refused.value.detail
    with pytest.raises(HostError, match="libvirt refused"):
        host.stop_pool("sriov")


def test_defining_an_active_network_anew_counts_from_the_next_start() -> None:
    host = with_pool(2)
    host.define_pool(PoolSpec("sriov", network(host).uuid, addresses=["0000:01:10.2"]))
    assert network(host).addresses == ["0000:01:10.2"]
    assert len(network(host).live_addresses) == 2
    with pytest.raises(HostError) as refused:
        host.define_pool(PoolSpec("sriov", None, "enp1s0"))
    assert "already exists with uuid" in refused.value.detail


def test_undefine_leaves_an_active_network_until_it_stops() -> None:
    host = with_pool(1)
    host.undefine_pool("sriov")
    assert (network(host).active, network(host).persistent) == (True, False)
    with pytest.raises(HostError, match="libvirt refused"):
        host.set_pool_autostart("sriov", True)
    host.stop_pool("sriov")
    assert host.observe().libvirt.networks == {}
