"""The changes whose every write is made to go wrong."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from reconciler.host.twin import hands
from reconciler.host.twin.clock import settle
from reconciler.host.twin.host import TwinHost
from reconciler.host.twin.profiles import make_from
from reconciler.host.twin.state import Twin
from reconciler.state.desired import Desired
from reconciler.state.load import load
from tests.faults.world import apply


@dataclass(frozen=True, slots=True)
class Scenario:
    """From one state file to another, with what was done by hand in between."""

    name: str
    before: str
    after: str
    by_hand: Sequence[str] = field(default_factory=tuple)
    goes: frozenset[tuple[str, str]] = frozenset()
    """NICs (domain, alias) that are to go."""
    profile: str = "igb-lab"
    ports: tuple[str, str] = ("enp1s0", "enp2s0")
    """The PF that changes, and another one."""


def desired(text: str) -> Desired:
    """What a state file says."""
    return load("host.toml", f"schema = 1\n{text}".encode())


@cache
def _start(scenario: Scenario) -> Twin:
    twin = make_from(scenario.profile)
    with TemporaryDirectory() as folder:
        if scenario.before:
            assert apply(twin, desired(scenario.before), Path(folder)).code == 0, scenario.name
    for command in scenario.by_hand:
        done = hands.run(TwinHost(twin), command)
        assert done.ok, (command, done)
    settle(twin)
    twin.losses, twin.writes, twin.log = [], 0, []
    return twin


def start(scenario: Scenario) -> Twin:
    """The host before the change."""
    return deepcopy(_start(scenario))


_TWO_GUESTS = """
[pf.int]
match = { name = "enp1s0" }
link = "up"
vfs = 4
vf_driver = "none"
[pf.ext]
match = { name = "enp2s0" }
link = "up"
vfs = 3
vf_driver = "none"
[pf.int.vf.0]
mac = "52:54:00:6d:90:00"
[domain.web1.nic.mgmt]
vf = "int/1"
mac = "52:54:00:6d:90:03"
vlan = 100
[domain.web1.nic.fast]
vf = "int/2"
method = "hostdev"
vlan = 30
trust = true
[domain.db1.nic.data]
vf = "ext/0"
mac = "52:54:00:6d:90:13"
vlan = 200
"""
_BY_HAND = (
    "virsh start db1",
    "ip link set enp1s0 vf 0 vlan 55",
    "ip link set enp1s0 vf 3 vlan 77 qos 2 trust on",
    "ip link set enp1s0 vf 3 max_tx_rate 300",
    "ip link set enp1s0 vf 1 trust on",
    "ip link set enp2s0 vf 2 vlan 9",
)

_POOLS = """
[pf.ext]
match = { name = "enp2s0" }
link = "up"
vfs = 6
vf_driver = "none"
[pool.quiet]
vfs = ["ext/4"]
[pool.busy]
vfs = ["ext/0-1"]
autostart = true
[domain.web1.nic.data]
pool = "busy"
mac = "52:54:00:6d:90:02"
vlan = 100
max_tx_rate = 100
"""

_E810 = """
[pf.int]
match = { name = "ens2f0np0" }
link = "up"
vfs = 4
vf_driver = "none"
[pf.int.vf.0]
mac = "52:54:00:6d:90:00"
max_tx_rate = 500
[pf.ext]
match = { name = "ens2f1np1" }
link = "up"
vfs = 2
vf_driver = "none"
[domain.web1.nic.mgmt]
vf = "int/1"
mac = "52:54:00:6d:90:03"
vlan = 100
[domain.web2.nic.fast]
vf = "int/2"
method = "hostdev"
mac = "52:54:00:6d:90:05"
trust = true
[domain.db1.nic.data]
vf = "ext/0"
mac = "52:54:00:6d:90:13"
vlan = 200
"""

SCENARIOS = [
    Scenario(
        "fresh host",
        "",
        """
