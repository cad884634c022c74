"""Making and removing VFs."""

from __future__ import annotations

import errno

import pytest

from reconciler.host.model import Process
from reconciler.host.protocol import HostError
from reconciler.host.twin.hands import run
from reconciler.host.twin.host import TwinHost
from reconciler.host.twin.profiles import make_from
from tests.unit.host.twin.twins import INT, attach, attributes, do, lab, pf, said, vf


@pytest.mark.parametrize(
    ("before", "count", "code", "says"),
    [
        (4, 7, errno.EBUSY, "through 0 only"),
        (0, 8, errno.ERANGE, "sriov_totalvfs"),
        (0, -1, errno.EINVAL, "Invalid argument"),
    ],
)
def test_counts_that_the_kernel_refuses(before: int, count: int, code: int, says: str) -> None:
    host = lab(vfs=before)
    with pytest.raises(HostError) as refused:
        host.set_numvfs(INT, count, 30)
    assert refused.value.errno == code
    assert says in refused.value.detail
    assert len(pf(host).vfs) == before


def test_the_same_count_again_does_nothing() -> None:
    host = lab("ip link set enp1s0 vf 0 vlan 5", vfs=2)
    host.set_numvfs(INT, 2, 30)
    assert attributes(host)["vlan"] == 5


def test_addresses_and_iommu_groups_are_as_in_the_lab() -> None:
    host = lab(vfs=7)
    assert [item.address for item in pf(host).vfs] == [
        *("0000:01:10.0", "0000:01:10.2", "0000:01:10.4", "0000:01:10.6"),
        *("0000:01:11.0", "0000:01:11.2", "0000:01:11.4"),
    ]
    assert len({item.iommu_group for item in pf(host).vfs}) == 7


def test_without_an_iommu_there_are_no_groups_and_no_vfio() -> None:
    twin = make_from("igb-lab")
    twin.iommu = False
    host = TwinHost(twin)
    host.set_autoprobe(INT, False)
    host.set_numvfs(INT, 1, 30)
    assert vf(host).iommu_group is None
    with pytest.raises(HostError, match="did not get its driver"):
        host.bind_vf(INT, 0, "vfio-pci", 30)


def test_a_loaded_driver_takes_the_vfs_and_names_come_late() -> None:
    host = lab(driver=True)
    host.set_numvfs(INT, 2, 30)
    assert vf(host, 1).driver == "igbvf"
    assert vf(host, 1).netdev is None
    assert [use.kind for use in vf(host, 1).uses] == ["unknown"]
    seen = set()
    for _ in range(40):
        host.sleep(0.1)
        seen.add(vf(host, 1).netdev)
    assert {"enp1s0v1"} < seen
    assert any(name and name.startswith("eth") for name in seen)
    assert vf(host, 1).netdev == "enp1s0v1"
    assert vf(host, 1).uses == []


def test_with_autoprobe_off_nobody_takes_them() -> None:
    host = lab(driver=True)
    host.set_autoprobe(INT, False)
    host.set_numvfs(INT, 2, 30)
    host.sleep(30)
    assert [item.driver for item in pf(host).vfs] == [None, None]


def test_udev_loads_the_driver_unless_it_is_blacklisted() -> None:
    host = lab("modprobe -r igbvf", driver=True)
    host.set_numvfs(INT, 1, 30)
    host.sleep(5)
    assert vf(host).driver == "igbvf"
    assert "igbvf" in (host.observe().modules.loaded or [])

    kept_away = lab(vfs=1)
    assert vf(kept_away).driver is None
    assert "igbvf" not in (kept_away.observe().modules.loaded or [])


def test_attributes_are_gone_after_zero_except_where_the_driver_keeps_them() -> None:
    host = lab("ip link set enp1s0 vf 0 vlan 5 spoofchk off", vfs=1)
    host.set_numvfs(INT, 0, 30)
    host.set_numvfs(INT, 1, 30)
    assert (attributes(host)["vlan"], attributes(host)["spoofchk"]) == (0, True)

    twin = make_from("igb-lab")
    twin.pfs[INT].driver, twin.pfs[INT].device_id = "netdevsim", None
    keeps = TwinHost(twin)
    keeps.set_numvfs(INT, 1, 30)
    do(keeps, "ip link set enp1s0 vf 0 vlan 5 trust on")
    keeps.set_numvfs(INT, 0, 30)
    keeps.set_numvfs(INT, 1, 30)
    assert (attributes(keeps)["vlan"], attributes(keeps)["trust"]) == (5, True)


