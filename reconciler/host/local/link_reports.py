"""Links, addresses and routes as the kernel reports them: bodies of rtnetlink messages, decoded here.

Only what is needed of them, since a library takes longer to be imported than all of this takes to be read.
Layouts: include/uapi/linux/if_link.h, if_addr.h and rtnetlink.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator

from reconciler.host.local.operator import Link
from reconciler.host.local.rtnl import IFINFO, attribute, attributes, ext_mask, ifinfo, text

_ADDRESS = struct.Struct("=BBBBI")
"""struct ifaddrmsg: family, prefix length, flags, scope, interface."""
_ROUTE = struct.Struct("=BBBBBBBBI")
"""struct rtmsg: family, lengths of target and source, TOS, table, protocol, scope, type, flags."""
ANY_LINK = ifinfo(0) + ext_mask(8)
"""The body of a request for all links, without their VFs and without the statistics of their address families
(RTEXT_FILTER_SKIP_STATS)."""
ANY_ADDRESS, ANY_ROUTE = bytes(_ADDRESS.size), bytes(_ROUTE.size)
"""The same for all addresses and routes, of every family (AF_UNSPEC is 0)."""
_HOP = struct.Struct("=HBBi")
"""struct rtnexthop: length, flags, weight, interface."""

_U32 = struct.Struct("=I")

_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_MASTER, _IFLA_LINKINFO = 1, 3, 4, 5, 10, 18
_IFLA_CARRIER, _IFLA_LINK_NETNSID, _IFLA_PROP_LIST, _IFLA_ALT_IFNAME = 33, 37, 52, 53
_IFLA_PERM_ADDRESS, _IFLA_PARENT_DEV_NAME = 54, 56
_OF_LINK = frozenset(
    (
        *(_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_CARRIER),
        *(_IFLA_LINK_NETNSID, _IFLA_PROP_LIST, _IFLA_PERM_ADDRESS, _IFLA_PARENT_DEV_NAME),
    )
)
_INFO_KIND = 1
_IFF_UP = 1

_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_UNIVERSE, _SITE = 0, 200

_RTA_DST, _RTA_SRC, _RTA_OIF, _RTA_GATEWAY, _RTA_MULTIPATH, _RTA_TABLE = 1, 2, 4, 5, 9, 15
_OF_ROUTE = frozenset((_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_MULTIPATH, _RTA_TABLE))
_LOCAL_TABLE = 255
_UNICAST = 1
_CLONED = 0x200


def decode_link(body: bytes) -> Link:
    """A link from RTM_NEWLINK. The MAC is the permanent one where the driver knows it."""
    _, _, index, flags, _ = _header(IFINFO, body)
    found = dict(attributes(body, IFINFO.size, _OF_LINK))
    up = bool(flags & _IFF_UP)
    carrier, mtu = found.get(_IFLA_CARRIER), found.get(_IFLA_MTU)
    mac = found.get(_IFLA_PERM_ADDRESS) or found.get(_IFLA_ADDRESS)
    kind = next((value for _, value in attributes(found.get(_IFLA_LINKINFO, b""), 0, {_INFO_KIND})), b"")
    names = attributes(found.get(_IFLA_PROP_LIST, b""), 0, {_IFLA_ALT_IFNAME})
    return Link(
        index=index,
        name=text(found.get(_IFLA_IFNAME, b"")),
        up=up,
        mtu=_number(mtu) if mtu is not None else None,
        carrier=bool(carrier[0]) if up and carrier else None,
        mac=mac.hex(":") if mac else None,
        altnames=sorted(text(name) for _, name in names),
        master=_number(found[_IFLA_MASTER]) if _IFLA_MASTER in found else None,
        parent=text(found[_IFLA_PARENT_DEV_NAME]) if _IFLA_PARENT_DEV_NAME in found else None,
        lower=_number(found[_IFLA_LINK]) if _IFLA_LINK in found and _IFLA_LINK_NETNSID not in found else None,
        kind=text(kind),
    )


def decode_addresses(bodies: Iterable[bytes]) -> dict[int, list[str]]:
    """Global-scope addresses (and IPv6 site-local ones) by interface index, from RTM_NEWADDR."""
    listed: dict[int, list[str]] = {}
    for body in bodies:
        family, length, _, scope, index = _header(_ADDRESS, body)
        if scope not in (_UNIVERSE, _SITE):
            continue
        found = dict(attributes(body, _ADDRESS.size, {_IFA_ADDRESS, _IFA_LOCAL}))
        address = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS)
        if address:
            listed.setdefault(index, []).append(f"{_address(family, address)}/{length}")
    return listed


def decode_routes(bodies: Iterable[bytes]) -> dict[int, list[str]]:
    """Unicast routes by interface index, from RTM_NEWROUTE, without what every interface that is up has: the local
    table, fe80::/64 and multicast."""
    listed: dict[int, list[str]] = {}
    for body in bodies:
        family, length, _, _, table, _, _, kind, flags = _header(_ROUTE, body)
        if kind != _UNICAST or flags & _CLONED or table == _LOCAL_TABLE:
            continue
        found = dict(attributes(body, _ROUTE.size, _OF_ROUTE))
        target = found.get(_RTA_DST)
        if (_RTA_TABLE in found and _number(found[_RTA_TABLE]) == _LOCAL_TABLE) or (
            target and not _counts(family, target)
        ):
            continue
        said = f"{_address(family, target)}/{length}" if target else "default"
        for index, gateway in _hops(found):
            if index:
                by = f" via {_address(family, gateway)}" if gateway else ""
                listed.setdefault(index, []).append(said + by)
    return listed


def _hops(found: dict[int, bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Interface and gateway of each way that a route has."""
    if _RTA_OIF in found:
        yield _number(found[_RTA_OIF]), found.get(_RTA_GATEWAY)
    several = found.get(_RTA_MULTIPATH, b"")
    offset = 0
    while offset + _HOP.size <= len(several):
        length, _, _, index = _HOP.unpack_from(several, offset)
        if length < _HOP.size:
            return
        of_hop = dict(attributes(several[offset : offset + length], _HOP.size, {_RTA_GATEWAY}))
        yield index, of_hop.get(_RTA_GATEWAY)
        offset += (length + 3) & ~3


