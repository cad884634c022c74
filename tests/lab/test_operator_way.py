"""The way to the operator on a real kernel: an address on a VLAN on a bond over a card, and an SSH connection by it."""

from __future__ import annotations

import pytest

from tests.lab.conftest import Host

FILE = """
schema = 1
[pf.int]
match = { name = "enp1s0" }
vfs = 2
[pf.last]
match = { name = "enp3s0" }
vfs = 1
"""
STACK = """
modprobe bonding max_bonds=0 && modprobe 8021q
ip link add bond0 type bond mode active-backup miimon 100
ip link set enp1s0 down && ip link set enp1s0 master bond0
ip link set enp3s0 down && ip link set enp3s0 master bond0
ip link set bond0 type bond primary enp1s0
ip link set bond0 up && ip link add link bond0 name bond0.100 type vlan id 100
ip addr add 192.0.2.1/24 dev bond0.100 && ip link set bond0.100 up
ip netns add away && ip link set enp2s0 netns away
ip -n away link set enp2s0 up && ip -n away link add link enp2s0 name v100 type vlan id 100
ip -n away addr add 192.0.2.7/24 dev v100 && ip -n away link set v100 up
timeout 90 sh -c 'until ip netns exec away timeout 2 bash -c "</dev/tcp/192.0.2.1/22"; do sleep 0.5; done' 2>/dev/null
"""
"""Two cards are on one wire: the operator sits in another network namespace, behind the other one."""
WAY = "enp1s0: your SSH connection from 192.0.2.7 comes in over bond0.100 → bond0 → enp1s0"
IDLE = "enp3s0: your SSH connection from 192.0.2.7 comes in over bond0.100 → bond0 → enp3s0"
"""A port by which the bond sends nothing just now, and may at the next moment."""

SUDO = 'env -u SSH_CONNECTION "$@"\nexit $?\n'
"""What sudo does to the environment."""


@pytest.fixture(scope="module")
def connected(host: Host) -> str:
    """A command that runs another one as an operator would: over ssh and by sudo."""
    host.sh(STACK)
    host.sh("ssh-keygen -q -t ed25519 -N '' -f /root/key && cat /root/key.pub >>/root/.ssh/authorized_keys")
    options = "-i /root/key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
    host.put("as-root", SUDO)
    return f"ip netns exec away ssh {options} root@192.0.2.1 cd /root/files '&&' sh as-root"


def test_a_count_that_would_cut_the_connection_is_refused_with_the_way(host: Host, connected: str) -> None:
    host.put("way.toml", FILE)
    assert "SSH_CONNECTION=" not in host.sh(f"{connected} env")
    before = host.observed()
    ran = host.reconciler("apply way.toml --yes", prefix=connected).expect(5)
    ran.says("pf.set_numvfs of pf.int is of class management", WAY, "pf.last", IDLE, "--allow management")
    host.reconciler("plan way.toml", prefix=connected).expect(0).says("Worst disruption: management", WAY)
    assert host.changes_since(before) == []


def test_it_is_carried_out_when_that_is_allowed(host: Host, connected: str) -> None:
    host.reconciler("apply way.toml --yes --allow management", prefix=connected).expect(0)
    assert (host.numvfs("enp1s0"), host.numvfs("enp3s0")) == (2, 1)
    # From elsewhere it is no operator's way, and all the same a bond's port with an address above it.
    quiet = host.reconciler("inspect").expect(0)
    assert "SSH connection" not in quiet.text.replace("\n", " ")
    quiet.says("used by the host: master bond0")
