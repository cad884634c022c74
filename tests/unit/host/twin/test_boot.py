"""A reboot."""

from __future__ import annotations

from reconciler.host.model import Use
from reconciler.host.protocol import NicSpec, PoolSpec
from reconciler.host.twin.hands import run
from tests.unit.host.twin.twins import EXT, INT, attach, do, lab, pf


def test_vfs_are_gone_and_what_the_files_say_stays() -> None:
    host = lab(vfs=3)
    host.set_autoprobe(INT, False)
    host.set_mtu(INT, 9000)
    boot = host.observe().host.boot_id
    do(host, "reboot")
    seen = pf(host)
    assert (seen.vfs, seen.num_vfs, seen.autoprobe, seen.up, seen.mtu) == ([], 0, True, False, 1500)
    assert host.observe().host.boot_id != boot
    assert host.observe().host.machine_id == lab().observe().host.machine_id
    assert host.observe().modules.own == ["igbvf"]


def test_a_port_that_the_host_uses_is_configured_again() -> None:
    host = lab()
    with host.changing() as twin:
        twin.pfs[EXT].up = True
        twin.pfs[EXT].uses = [Use("address", "192.0.2.1/24")]
    do(host, "reboot")
    assert (pf(host, EXT).up, pf(host, EXT).carrier, pf(host, INT).up) == (True, True, False)


def test_the_vf_driver_is_loaded_when_there_are_vfs_and_not_before() -> None:
    host = lab("reboot", driver=True)
    assert "igbvf" not in (host.observe().modules.loaded or [])
    host.set_numvfs(INT, 1, 30)
    host.sleep(5)
    assert pf(host).vfs[0].driver == "igbvf"


def test_autostart_happens_once_and_a_network_whose_vfs_come_later_stays_inactive() -> None:
    host = lab(vfs=1)
    host.define_pool(PoolSpec("sriov", None, "enp1s0"))
    host.set_pool_autostart("sriov", True)
    do(host, "reboot")
    host.set_numvfs(INT, 1, 30)
    host.sleep(600)
    assert not host.observe().libvirt.networks["sriov"].active
    assert any("sriov did not start by itself" in line for line in host.twin().log)


def test_guests_that_start_by_themselves_do_so_if_their_vfs_are_there() -> None:
    host = lab(vfs=1)
    with host.changing() as twin:
        for name in ("web1", "db1"):
            twin.libvirt.domains[name].autostart = True
    attach(host)
    do(host, "reboot")
    domains = host.observe().libvirt.domains
    assert (domains["web1"].running, domains["db1"].running, domains["idle1"].running) == (False, True, False)
    assert len(domains["web1"].config) == 1


def test_what_was_never_defined_is_gone() -> None:
    host = lab(vfs=1)
    host.define_pool(PoolSpec("sriov", None, "enp1s0"))
    host.start_pool("sriov")
    host.attach_nic("web1", NicSpec("pool", "ua-rec-p", pool="sriov"), live=True, config=False)
    host.undefine_pool("sriov")
    do(host, "reboot")
    assert host.observe().libvirt.networks == {}
    assert host.observe().libvirt.domains["web1"].live == []


def test_a_reboot_says_what_did_not_start_by_itself() -> None:
    host = lab(vfs=1)
    with host.changing() as twin:
        twin.libvirt.domains["web1"].autostart = True
    attach(host)
    result = run(host, "reboot")
    assert result.ok
    assert result.message.startswith("boot 2: domain web1 did not start by itself: ")
    assert "\n" not in result.message
    assert run(host, "ip link set enp1s0 up").message == ""
