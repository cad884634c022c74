"""The way to the operator, on decoded links."""

from __future__ import annotations

import errno
import struct
from pathlib import Path

import pytest

from reconciler.host.local import netlink
from reconciler.host.local.link_reports import route_request
from reconciler.host.local.operator import Link, Links, Ssh, find_ssh, operator_uses, ways_down
from reconciler.host.local.rtnl import RTM_GETROUTE, RtnlSocket, attribute
from tests.unit.host.tree import Tree


def links(*items: tuple[int, str, dict[str, object]]) -> Links:
    found = {}
    for index, name, more in items:
        link = Link(index, name, True, 1500, True, None)
        for key, value in more.items():
            setattr(link, key, value)
        found[index] = link
    return Links(found)


STACK = links(
    (1, "lo", {}),
    (2, "enp1s0", {"master": 5}),
    (3, "enp2s0", {"master": 5}),
    (4, "enp3s0", {}),
    (5, "bond0", {"kind": "bond"}),
    (6, "bond0.100", {"kind": "vlan", "lower": 5, "master": 7}),
    (7, "br0", {"kind": "bridge"}),
    (8, "vnet0", {"kind": "tun", "master": 7}),
    (9, "mv0", {"kind": "macvlan", "lower": 7}),
)


def ways(found: Links, top: int) -> dict[str, str]:
    return {found.name(index): " → ".join(way) for index, way in ways_down(found, top).items()}


def test_down_through_macvlan_bridge_vlan_and_bond_to_each_of_its_ports() -> None:
    assert ways(STACK, 9) == {
        "mv0": "mv0",
        "br0": "mv0 → br0",
        "bond0.100": "mv0 → br0 → bond0.100",
        "vnet0": "mv0 → br0 → vnet0",
        "bond0": "mv0 → br0 → bond0.100 → bond0",
        "enp1s0": "mv0 → br0 → bond0.100 → bond0 → enp1s0",
        "enp2s0": "mv0 → br0 → bond0.100 → bond0 → enp2s0",
    }


def test_open_vswitch_can_not_be_seen_through() -> None:
    found = links(
        (2, "enp1s0", {"master": 5}),
        (3, "enp2s0", {}),
        (5, "ovs-system", {"kind": "openvswitch"}),
        (6, "br-ex", {"kind": "openvswitch"}),
    )
    assert ways(found, 6)["enp1s0"] == "br-ex → Open vSwitch (any of its ports) → enp1s0"
    assert "enp2s0" not in ways(found, 6)


def test_a_veth_goes_on_at_its_other_ends_bridge_and_a_circle_ends() -> None:
    found = links(
        (2, "enp1s0", {"master": 5}),
        (5, "br0", {"kind": "bridge"}),
        (6, "veth0", {"kind": "veth", "lower": 7}),
        (7, "veth1", {"kind": "veth", "lower": 6, "master": 5}),
    )
    assert ways(found, 6)["enp1s0"] == "veth0 → br0 → enp1s0"


def test_uses_of_the_ssh_connection_and_of_the_default_route() -> None:
    found = STACK
    found.ssh = {7: Ssh("192.0.2.7", "192.0.2.1")}
    found.routes = {7: ["198.51.100.0/24", "default via 192.0.2.254"], 4: ["default via 203.0.113.1"]}
    uses = {
        found.name(index): [(use.kind, str(use)) for use in listed] for index, listed in operator_uses(found).items()
    }
    over = "over br0 → bond0.100 → bond0 → enp2s0"
    assert uses["enp2s0"] == [
        ("ssh", f"your SSH connection from 192.0.2.7 comes in {over}"),
        ("default-route", f"the default route via 192.0.2.254 goes out {over}"),
    ]
    assert [kind for kind, _ in uses["br0"]] == ["ssh"]
    assert "enp3s0" not in uses, "it is among its routes"


@pytest.mark.parametrize(
    ("text", "ssh"),
    [
        ("192.0.2.7 50000 192.0.2.1 22", Ssh("192.0.2.7", "192.0.2.1")),
        ("::ffff:192.0.2.7 50000 ::ffff:192.0.2.1 22", Ssh("192.0.2.7", "192.0.2.1")),
        ("fe80::1%enp1s0 50000 fe80::2%enp1s0 22", Ssh("fe80::1%enp1s0", "fe80::2%enp1s0")),
        ("", None),
        ("192.0.2.7 50000", None),
        ("host 1 other 2", None),
        ("\x1b[31m 1 192.0.2.1 2", None),
    ],
)
def test_ssh_connections(tmp_path: Path, text: str, ssh: Ssh | None) -> None:
    assert find_ssh(tmp_path, {"SSH_CONNECTION": text}, 1) == ssh


def test_under_sudo_it_is_found_in_a_process_above(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    for pid, parent, environ in (
        (50, 49, "PATH=/bin\0"),
        (49, 48, "PATH=/bin\0TERM=x\0"),
        (48, 1, "LANG=C\0SSH_CONNECTION=192.0.2.7 5 192.0.2.1 22\0"),
        (47, 1, "SSH_CONNECTION=192.0.2.8 5 192.0.2.1 22\0"),
    ):
        tree.write(f"proc/{pid}/environ", environ)
        tree.write(f"proc/{pid}/stat", f"{pid} (a) b) S {parent} 0\n")
    assert find_ssh(tmp_path, {}, 50) == Ssh("192.0.2.7", "192.0.2.1")
    (tmp_path / "proc/48/environ").unlink()
    assert find_ssh(tmp_path, {}, 50) is None


class Routes(RtnlSocket):
    """Answers RTM_GETROUTE: by an interface for each source address, else with an error."""

    def __init__(self, by: dict[str, int]) -> None:
        self.by = {route_request("192.0.2.7", source): index for source, index in by.items()}

    def get(self, kind: int, body: bytes) -> bytes:
        assert kind == RTM_GETROUTE
        if body not in self.by:
            raise OSError(errno.EINVAL, "Invalid argument")
        return bytes(12) + attribute(4, struct.pack("=I", self.by[body]))


@pytest.mark.parametrize(
    ("by", "found"),
    [
        ({"192.0.2.1": 3, "": 4}, [3, 5]),
        ({"": 4}, [4, 5]),
        ({}, [5]),
    ],
)
def test_the_way_back_and_the_interface_with_our_address(by: dict[str, int], found: list[int]) -> None:
    ours = Links({}, {5: ["192.0.2.1/24"], 6: ["192.0.2.11/24"]})
    ssh = Ssh("192.0.2.7", "192.0.2.1")
    assert list(netlink.interfaces_of(Routes(by), ours, ssh)) == found
    assert list(netlink.interfaces_of(Routes({}), STACK, Ssh("fe80::1%br0", "fe80::2%br0"))) == [7]