def test_making_vfs_takes_the_link_away_for_a_moment() -> None:
    host = lab()
    assert pf(host).carrier is True
    host.set_numvfs(INT, 1, 30)
    assert pf(host).carrier is False
    host.sleep(3)
    assert (pf(host).carrier, pf(host).speed) == (True, 1000)


def test_zero_under_a_guest_that_answers_succeeds_and_the_guest_loses_its_nic() -> None:
    host = lab(vfs=2)
    attach(host)
    host.set_numvfs(INT, 0, 30)
    assert pf(host).vfs == []
    domain = host.observe().libvirt.domains["web1"]
    assert domain.running
    assert (len(domain.live), len(domain.config)) == (0, 1)
    assert [(loss.domain, loss.nic, loss.until) for loss in host.losses()] == [("web1", "ua-rec-net", None)]


def test_zero_under_a_guest_that_does_not_answer_hangs_until_the_guest_is_gone() -> None:
    host = lab("virsh start idle1", vfs=3)
    attach(host, "idle1", 1)
    began = host.monotonic()
    with pytest.raises(HostError) as hung:
        host.set_numvfs(INT, 0, 30)
    assert hung.value.errno == errno.ETIMEDOUT
    assert "Held now: VF 1 (0000:01:10.2): qemu-system-x86 (pid 20" in hung.value.detail
    assert host.monotonic() - began == pytest.approx(30, abs=1)
    assert [item.index for item in pf(host).vfs] == [1, 2], "the VFs before the held one are gone already"
    with pytest.raises(HostError, match="hangs"):
        host.set_numvfs(INT, 0, 5)
    assert "The kernel hangs" in " ".join(host.observe().notes)
    do(host, "virsh destroy idle1")
    assert pf(host).vfs == []
    host.set_numvfs(INT, 2, 30)
    assert len(pf(host).vfs) == 2


def test_a_process_that_has_the_group_open_keeps_the_vf() -> None:
    host = lab(vfs=1)
    host.bind_vf(INT, 0, "vfio-pci", 30)
    group = vf(host).iommu_group
    assert group is not None
    with host.changing() as twin:
        twin.users[group] = [Process(77, "dpdk-testpmd")]
    assert [process.command for process in (host.observe().vfio_open or {})[group]] == ["dpdk-testpmd"]
    with pytest.raises(HostError) as hung:
        host.bind_vf(INT, 0, "none", 5)
    assert "hangs" in said(hung.value)


def test_a_card_that_is_pulled_is_gone() -> None:
    host = lab("pull enp1s0", vfs=2)
    assert INT not in host.observe().pfs
    with pytest.raises(HostError) as gone:
        host.set_link(INT, True)
    assert gone.value.errno == errno.ENODEV
    assert run(host, "ip link set enp1s0 up").message == 'Cannot find device "enp1s0"'


def test_bnxt_makes_no_vfs_while_its_pf_is_down() -> None:
    host = TwinHost(make_from("bnxt"))
    identity = "pci/0000:5e:00.0"
    host.set_numvfs(identity, 4, 30)
    assert pf(host, identity).vfs == [], "the write succeeds all the same"
    do(host, "ip link set eno1np0 up")
    host.set_numvfs(identity, 4, 30)
    assert len(pf(host, identity).vfs) == 4


@pytest.mark.parametrize(
    ("driver", "code"), [("mlx4_core", errno.ENOENT), ("bnx2x", errno.EINVAL), (None, errno.ENOENT)]
)
def test_drivers_that_make_none_or_not_while_down(driver: str | None, code: int) -> None:
    twin = make_from("igb-lab")
    twin.pfs[INT].driver, twin.pfs[INT].device_id = driver, None
    with pytest.raises(HostError) as refused:
        TwinHost(twin).set_numvfs(INT, 2, 30)
    assert refused.value.errno == code