def route_request(target: str, source: str = "") -> bytes:
    """RTM_GETROUTE for the way to one address, and from one of ours since rules may look at that. Raises ValueError for
    what is no address."""
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    try:
        to, by = socket.inet_pton(family, target), socket.inet_pton(family, source) if source else b""
    except OSError as error:
        raise ValueError(f"no address: {target} or {source}") from error
    header = _ROUTE.pack(family, 8 * len(to), 8 * len(by), 0, 0, 0, 0, 0, 0)
    return header + attribute(_RTA_DST, to) + (attribute(_RTA_SRC, by) if by else b"")


def decode_way(body: bytes) -> int:
    """The interface that a route found by `route_request` goes out by; 0 for none."""
    return next((_number(value) for _, value in attributes(body, _ROUTE.size, {_RTA_OIF})), 0)


def _header(layout: struct.Struct, body: bytes) -> tuple[int, ...]:
    """The struct that a message begins with. Raises ValueError when it is cut short."""
    if len(body) < layout.size:
        raise ValueError("a message of the kernel is shorter than its header")
    return layout.unpack_from(body)


def _counts(family: int, target: bytes) -> bool:
    """Whether a route to this address says anything: no multicast (224.0.0.0/4, ff00::/8), no link-local IPv6
    (fe80::/10). Of any other family (an MPLS label) it always does."""
    if family == socket.AF_INET:
        return target[0] & 0xF0 != 0xE0
    if family != socket.AF_INET6:
        return True
    return target[0] != 0xFF and not (target[0] == 0xFE and target[1] & 0xC0 == 0x80)


def _address(family: int, packed: bytes) -> str:
    """As text; of a family that is neither IPv4 nor IPv6 (an MPLS label) its bytes."""
    if (family, len(packed)) in ((socket.AF_INET, 4), (socket.AF_INET6, 16)):
        return socket.inet_ntop(family, packed)
    return packed.hex(":")


def _number(value: bytes) -> int:
    """An attribute of 32 bits; 0 for one that is cut short."""
    return int(_U32.unpack_from(value)[0]) if len(value) >= 4 else 0
