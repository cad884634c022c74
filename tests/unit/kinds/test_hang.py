"""What waits while the kernel hangs in a write."""

from __future__ import annotations

import pytest

from reconciler.host.model import Hang, Network, Nic, Snapshot
from reconciler.kinds.hang import in_the_way
from reconciler.kinds.operation import Args
from tests.hosts import guest, host, igb

INT, EXT = "pci/0000:01:00.0", "pci/0000:02:00.0"
COUNT = "/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs"
UNBIND = "/sys/bus/pci/drivers/vfio-pci/unbind"
SET = {"vf": 1, "set": {"vlan": 5}}


def hanging(path: str, pf: str = INT) -> Snapshot:
    nic = Nic("interface", "ua-rec-a", None, "0000:01:10.2")
    pool = Network("pool", "u", mode="hostdev", addresses=["0000:01:10.0"])
    by_pf = Network("by-pf", "u", mode="hostdev", pf_dev="enp2s0")
    found = host(igb(1, 2), igb(2, 2), domains=[guest("web", running=True, live=[nic])], networks=[pool, by_pf])
    found.hangs = [Hang(50, "sh", path, pf, "2026-01-01T00:00:00Z")]
    return found


def attach(**nic: object) -> Args:
    return {"domain": "web", "nic": nic, "live": True, "config": True}


@pytest.mark.parametrize(
    ("path", "op", "args", "waits"),
    [
        (COUNT, "pf.set_mtu", {"pf": INT, "mtu": 9000}, True),
        (COUNT, "pf.set_mtu", {"pf": EXT, "mtu": 9000}, False),
        (COUNT, "vf.set", {"pf": INT, **SET}, True),
        (COUNT, "vf.set", {"domain": "web", "alias": "ua-rec-a", "set": {"vlan": 5}}, True),
        (COUNT, "vf.set", {"domain": "web", "alias": "ua-rec-b", "set": {"vlan": 5}}, False),
        (COUNT, "pf.set_numvfs", {"pf": EXT, "vfs": 2}, True),
        (UNBIND, "pf.set_numvfs", {"pf": EXT, "vfs": 2}, False),
        (COUNT, "pf.set_numvfs", {"pf": "netdevsim/netdevsim1", "vfs": 2}, False),
        (UNBIND, "vf.bind", {"pf": INT, "vf": 0, "driver": "none"}, True),
        (UNBIND, "modules.unload", {"module": "igbvf"}, True),
        (UNBIND, "modules.set_blacklist", {"modules": []}, False),
        (COUNT, "nic.attach", attach(vf=[INT, 0]), True),
        (COUNT, "nic.attach", attach(vf=[EXT, 0]), False),
        (COUNT, "nic.attach", attach(pool="pool"), True),
        (COUNT, "nic.attach", attach(pool="by-pf"), False),
        (COUNT, "nic.attach", attach(pool="none-such"), False),
        (COUNT, "nic.attach", {**attach(vf=[INT, 0]), "live": False}, False),
        (COUNT, "nic.detach", {"domain": "web", "match": {"alias": "ua-rec-a"}, "live": True, "config": True}, False),
        ("", "pf.set_mtu", {"pf": EXT, "mtu": 9000}, True),
        ("", "vf.set", {"pf": EXT, **SET}, True),
        ("", "pf.set_numvfs", {"pf": EXT, "vfs": 2}, False),
    ],
)
def test_what_waits(path: str, op: str, args: Args, waits: bool) -> None:
    why = in_the_way(hanging(path, INT if path else ""), op, args)
    assert ("process 50 (sh)" in why) == waits


def test_no_more_than_a_few_are_left_behind() -> None:
    found = hanging(UNBIND, "pci/0000:09:00.0")
    assert in_the_way(found, "pf.set_autoprobe", {"pf": INT, "autoprobe": False}) == ""
    found.hangs *= 8
    assert "process 50" in in_the_way(found, "pf.set_autoprobe", {"pf": INT, "autoprobe": False})
    assert in_the_way(found, "pool.start", {"pool": "pool"}) == ""
