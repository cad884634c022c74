"""Keys on guests: spare PCIe slots, and a virtio NIC that stands in for a VF."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET

import pytest

from tests.lab.conftest import Host

DB1, WEB1 = "52:54:00:6d:92:01", "52:54:00:6d:92:02"
PATIENCE = 90
"""Seconds until a nested guest has seen a card come or go."""


def definition(host: Host, guest: str, option: str = "") -> ET.Element:
    return ET.fromstring(host.sh(f"virsh dumpxml {option} {guest}"))


def free_ports(host: Host, guest: str) -> int:
    """Root ports of the definition on whose bus nothing sits."""
    xml = definition(host, guest, "--inactive")
    ports = {int(c.get("index", "0")) for c in xml.iterfind("devices/controller[@model='pcie-root-port']")}
    return len(ports - {int(a.get("bus", "0"), 16) for a in xml.iterfind("devices/*/address[@type='pci']")})


def pair(host: Host, guest: str, option: str = "") -> list[tuple[str, str, str, str]]:
    """Of both halves: type, MAC, bridge, and what <teaming> says."""
    devices = definition(host, guest, option).find("devices")
    assert devices is not None
    halves = [device for device in devices if device.find("teaming") is not None]
    return sorted(
        (
            half.get("type", ""),
            getattr(half.find("mac"), "attrib", {}).get("address", ""),
            getattr(half.find("source"), "attrib", {}).get("bridge", ""),
            " ".join(getattr(half.find("teaming"), "attrib", {}).values()),
        )
        for half in halves
    )


def said(host: Host, guest: str, *lines: str) -> None:
    """Waits until the guest's console has these lines."""
    until = time.monotonic() + PATIENCE
    while True:
        text = host.sh(f"cat /var/log/lab/{guest}.log")
        if all(line in text for line in lines):
            return
        assert time.monotonic() < until, f"{guest} doesn't say {lines}:\n{text[-2000:]}"
        time.sleep(1)


def test_spare_ports_come_and_go(host: Host) -> None:
    before = free_ports(host, "db1")
    spare = host.put("spare.toml", f"schema = 1\n[domain.db1]\nroot_ports = {before + 2}\n")
    host.reconciler(f"apply {spare} --yes").expect(0)
    assert free_ports(host, "db1") == before + 2
    host.reconciler(f"plan {spare} --detailed-exitcode").expect(0)
    host.reconciler("rollback --yes").expect(0)
    assert free_ports(host, "db1") == before


@pytest.mark.long
def test_a_vf_and_what_stands_in_for_it_come_and_go(host: Host) -> None:
    host.put("guest-keys.toml")
    host.reconciler("plan guest-keys.toml").expect(1).says("failover-no-bridge")
    host.sh("ip link add br0 type bridge; ip link set br0 up; ip link add br1 type bridge; ip link set br1 up")
    host.reconciler("apply guest-keys.toml --yes").expect(0)
    host.reconciler("plan guest-keys.toml --detailed-exitcode").expect(0)

    assert free_ports(host, "db1") == 8
    assert pair(host, "db1") == [("bridge", DB1, "br0", "persistent"), ("pci", "", "", "transient ua-standby-spare")]
    halves = [("bridge", WEB1, "br0", "persistent"), ("hostdev", WEB1, "", "transient ua-standby-data")]
    assert pair(host, "web1") == halves
    assert pair(host, "web1", "--inactive") == halves
    assert "master br0" in host.sh("bridge link")
    # Its kernel has made one interface of the two: the VF shows up only once its virtio_net has said that it can.
    said(host, "web1", f"eth0 {WEB1} virtio_net", f"eth1 {WEB1} virtio_net", f"eth2 {WEB1} igbvf")
    host.reconciler("doctor").says("web1: its VFs don't stand in the way of a migration while it runs")

    moved = host.sh("cat /root/files/guest-keys.toml").replace("br0", "br1")
    host.put("moved.toml", moved)
    host.reconciler("apply moved.toml --yes").expect(5).says("nic.move_standby")
    host.reconciler("apply moved.toml --yes --allow guest").expect(0)
    assert "master br1" in host.sh("bridge link")
    halves[0] = ("bridge", WEB1, "br1", "persistent")
    assert pair(host, "web1") == pair(host, "web1", "--inactive") == halves
    assert "gone" not in host.sh("cat /var/log/lab/web1.log")

    host.put(
        "absent.toml", moved.replace('vf = "int/0"', 'state = "absent"').replace('vf = "int/1"', 'state = "absent"')
    )
    host.reconciler("apply absent.toml --yes --allow guest").expect(0)
    assert [pair(host, guest, option) for guest in ("db1", "web1") for option in ("", "--inactive")] == [[]] * 4
    said(host, "web1", "gone eth0", "gone eth1", "gone eth2")
    host.reconciler("rollback --yes").expect(0)
    assert pair(host, "web1") == pair(host, "web1", "--inactive") == halves
