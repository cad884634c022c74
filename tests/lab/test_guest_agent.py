"""`doctor` looks into guests that have VFs, by a real guest agent in them; and says where it can't."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lab.conftest import Host
from tests.lab.machinery.basics import wait_until

NIC = """<interface type='hostdev' managed='yes'><mac address='52:54:00:6d:98:0{n}'/><alias name='ua-{n}'/>
<source><address type='pci' domain='0' bus='1' slot='0x10' function='{function}'/></source></interface>"""


def findings(host: Host) -> dict[tuple[str, str], dict[str, Any]]:
    """By code and subject."""
    document = host.reconciler("doctor --json").expect(0).json
    return {(item["code"], item["subject"]): item for item in document["findings"]}


def inside(host: Host, guest: str, command: str) -> None:
    """Has the guest's shell do something, by its agent."""
    order = {"execute": "guest-exec", "arguments": {"path": "/bin/sh", "arg": ["-c", command]}}
    host.sh(f"virsh qemu-agent-command --timeout 30 {guest} '{json.dumps(order)}'")


@pytest.mark.long
def test_what_is_inside_and_what_can_not_be_known(host: Host) -> None:
    host.sh("echo 4 >/sys/class/net/enp1s0/device/sriov_numvfs; ip link set enp1s0 up")
    for number, function in ((1, 0), (2, 2), (3, 4)):
        host.put(f"nic{number}.xml", NIC.format(n=number, function=function))
    host.sh("cd /root/files; virsh setvcpus db1 2 --config --maximum; virsh setvcpus db1 2 --config")
    host.sh("cd /root/files; virsh attach-device db1 nic2.xml --config; virsh attach-device idle1 nic3.xml --config")
    host.sh("virsh start db1; virsh start idle1; virsh attach-device web1 /root/files/nic1.xml --live")
    seen = "for g in web1 db1; do grep -c 'card eth0' /var/log/lab/$g.log; done"
    wait_until(lambda: host.sh(seen, check=False).split() == ["1", "1"], "both guests have their VFs", 120, 1)
    ping = 'virsh qemu-agent-command db1 \'{"execute": "guest-ping"}\''
    wait_until(lambda: "return" in host.sh(ping, check=False), "db1's agent answers", 60, 1)

    # One vCPU has nothing to balance; two want irqbalance and more queues than igbvf has; idle1 has no agent.
    found = findings(host)
    assert {key for key in found if key[1].startswith("guest ")} == {
        ("no-irqbalance-in-guest", "guest db1"),
        ("few-queues-in-guest", "guest db1"),
        ("no-guest-agent", "guest idle1"),
    }
    assert "1 receive queue for 2 vCPUs" in found["few-queues-in-guest", "guest db1"]["seen"]
    host.reconciler("doctor").expect(0).says("web1: eth0 (igbvf) is VF 0 of enp1s0, 1 queue for 1 vCPU")

    inside(host, "db1", "irqbalance")
    inside(host, "web1", "ip link add br0 type bridge; ip link set eth0 master br0")
    wait_until(lambda: "card br0" in host.sh("cat /var/log/lab/web1.log"), "web1 has a bridge", 30, 0.5)
    found = findings(host)
    assert (
        "eth0 in web1 (VF 0 of enp1s0) is a port of the Linux bridge br0"
        in (found["vf-bridged-in-guest", "guest web1"]["seen"])
    )
    assert ("no-irqbalance-in-guest", "guest db1") not in found

    # One agent is gone, the other one hangs.
    inside(host, "db1", "killall qemu-ga")
    inside(host, "web1", "killall -STOP qemu-ga")
    disconnected = "virsh dumpxml db1 | grep -q \"guest_agent.0' state='disconnected'\" && echo yes"
    wait_until(lambda: host.sh(disconnected, check=False).strip() == "yes", "db1's agent is gone", 60, 0.5)
    begun = float(host.sh("cat /proc/uptime").split()[0])
    found = findings(host)
    assert float(host.sh("cat /proc/uptime").split()[0]) - begun < 40
    assert ("guest-agent-not-running", "guest db1") in found
    assert ("guest-agent-silent", "guest web1") in found
    assert ("no-guest-agent", "guest idle1") in found
