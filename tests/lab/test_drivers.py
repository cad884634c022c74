"""What a driver refuses, and what it can do only while its link is up."""

import pytest

from tests.lab.conftest import Host, Ran
from tests.lab.test_main_job import carries

RATE = """
schema = 1
[pf.slow]
match = { name = "enp2s0" }
link = "up"
[pf.slow.vf.0]
max_tx_rate = 100
"""


@pytest.fixture(scope="module")
def refused(host: Host) -> Ran:
    """A clean host on which refused.toml was applied."""
    host.put("refused.toml")
    return host.reconciler("apply refused.toml --yes")


def test_what_the_driver_refuses_is_told_with_the_reason_and_what_to_do(refused: Ran) -> None:
    refused.expect(4).says(
        "pf.int.vf.0", "link_state", "Operation not supported", "igb", "take it out of the state file"
    )


def test_what_depends_on_it_is_named_and_the_rest_is_done(refused: Ran, host: Host) -> None:
    refused.says("Left", "domain.web1.nic.data")
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
