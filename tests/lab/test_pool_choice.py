"""The VF that libvirt chooses from a pool: limits follow a guest to it, and what makes it choose one that somebody has
is found. One host for all: each test begins with what the one before it leaves."""

from __future__ import annotations

import re

import pytest

from tests.lab.conftest import Host
from tests.lab.machinery.basics import wait_until
from tests.lab.test_pools import MORE, POOL, STRAY, apply, attach, codes, plan

pytestmark = pytest.mark.long
LIMITED = '[domain.idle1.nic.data]\npool = "shared"\nmac = "52:54:00:6d:94:01"\nmax_tx_rate = 100\nspoofchk = false\n'
BY_HAND = """
<interface type='hostdev' managed='yes'><mac address='52:54:00:6d:94:79'/><alias name='ua-byhand'/>
<source><address type='pci' domain='0x{where[0]}' bus='0x{where[1]}' slot='0x{where[2]}' function='0x{where[3]}'/>
</source></interface>
"""


def index(host: Host, guest: str, alias: str) -> int:
    """The VF that a running guest's NIC is on."""
    where = host.nics(guest)[alias].address
    return next(number for number in range(7) if host.vf_address("enp1s0", number) == where)


def without(held: int) -> str:
    """The pool's VFs but for one, as the file would list them."""
    return f"int/{'0' if held == 1 else f'0-{held - 1}'},{held + 1}-6"


def limits(host: Host, number: int) -> tuple[int, bool]:
    vf = host.vfs("enp1s0")[number]
    return vf["max_tx_rate"], vf["spoofchk"]


def test_limits_reach_the_vf_that_libvirt_chose_this_time(host: Host) -> None:
    apply(host, POOL + MORE + LIMITED).expect(0)
    host.sh("virsh start idle1")
    plan(host, POOL + MORE + LIMITED, "--detailed-exitcode").expect(2).says("max_tx_rate", "spoofchk")
    apply(host, POOL + MORE + LIMITED).expect(0)
    first = index(host, "idle1", "ua-rec-data")
    assert limits(host, first) == (100, False)

    host.sh("virsh destroy idle1")
    plan(host, POOL + MORE + LIMITED).expect(0).says(f"int/{first}: max_tx_rate 100, spoofchk off")
    attach(host, STRAY.format(n=2))
    assert index(host, "web1", "ua-stray2") == first
    host.sh("virsh start idle1")
    second = index(host, "idle1", "ua-rec-data")
    assert second != first
    assert limits(host, second) == (0, True)
    host.reconciler("drift pools.toml").expect(2).says("domain.idle1.nic.data.max_tx_rate")
    apply(host, POOL + MORE + LIMITED).expect(0)
    assert limits(host, second) == (100, False)
    plan(host, POOL + MORE + LIMITED, "--detailed-exitcode").expect(0).says(f"int/{first} (guest web1 (ua-stray2) has")
    host.reconciler(f"reset enp1s0/{first} --yes --allow guest").expect(0)
    assert limits(host, first) == (0, True)
    assert codes(plan(host, POOL + MORE + LIMITED, "--json").expect(0)) == set()


@pytest.mark.long
def test_a_vf_that_a_guest_has_by_another_method_is_found(host: Host) -> None:
    host.sh("virsh destroy idle1; virsh detach-device-alias web1 ua-stray2 --live")
    gone = '[domain.{}.nic.{}]\nstate = "absent"\npool = "shared"\n'
    apply(host, POOL + gone.format("web1", "more") + gone.format("idle1", "data"), "--allow guest").expect(0)
    attach(host, STRAY.format(n=3))
    held = index(host, "web1", "ua-stray3") + 1
    attach(host, BY_HAND.format(where=re.split("[:.]", host.vf_address("enp1s0", held))))
    found = plan(host, POOL).expect(0)
    found.says(f"int/{held}: guest web1 (ua-byhand) has it", f"int/{held} is the next", f'vfs = ["{without(held)}"]')
    before = host.observed()
    refused = apply(host, POOL + MORE).expect(1)
    refused.says(f"The next VF of shared is int/{held}", "guest web1 (ua-byhand) has it")
    assert host.changes_since(before) == []


@pytest.mark.long
def test_a_list_that_is_old_is_told_and_started_anew(host: Host) -> None:
    """Without the VF that is held by hand: while guests use the pool it is only defined anew."""
    held, had = index(host, "web1", "ua-byhand"), len(host.nics("web1"))
    smaller = POOL.replace("int/0-6", without(held))
    plan(host, smaller).expect(0).says("Guests have VFs of it (web1)")
    apply(host, smaller).expect(0)
    assert len(host.net_addresses("shared", inactive=True)) == 6
    assert len(host.net_addresses("shared")) == 7
    refused = apply(host, smaller + MORE).expect(1)
    refused.says("virsh net-destroy shared; virsh net-start shared; systemctl restart libvirtd")
    host.sh("virsh net-destroy shared; virsh net-start shared; systemctl restart libvirtd")
    wait_until(lambda: codes(plan(host, smaller + MORE, "--json")) <= {"vf-left-over"}, "libvirt has the ports", 120)
    apply(host, smaller + MORE).expect(0)
    assert index(host, "web1", "ua-rec-more") == held + 1
    assert len({nic.address for nic in host.nics("web1").values()}) == had + 1
