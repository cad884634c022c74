"""Others who configure the same card, with real files of theirs; and VFs that a real networkd leaves alone. One host
goes through all of it in the order of this file."""

from __future__ import annotations

import pytest

from tests.lab.conftest import Host

LINK, NETPLAN = "/etc/systemd/network/10-int.link", "/etc/netplan/60-sriov.yaml"
FOREIGN = {
    LINK: """
[Match]
PermanentMACAddress=52:54:00:1a:b0:00
[Link]
SR-IOVVirtualFunctions=2
[SR-IOV]
VirtualFunction=1
VLANId=200
""",
    NETPLAN: """
network:
  ethernets:
    enp1s0:
      virtual-function-count: 7
""",
    "/etc/rc.local": """#!/bin/sh
for pf in enp1s0 enp2s0; do
  echo 3 > /sys/class/net/$pf/device/sriov_numvfs
done
""",
}
CATCH_ALL = "/etc/systemd/network/90-all.network"
FILE = """
schema = 1
[pf.int]
match = { name = "enp1s0" }
vfs = 4
[pf.int.vf.1]
vlan = 100
"""
IGNORED = """
schema = 1
[pf.int]
match = { name = "enp1s0" }
vfs = 2
vf_driver = "kernel"
host_network = "ignore"
"""


def write(host: Host, path: str, text: str) -> None:
    """A file of somebody else's, before it has any effect."""
    host.sh(f"mkdir -p $(dirname {path}) && cat >{path} && chmod 700 {path}", input=text)


def setup_of(host: Host) -> dict[str, str]:
    """What networkd says of each interface that is there, once it has settled."""
    host.sh("udevadm settle; sleep 2")
    lines = [line.split() for line in host.sh("networkctl list --no-legend --no-pager").splitlines()]
    return {words[1]: words[-1] for words in lines if len(words) >= 5}


def test_what_others_say_is_a_conflict_with_file_and_line(host: Host) -> None:
    host.put("owners.toml", FILE)
    quiet = host.reconciler("plan owners.toml").expect(0)
    assert "another-owner" not in quiet.text, quiet.text
    for path, text in FOREIGN.items():
        write(host, path, text)
    plan = host.reconciler("plan owners.toml --json").expect(0).json
    assert plan["verdict"] == "changes"
    said = [d for d in plan["diagnostics"] if d["code"].startswith("another-owner")]
    assert [(d["severity"], d["code"], d["address"]) for d in said] == [
        ("warning", "another-owner-differs", "pf.int")
    ] * 3
    details = " ".join(d["detail"] for d in said)
    assert (
        f"{LINK}:5 (systemd-networkd): vfs = 2, declared is 4; vlan of VF 1 (line 8) = 200, declared is 100" in details
    )
    assert f"{NETPLAN}:5 (netplan): vfs = 7, declared is 4" in details
    assert "/etc/rc.local:3 (rc.local): vfs = 3, declared is 4" in details


def test_it_blocks_nothing_and_drift_tells_it_too(host: Host) -> None:
    host.reconciler("apply owners.toml --yes").expect(0).says(f"{NETPLAN}:5 (netplan)")
    assert host.numvfs("enp1s0") == 4
    host.reconciler("drift owners.toml").expect(0).says(f"{LINK}:5", f"{NETPLAN}:5", "/etc/rc.local:3")


def test_the_other_one_does_what_was_told_of_it(host: Host) -> None:
    """udev goes by the .link file as it was read: that count, of all that are told."""
    host.sh("echo 0 >/sys/class/net/enp1s0/device/sriov_numvfs; udevadm control --reload")
    host.sh("udevadm trigger --settle --action=add /sys/class/net/enp1s0")
    assert host.numvfs("enp1s0") == 2
    host.sh(f"rm {' '.join(FOREIGN)}; udevadm control --reload")
    host.reconciler("apply owners.toml --yes").expect(0)
    assert "another-owner" not in host.reconciler("drift owners.toml").expect(0).text


