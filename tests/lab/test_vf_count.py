"""The number of VFs changes: through 0 when nobody holds one, refused when a guest does."""

from typing import Any

import pytest

from tests.lab.conftest import WORK, Host, Ran
from tests.lab.test_main_job import carries

VF1: dict[str, Any] = {"mac": "52:54:00:6d:91:01", "vlan": 11, "spoofchk": False, "max_tx_rate": 200}

BY_HAND = """
<interface type='hostdev' managed='yes'>
  <mac address='52:54:00:6d:91:33'/>
  <source><address type='pci' domain='0x0000' bus='0x03' slot='0x10' function='0x0'/></source>
  <alias name='ua-by-hand'/>
</interface>
"""

FOREIGN = """
schema = 1
[pf.own]
match = { name = "enp3s0" }
vfs = 7
"""


@pytest.fixture(scope="module")
def four(host: Host) -> Ran:
    """A host with four VFs on each of two PFs, and web1 with one of them."""
    host.put("count-4.toml")
    host.put("count-7.toml")
    return host.reconciler("apply count-4.toml --yes").expect(0)


def test_more_vfs_are_refused_while_a_guest_holds_one(four: Ran, host: Host) -> None:
    assert host.numvfs("enp1s0") == host.numvfs("enp2s0") == 4
    carries(host.vfs("enp1s0"), {1: VF1})
    assert set(host.nics("web1")) == {"ua-rec-data"}
    before = host.observed()
    runs = host.sh("ls /var/lib/reconciler/runs")
    host.reconciler("apply count-7.toml --yes").expect(5).says(
        "Refused", "pf.ext", "web1", "ua-rec-data", "--allow guest", "Nothing was changed"
    )
    assert host.changes_since(before) == []
    assert host.sh("ls /var/lib/reconciler/runs") == runs


def test_more_vfs_come_by_way_of_none_where_nobody_holds_one(four: Ran, host: Host) -> None:
    plan = host.reconciler("plan count-7.toml --target pf.int --json").expect(0).json
    (change,) = (change for change in plan["changes"] if change["address"] == "pf.int")
    assert change["op"] == "replace"
    assert {"name": "vfs", "before": 4, "after": 7} in change["fields"]
    counts = [action["args"]["vfs"] for action in plan["actions"] if action["op"] == "pf.set_numvfs"]
    assert counts == [0, 7]
    host.reconciler("apply count-7.toml --target pf.int --yes").expect(0)
    assert (host.numvfs("enp1s0"), host.numvfs("enp2s0")) == (7, 4)
    carries(host.vfs("enp1s0"), {1: VF1, 6: {"vlan": 16}, 0: {"vlan": 0, "max_tx_rate": 0, "spoofchk": True}})
    assert host.vf_drivers("enp1s0") == dict.fromkeys(range(7), "")
    assert set(host.nics("web1")) == {"ua-rec-data"}


@pytest.mark.long
def test_a_nic_that_somebody_attached_by_hand_protects_its_vf_too(four: Ran, host: Host) -> None:
    host.sh("echo 0 >/sys/class/net/enp3s0/device/sriov_drivers_autoprobe")
    host.sh("echo 4 >/sys/class/net/enp3s0/device/sriov_numvfs && ip link set enp3s0 up")
    host.sh(f"cat >{WORK}/nic.xml && virsh attach-device web1 {WORK}/nic.xml --live", input=BY_HAND)
    host.put("foreign.toml", FOREIGN)
    before = host.observed()
    refused = host.reconciler("apply foreign.toml --yes --allow management").expect(5)
    refused.says("pf.own", "web1", "ua-by-hand", "virsh detach-device-alias web1 ua-by-hand")
    assert host.changes_since(before) == []
    assert host.numvfs("enp3s0") == 4
