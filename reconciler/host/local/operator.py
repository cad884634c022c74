"""The way to the operator: which interfaces carry the default route and the SSH connection, down to the cards."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.host.model import Use

_OVS = "openvswitch"
_MOST_PARENTS = 64


@dataclass(slots=True)
class Link:
    """A netdev of this network namespace."""

    index: int
    name: str
    up: bool
    mtu: int | None
    carrier: bool | None
    mac: str | None
    altnames: list[str] = field(default_factory=list)
    master: int | None = None
    parent: str | None = None
    """Name of its device on its bus (a VF's PCI address); kernels older than 5.14 don't say."""
    lower: int | None = None
    """What a VLAN or macvlan is on, and a veth's other end (IFLA_LINK), if it is in this network namespace."""
    kind: str = ""
    """``bond``, ``bridge``, ``vlan``, …; "" for hardware (IFLA_INFO_KIND)."""


@dataclass(frozen=True, slots=True)
class Ssh:
    """The connection that the operator came by."""

    peer: str
    local: str


@dataclass(slots=True)
class Links:
    """All netdevs, and in what ways the host uses each."""

    by_index: dict[int, Link]
    addresses: dict[int, list[str]] = field(default_factory=dict)
    """Global ones, by interface index."""
    routes: dict[int, list[str]] = field(default_factory=dict)
    ssh: dict[int, Ssh] = field(default_factory=dict)
    """The SSH connection, by index of the interfaces that its packets come in and go out by."""

    def name(self, index: int) -> str:
        """A netdev's name, or its index in words when it is not in this network namespace."""
        link = self.by_index.get(index)
        return link.name if link else f"interface {index}"


def operator_uses(links: Links) -> dict[int, list[Use]]:
    """Uses by interface index: every interface below one that carries the default route or the SSH connection. A port
    counts even while its bond doesn't send by it."""
    found: dict[int, list[Use]] = {}
    for index, ssh in links.ssh.items():
        for below, way in ways_down(links, index).items():
            text = f"your SSH connection from {ssh.peer} comes in over {' → '.join(way)}"
            found.setdefault(below, []).append(Use("ssh", text))
    for index, routes in links.routes.items():
        hops = [route.removeprefix("default") for route in routes if route.split(" ")[0] == "default"]
        for below, way in ways_down(links, index).items() if hops else ():
            if below != index:  # On the interface itself it is among its routes.
                text = f"the default route{hops[0]} goes out over {' → '.join(way)}"
                found.setdefault(below, []).append(Use("default-route", text))
    return found


def ways_down(links: Links, top: int) -> dict[int, list[str]]:
    """Names from an interface down to each one that it stands on, itself included, by index. Open vSwitch keeps which
    of its ports a packet takes to itself: all of them are below each of its bridges."""
    found: dict[int, list[str]] = {}
    todo = [(top, [links.name(top)])]
    while todo:
        index, way = todo.pop(0)
        if index in found:
            continue
        found[index] = way
        for below in _lowers(links, index):
            hidden = ["Open vSwitch (any of its ports)"] if _is_ovs_bridge(links, index) else []
            todo.append((below, [*way, *hidden, links.name(below)]))
    return found


def _lowers(links: Links, index: int) -> list[int]:
    link = links.by_index.get(index)
    if link is None:
        return []
    if _is_ovs_bridge(links, index):
        datapaths = {item.index for item in links.by_index.values() if item.kind == _OVS}
        return [item.index for item in links.by_index.values() if item.master in datapaths and item.kind != _OVS]
    ports = [item.index for item in links.by_index.values() if item.master == index]
    if link.kind == "veth" and link.lower is not None:
        other = links.by_index.get(link.lower)
        return ports + ([other.master] if other is not None and other.master else [])
    return ports + ([link.lower] if link.lower is not None else [])


def _is_ovs_bridge(links: Links, index: int) -> bool:
    """A bridge of Open vSwitch, or another internal port, as the host sees it: it has no ports of its own."""
    link = links.by_index.get(index)
    return link is not None and link.kind == _OVS and link.name != "ovs-system"


def find_ssh(root: Path, environment: Mapping[str, str], pid: int) -> Ssh | None:
    """The connection in ``SSH_CONNECTION`` (sshd(8)): of our own environment, else of the nearest process above, since
    sudo takes it away. Addresses that are none are no connection."""
    text = environment.get("SSH_CONNECTION") or _inherited(root, pid)
    words = text.split()
    if len(words) != 4:
        return None
    peer, local = _address(words[0]), _address(words[2])
    return Ssh(peer, local) if peer and local else None


def _inherited(root: Path, pid: int) -> str:
    for _ in range(_MOST_PARENTS):
        for item in _bytes(root / f"proc/{pid}/environ").split(b"\0"):
            if item.startswith(b"SSH_CONNECTION="):
                return item.partition(b"=")[2].decode(errors="replace")
        fields = _bytes(root / f"proc/{pid}/stat").rpartition(b")")[2].split()
        if len(fields) < 2 or int(fields[1]) <= 1:
            break
        pid = int(fields[1])
    return ""


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # it ended, or is not ours to look into


def _address(text: str) -> str:
    """An address as the kernel writes it, with its interface (``fe80::1%eth0``); "" for none."""
    address, percent, interface = text.partition("%")
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return f"{found}{percent}{interface}"
