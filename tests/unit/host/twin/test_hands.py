"""Commands by hand: which are known, and what they say."""

from __future__ import annotations

import errno

import pytest

from reconciler.host.twin.hands import Result, run
from reconciler.host.twin.ip_link import Usage
from tests.unit.host.twin.twins import attach, attributes, do, lab, pf


@pytest.mark.parametrize(
    "command",
    [
        "",
        "rm -rf /",
        "ip link set enp1s0",
        "ip link set enp1s0 vf",
        "ip link set enp1s0 vf 0",
        "ip link set enp1s0 vf x vlan 3",
        "ip link set enp1s0 vf 0 vlan",
        "ip link set enp1s0 vf 0 colour red",
        "ip link set enp1s0 vf 0 mac 52:54",
        "ip link set enp1s0 vf 0 qos 3",
        "ip link set enp1s0 mtu nine",
        "echo 3 > /etc/passwd",
        "echo 3 /sys/class/net/enp1s0/device/sriov_numvfs",
        "virsh edit web1",
        "virsh net-autostart pool --enable",
        "modprobe -f igbvf",
        "cable enp1s0 sideways",
        "echo 'unfinished",
    ],
)
def test_everything_else_is_wrong_usage(command: str) -> None:
    host = lab()
    before = host.observe()
    with pytest.raises(Usage):
        run(host, command)
    assert host.observe().pfs == before.pfs


@pytest.mark.parametrize(
    ("command", "result"),
    [
        (
            "echo 3 > /sys/class/net/enp1s0/device/sriov_numvfs",
            Result(False, errno.EBUSY, "sh: write error: Device or resource busy"),
        ),
        (
            "echo 8 > /sys/bus/pci/devices/0000:01:00.0/sriov_numvfs",
            Result(False, errno.ERANGE, "sh: write error: Numerical result out of range"),
        ),
        (
            "echo -1 > /sys/class/net/enp1s0/device/sriov_numvfs",
            Result(False, errno.EINVAL, "sh: write error: Invalid argument"),
        ),
        (
            "ip link set enp1s0 mtu 20",
            Result(False, errno.EINVAL, "RTNETLINK answers: Invalid argument"),
        ),
        (
            "virsh start web1",
            Result(
                False,
                0,
                "error: Failed to start domain 'web1'\nerror: Requested operation is not valid: domain is "
                "already running",
            ),
        ),
    ],
)
def test_what_failed_commands_say(command: str, result: Result) -> None:
    assert run(lab(vfs=2), command) == result


def test_a_guest_that_is_off_is_renamed_and_one_that_runs_is_not() -> None:
    host = lab("virsh domrename db1 db2", "virsh domrename idle1 db1", "virsh undefine db2")
    assert set(host.observe().libvirt.domains) == {"web1", "db1"}
    refused = "error: Requested operation is not valid: "
    assert run(host, "virsh domrename web1 web2") == Result(False, 0, f"{refused}cannot rename active domain")
    taken = run(host, "virsh domrename db1 web1")
    assert taken == Result(False, 0, f"{refused}domain with name 'web1' already exists")
    do(host, "virsh undefine web1")
    found = host.observe().libvirt.domains["web1"]
    assert (found.running, found.persistent) == (True, False)
    assert run(host, "virsh undefine web1").message.startswith("error: Failed to undefine domain 'web1'\nerror: ")


def test_an_interface_has_another_name() -> None:
    host = lab("ip link set enp1s0 name lan0")
    assert pf(host).netdev == "lan0"
    assert run(host, "ip link set enp2s0 name lan0").errno == errno.EEXIST
    assert run(host, "ip link set enp2s0 name a/b").errno == errno.EINVAL


def test_paths_by_netdev_and_by_address_are_the_same_pf() -> None:
    host = lab("echo 0 > /sys/class/net/enp1s0/device/sriov_drivers_autoprobe")
    assert pf(host).autoprobe is False
    do(host, "echo 1>/sys/bus/pci/devices/0000:01:00.0/sriov_drivers_autoprobe")
    assert pf(host).autoprobe is True


def test_a_removal_that_hangs_is_said_so() -> None:
    host = lab("virsh start idle1", vfs=1)
    attach(host, "idle1")
    result = run(host, "echo 0 > /sys/class/net/enp1s0/device/sriov_numvfs")
    assert (result.ok, result.errno) == (False, errno.ETIMEDOUT)


def test_words_and_a_line_are_the_same() -> None:
    host = lab(vfs=1)
    assert run(host, ["ip", "link", "set", "enp1s0", "vf", "0", "max_tx_rate", "50"]) == Result(True)
    assert attributes(host)["max_tx_rate"] == 50
    do(host, "ip link set enp1s0 vf 0 rate 60")
    assert attributes(host)["max_tx_rate"] == 60
