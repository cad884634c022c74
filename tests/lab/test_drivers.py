"""What a driver refuses, and what it can do only while its link is up: what `plan` says beforehand by the driver table,
and what the kernel answers when the same is written all the same."""

import errno
import json
import shlex
from typing import Any

import pytest

from tests.lab.conftest import Host, Ran
from tests.lab.machinery import python
from tests.lab.test_main_job import carries

RATE = """
schema = 1
[pf.slow]
match = { name = "enp2s0" }
link = "up"
[pf.slow.vf.0]
max_tx_rate = 100
"""
ONE = """
schema = 1
[pf.int]
match = {{ name = "enp1s0" }}
link = "{link}"
vfs = 3
[pf.int.vf.0]
{line}
"""
WRITE = """
import json, os, sys
from reconciler.host.local.writer import LocalWriter
from reconciler.host.protocol import VfSet
device = os.path.basename(os.readlink("/sys/class/net/enp1s0/device"))
[refused] = LocalWriter("").set_vfs(f"pci/{device}", [VfSet(0, json.loads(sys.argv[1]))])
print(refused.errno if refused else 0)
"""
LIMITS: list[tuple[str, dict[str, Any], str, int]] = [
    # A line of the state file, the same as the kernel gets it, what plan says of it, what the kernel answers.
    (
        "max_tx_rate = 1001",
        {"min_tx_rate": 0, "max_tx_rate": 1001},
        "igb accepts 0..1000 Mbit/s; max_tx_rate = 1001",
        errno.EINVAL,
    ),
    (
        "min_tx_rate = 10",
        {"min_tx_rate": 10, "max_tx_rate": 0},
        "igb has no min_tx_rate; min_tx_rate = 10",
        errno.EINVAL,
    ),
    ('link_state = "enable"', {"link_state": "enable"}, "igb has no link_state", errno.EOPNOTSUPP),
    (
        'vlan = 5\nvlan_proto = "802.1ad"',
        {"vlan": 5, "qos": 0, "vlan_proto": "802.1ad"},
        "igb does not take vlan_proto = 802.1ad",
        errno.EPROTONOSUPPORT,
    ),
]


def kernel_says(host: Host, attributes: dict[str, Any]) -> int:
    """The error number of a request that goes straight to the kernel, 0 when it is taken."""
    path = f"PYTHONPATH={python.HOME}/src:{python.HOME}/deps"
    return int(host.sh(f"{path} python3 - {shlex.quote(json.dumps(attributes))}", input=WRITE))


def one_line(text: str) -> str:
    """Without the line breaks of a terminal's width, and the bar before a quotation."""
    return " ".join(text.replace("\u2502", " ").split())


@pytest.fixture(scope="module")
def linked(host: Host) -> Host:
    """A host whose first card has a link and three VFs."""
    host.put("ready.toml", ONE.format(link="up", line="vlan = 0\nmax_tx_rate = 1000"))
    host.reconciler("apply ready.toml --yes").expect(0)
    return host


@pytest.mark.parametrize(
    ("line", "attributes", "told", "number"),
    [
        pytest.param(*limit, id=limit[0], marks=[pytest.mark.long] if number else [])
        for number, limit in enumerate(LIMITS)
    ],
)
def test_plan_and_kernel_refuse_the_same(
    linked: Host, line: str, attributes: dict[str, Any], told: str, number: int
) -> None:
    linked.put("limit.toml", ONE.format(link="up", line=line))
    before = linked.observed()
    ran = linked.reconciler("plan limit.toml").expect(1)
    assert told in one_line(ran.text)
    assert kernel_says(linked, attributes) == number
    assert linked.changes_since(before) == []


def test_plan_and_kernel_take_the_same(linked: Host) -> None:
    assert kernel_says(linked, {"min_tx_rate": 0, "max_tx_rate": 1000}) == 0
    linked.reconciler("plan ready.toml --detailed-exitcode").expect(0)


def test_plan_and_kernel_refuse_a_rate_while_the_pf_is_down(linked: Host) -> None:
    linked.put("down.toml", ONE.format(link="down", line="max_tx_rate = 100"))
    ran = linked.reconciler("plan down.toml").expect(1)
    assert "igb refuses a rate without a link" in one_line(ran.text)
    linked.sh("ip link set enp1s0 down")
    # A rate of 0 is no test: a real card refuses it, too, and QEMU's keeps its link bit (igb_ndo_set_vf_bw).
    assert kernel_says(linked, {"min_tx_rate": 0, "max_tx_rate": 100}) == errno.EINVAL
    linked.sh("ip link set enp1s0 up")


@pytest.fixture(scope="module")
def refused(host: Host) -> Ran:
    """A clean host on which what can be done of refused.toml was done."""
    host.put("refused.toml")
    return host.reconciler("apply refused.toml --partial --yes")


def test_what_the_driver_refuses_is_told_with_the_reason_and_what_to_do(refused: Ran) -> None:
    refused.expect(4).says("pf.int.vf.0", "igb has no link_state", "take link_state out of")


def test_what_depends_on_it_is_named_and_the_rest_is_done(refused: Ran, host: Host) -> None:
    refused.says("domain.web1.nic.data")
    assert host.nics("web1") == host.nics("web1", inactive=True) == {}
    assert "igbvf" not in host.modules()
    assert host.numvfs("enp1s0") == 3
    carries(host.vfs("enp1s0"), {1: {"vlan": 21, "max_tx_rate": 210}})
    assert set(host.nics("db1", inactive=True)) == {"ua-rec-data"}


def test_once_the_file_is_mended_the_rest_follows(refused: Ran, host: Host) -> None:
    mended = host.sh("cat /root/files/refused.toml").replace('link_state = "enable"', "vlan = 20")
    host.put("refused.toml", mended)
    host.reconciler("apply refused.toml --yes").expect(0)
    assert set(host.nics("web1")) == set(host.nics("web1", inactive=True)) == {"ua-rec-data"}
    carries(host.vfs("enp1s0"), {0: {"mac": "52:54:00:6d:92:00", "vlan": 20}, 1: {"vlan": 21, "max_tx_rate": 210}})
    host.reconciler("plan refused.toml --detailed-exitcode").expect(0)


def test_a_rate_waits_for_the_link_that_is_declared_with_it(refused: Ran, host: Host) -> None:
    host.sh("echo 2 >/sys/class/net/enp2s0/device/sriov_numvfs && ip link set enp2s0 down")
    host.put("rate.toml", RATE)
    host.reconciler("apply rate.toml --yes").expect(0)
    assert host.link("enp2s0")["operstate"] == "UP"
    carries(host.vfs("enp2s0"), {0: {"max_tx_rate": 100}, 1: {"max_tx_rate": 0}})