[modules]
blacklist = ["igbvf"]
[pf.int]
match = { name = "enp1s0" }
link = "up"
mtu = 9000
vfs = 3
vf_driver = "none"
[pf.int.vf.0]
mac = "52:54:00:6d:90:00"
vlan = 100
max_tx_rate = 100
spoofchk = false
[pf.ext]
match = { name = "enp2s0" }
link = "up"
vfs = 3
vf_driver = "none"
[pool.p]
vfs = ["ext/1-2"]
autostart = true
[domain.web1.nic.mgmt]
vf = "int/1"
mac = "52:54:00:6d:90:03"
vlan = 103
[domain.web1.nic.data]
pool = "p"
mac = "52:54:00:6d:90:04"
max_tx_rate = 200
[domain.db1.nic.fast]
pf = "ext"
method = "hostdev"
vlan = 200
""",
    ),
    Scenario("4 to 7 VFs under guests", _TWO_GUESTS, _TWO_GUESTS.replace("vfs = 4", "vfs = 7"), _BY_HAND),
    Scenario(
        "7 to 3 VFs and a move",
        _TWO_GUESTS.replace("vfs = 4", "vfs = 7").replace("int/2", "int/6"),
        _TWO_GUESTS.replace("vfs = 4", "vfs = 3"),
        ("virsh start db1", "ip link set enp1s0 vf 0 vlan 55", "ip link set enp2s0 vf 2 vlan 9"),
    ),
    Scenario(
        "changes in place",
        _TWO_GUESTS,
        _TWO_GUESTS.replace("vlan = 100", "vlan = 101\nmax_tx_rate = 100")
        .replace("vlan = 30", "vlan = 31\nspoofchk = false")
        .replace("vlan = 200", "vlan = 201"),
        ("virsh start db1",),
    ),
    Scenario(
        "a driver that is loaded",
        _TWO_GUESTS.replace('vf_driver = "none"', 'vf_driver = "kernel"'),
        '[modules]\nblacklist = ["igbvf"]\n' + _TWO_GUESTS.replace('vf_driver = "none"', 'vf_driver = "vfio-pci"', 1),
        ("virsh start db1",),
    ),
    Scenario(
        "pools that grow",
        _POOLS,
        _POOLS.replace("ext/0-1", "ext/0-2").replace('"ext/4"', '"ext/4-5"'),
    ),
    Scenario(
        "VFs of pools made again",
        _POOLS,
        _POOLS.replace("vfs = 6", "vfs = 7").replace("ext/0-1", "ext/0-2"),
        ("ip link set enp2s0 vf 3 vlan 77",),
    ),
    Scenario(
        "NICs that go and move",
        _TWO_GUESTS,
        _TWO_GUESTS.replace('vf = "int/1"\nmac = "52:54:00:6d:90:03"\nvlan = 100', 'state = "absent"')
        .replace("int/2", "int/3")
        .replace("52:54:00:6d:90:13", "52:54:00:6d:90:23"),
        ("virsh start db1",),
        frozenset({("web1", "ua-rec-mgmt")}),
    ),
    Scenario(
        "NICs that swap their VFs",
        _TWO_GUESTS.replace('method = "hostdev"\nvlan = 30\ntrust = true', 'mac = "52:54:00:6d:90:05"'),
        _TWO_GUESTS.replace('method = "hostdev"\nvlan = 30\ntrust = true', 'mac = "52:54:00:6d:90:05"')
        .replace("int/1", "int/x")
        .replace("int/2", "int/1")
        .replace("int/x", "int/2"),
        ("virsh start db1",),
    ),
    Scenario(
        "NICs that get a stand-in",
        _TWO_GUESTS,
        _TWO_GUESTS.replace('"52:54:00:6d:90:03"', '"52:54:00:6d:90:03"\nfailover = { bridge = "br0" }')
        .replace('"52:54:00:6d:90:13"', '"52:54:00:6d:90:13"\nfailover = { bridge = "br0" }')
        .replace("[domain.db1.nic.data]", "[domain.db1]\nroot_ports = 8\n[domain.db1.nic.data]"),
        ("ip link add br0 type bridge",),
    ),
    Scenario(
        "more VFs on an E810",
        _E810,
        _E810.replace("vfs = 4", "vfs = 6").replace("vlan = 200", "vlan = 201"),
        ("ip link set ens2f0np0 vf 3 vlan 77", "ip link set ens2f0np0 vf 1 trust on"),
        profile="e810",
        ports=("ens2f0np0", "ens2f1np1"),
    ),
]
