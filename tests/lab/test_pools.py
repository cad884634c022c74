"""Pools with more guests than VFs, that forgot whose their VFs are, or whose list is older than these. One host for
all: each test begins with what the one before it leaves."""

from __future__ import annotations

import pytest

from tests.lab.conftest import Host, Ran
from tests.lab.machinery.basics import wait_until

CARD = """schema = 1
[pf.int]
match = { name = "enp1s0" }
link = "up"
vfs = 7
vf_driver = "none"
"""
POOL = CARD + '[pool.shared]\nvfs = ["int/0-6"]\n'
MORE = '[domain.web1.nic.more]\npool = "shared"\nmac = "52:54:00:6d:94:05"\n'
STRAY = """
<interface type='network'><source network='shared'/><mac address='52:54:00:6d:94:7{n}'/><alias name='ua-stray{n}'/>
</interface>
"""


def nics(guest: str, count: int) -> str:
    return "".join(f'[domain.{guest}.nic.n{number}]\npool = "shared"\n' for number in range(count))


def plan(host: Host, text: str, options: str = "") -> Ran:
    host.put("pools.toml", text)
    return host.reconciler(f"plan pools.toml {options}")


def apply(host: Host, text: str, options: str = "") -> Ran:
    host.put("pools.toml", text)
    return host.reconciler(f"apply pools.toml --yes {options}")


def codes(ran: Ran) -> set[str]:
    return {item["code"] for item in ran.json["diagnostics"]}


def attach(host: Host, xml: str, options: str = "--live") -> None:
    host.sh("cat >/root/nic.xml", input=xml)
    host.sh(f"virsh attach-device web1 /root/nic.xml {options}")


def test_more_nics_than_vfs_are_refused_with_the_list_of_them(host: Host) -> None:
    apply(host, POOL).expect(0)
    attach(host, STRAY.format(n=1), "--live --config")
    seven = POOL + nics("db1", 4) + nics("idle1", 2)
    assert "pool-oversubscribed" not in codes(plan(host, seven, "--json").expect(0))
    eight = POOL + nics("db1", 4) + nics("idle1", 3)
    before = host.observed()
    refused = plan(host, eight).expect(1)
    refused.says("7 VFs, and 8 NICs", "domain.idle1.nic.n2 (off)", "web1 (ua-stray1)", "8 wanted", "1 too few")
    apply(host, eight).expect(1)
    assert host.changes_since(before) == []


@pytest.mark.long
def test_a_pool_that_forgot_its_guests_gives_nothing_twice(host: Host) -> None:
    host.sh("virsh net-destroy shared")
    plan(host, POOL).expect(0).says("int/0 (guest web1)", "is started by this plan")
    host.sh("virsh net-start shared")
    plan(host, POOL).expect(0).says("int/0 (guest web1)", "systemctl restart libvirtd")
    before = host.observed()
    apply(host, POOL + MORE).expect(1).says("The next VF of shared is int/0", "web1", "systemctl restart libvirtd")
    assert host.changes_since(before) == []
    host.sh("systemctl restart libvirtd")
    wait_until(lambda: not codes(plan(host, POOL, "--json")), "libvirt has the ports again", 120)
    apply(host, POOL + MORE).expect(0)
    assert {nic.address for nic in host.nics("web1").values()} == {host.vf_address("enp1s0", n) for n in (0, 1)}


@pytest.mark.long
def test_a_list_from_before_a_new_count_is_made_anew(host: Host) -> None:
    host.sh(
        "ip link set enp2s0 up; cd /sys/class/net/enp2s0/device; echo 0 >sriov_drivers_autoprobe; echo 3 >sriov_numvfs"
    )
    text = 'schema = 1\n[pf.ext]\nmatch = { name = "enp2s0" }\n[pool.whole]\npf = "ext"\n'
    apply(host, text).expect(0)
    host.sh("cd /sys/class/net/enp2s0/device; echo 0 >sriov_numvfs; echo 5 >sriov_numvfs")
    assert len(host.net_addresses("whole")) == 3
    host.reconciler("drift pools.toml").expect(2).says("pool.whole.live_vfs")
    apply(host, text).expect(0)
    assert len(host.net_addresses("whole")) == 5