def test_networkd_takes_vfs_and_leaves_them_once_it_is_told(host: Host) -> None:
    write(host, CATCH_ALL, "[Match]\nName=enp*v*\n[Network]\nDHCP=yes\nLinkLocalAddressing=no\n")
    host.sh(f"chmod 644 {CATCH_ALL}; networkctl reload; echo 0 >/sys/class/net/enp1s0/device/sriov_numvfs")
    host.sh("for pf in enp1s0 enp2s0; do echo 2 >/sys/class/net/$pf/device/sriov_numvfs; done")
    before = setup_of(host)
    assert before["enp1s0v1"] != "unmanaged"
    assert before["enp2s0v1"] != "unmanaged"
    host.put("ignored.toml", IGNORED)
    plan = host.reconciler("plan ignored.toml").expect(0)
    plan.says("systemd-networkd manages the interface of VF 0, 1")
    host.reconciler("apply ignored.toml --yes").expect(0)
    after = setup_of(host)
    assert (after["enp1s0v0"], after["enp1s0v1"]) == ("unmanaged", "unmanaged")
    assert after["enp2s0v1"] != "unmanaged"
    assert host.reconciler("plan ignored.toml --json").expect(0).json["actions"] == []


@pytest.mark.long
def test_the_way_back_gives_the_vfs_back_and_nothing_else(host: Host) -> None:
    host.sh("ip link add dum0 type dummy; ip link set dum0 up")
    write(host, "/etc/systemd/network/50-dum.network", "[Match]\nName=dum0\n[Network]\nLinkLocalAddressing=ipv6\n")
    host.sh("chmod 644 /etc/systemd/network/50-dum.network")
    host.reconciler("rollback --yes").expect(0)
    back = setup_of(host)
    assert "unmanaged" not in (back["enp1s0v0"], back["enp1s0v1"])
    assert back["dum0"] == "unmanaged"  # What waits for a reload still waits.
    host.sh("rm /etc/systemd/network/50-dum.network; ip link del dum0")
    host.reconciler("apply ignored.toml --yes").expect(0)


@pytest.mark.long
def test_vfs_to_come_are_left_alone_and_the_way_back_gives_them_back(host: Host) -> None:
    host.sh("cd /sys/class/net/enp1s0/device; echo 0 >sriov_numvfs; echo 3 >sriov_numvfs")
    assert {name: setup for name, setup in setup_of(host).items() if name.startswith("enp1s0v")} == dict.fromkeys(
        ("enp1s0v0", "enp1s0v1", "enp1s0v2"), "unmanaged"
    )
    host.sh("ip link set enp1s0v0 down; ip link set enp1s0v0 name slice0; ip link set slice0 up")
    assert setup_of(host)["slice0"] == "unmanaged"
    # Somebody gives a VF to networkd by hand: that is drift.
    host.sh("sed -i s/Unmanaged=yes/Unmanaged=no/ /etc/systemd/network/00-reconciler.network; networkctl reload")
    drift = host.reconciler("drift ignored.toml --json").expect(2).json
    assert "host_network" in [item["field"] for item in drift["fields"] if item["label"] == "drift"]
    host.reconciler("apply ignored.toml --yes").expect(0)
    assert setup_of(host)["enp1s0v1"] == "unmanaged"


@pytest.mark.long
def test_a_file_that_goes_before_ours_fails_with_the_reason(host: Host) -> None:
    write(host, "/etc/systemd/network/00-a.network", "[Match]\nName=enp1s0v*\n[Network]\nDHCP=yes\n")
    host.sh("chmod 644 /etc/systemd/network/00-a.network; networkctl reload; sleep 2")
    host.reconciler("apply ignored.toml --yes").expect(4).says("A file of theirs may go before ours")
    host.sh("rm /etc/systemd/network/00-a.network; networkctl reload")
    host.reconciler("apply ignored.toml --yes").expect(0)
