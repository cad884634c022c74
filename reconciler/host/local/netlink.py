"""Links, addresses, routes and VF attributes as rtnetlink reports them. Reading only.

VF attributes are asked for one PF at a time, by interface index, without statistics: a dump with the VF
mask stalls the whole host's networking on drivers that ask their firmware per VF, and with statistics the
list of VFs outgrows its 16-bit length already at 222 VFs.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from reconciler.host.local.sysfs import Sysfs
from reconciler.host.model import Pf, Use, Vf
from reconciler.state.desired import Attributes

EXT_MASK = 1 | 8
"""RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS (include/uapi/linux/rtnetlink.h)."""
MAX_VFS = 334
"""VFs that fit in IFLA_VFINFO_LIST: 196 bytes each, and its length has 16 bits (net/core/rtnetlink.c)."""
_MISSING_SECONDS = 2.0
_NOT_REPORTED = 0xFFFFFFFF
"""What rtnl_fill_vfinfo presets spoofchk, trust and query_rss with."""
_IFF_UP = 1
_INFINIBAND = 32
_LINK_STATES = {0: "auto", 1: "enable", 2: "disable"}
_PROTOCOLS = {0: "802.1Q", 0x8100: "802.1Q", 0x88A8: "802.1ad"}
"""Some drivers leave the protocol 0 as long as there is no VLAN (mlx5, netdevsim, nfp)."""
_LOCAL_TABLE = 255
_UNICAST = 1
_CLONED = 0x200
_UNIVERSE, _SITE = 0, 200


@dataclass(slots=True)
class Link:
    """A netdev of this network namespace."""

    index: int
    name: str
    up: bool
    mtu: int
    carrier: bool | None
    mac: str | None
    altnames: list[str] = field(default_factory=list)
    master: int | None = None


@dataclass(slots=True)
class Links:
    """All netdevs, and in what ways the host uses each."""

    by_index: dict[int, Link]
    addresses: dict[int, list[str]] = field(default_factory=dict)
    """Global ones, by interface index."""
    routes: dict[int, list[str]] = field(default_factory=dict)

    def name(self, index: int) -> str:
        """A netdev's name, or its index in words when it is not in this network namespace."""
        link = self.by_index.get(index)
        return link.name if link else f"interface {index}"


class NetlinkReader:
    """One socket for one observation; a context manager. Entering raises OSError when there is no netlink."""

    def __init__(self) -> None:
        from pyroute2 import IPRoute

        self.socket: Any = IPRoute()

    def __enter__(self) -> NetlinkReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def links(self) -> Links:
        """Three dumps: links (without the VF mask), addresses, routes."""
        found = [decode_link(message) for message in self.socket.link("dump")]
        return Links(
            {link.index: link for link in found},
            decode_addresses(self.socket.addr("dump")),
            decode_routes(self.socket.route("dump")),
        )

    def fill_vfs(self, pfs: Sequence[Pf], notes: list[str]) -> None:
        """Sets `Vf.attributes` of every VF. Entries that a driver leaves out for a moment (i40e and ice
        while a VF is reset) are asked for again, for 2 s over all PFs together; then they stay unknown,
        with a note."""
        until = time.monotonic() + _MISSING_SECONDS
        for pf in pfs:
            if not pf.vfs:
                continue
            entries = self._vf_entries(pf, notes)
            while entries is not None and len(pf.vfs) <= MAX_VFS:
                if all(vf.index in entries for vf in pf.vfs) or time.monotonic() > until:
                    break
                time.sleep(0.1)
                entries = self._vf_entries(pf, notes)
            assign(pf, entries, notes)

    def _vf_entries(self, pf: Pf, notes: list[str]) -> dict[int, Attributes] | None:
        from pyroute2.netlink.exceptions import NetlinkError

        try:
            message = next(iter(self.socket.link("get", index=pf.ifindex, ext_mask=EXT_MASK)))
        except (NetlinkError, StopIteration) as error:
            notes.append(f"{pf.netdev} ({pf.id}) does not answer a request for its VFs: {error}.")
            return None
        return decode_vfs(message)


def assign(pf: Pf, entries: dict[int, Attributes] | None, notes: list[str]) -> None:
    """Gives each VF its attributes; notes the VFs that have no entry."""
    if entries is None:
        return
    missing = []
    for vf in pf.vfs:
        vf.attributes = entries.get(vf.index)
        if vf.attributes is None:
            missing.append(vf.index)
    if missing and len(pf.vfs) > MAX_VFS:
        notes.append(
            f"{pf.netdev} ({pf.id}) has {len(pf.vfs)} VFs and the kernel can report the attributes of "
            f"{MAX_VFS} at most; those of {len(missing)} VFs are unknown."
        )
    elif missing:
        notes.append(
            f"{pf.netdev} ({pf.id}) has {len(pf.vfs)} VFs and its driver reports {len(entries)}; "
            f"the attributes of VF {', '.join(map(str, missing))} are unknown."
        )
    stray = sorted(set(entries) - {vf.index for vf in pf.vfs})
    if stray:
        notes.append(
            f"{pf.netdev} ({pf.id}) reports attributes of VF {', '.join(map(str, stray))}, "
            "which sysfs does not show: the number of VFs changed while it was being read."
        )


def fill_links(pfs: Iterable[Pf], links: Links, sysfs: Sysfs) -> None:
    """Puts into the PFs what the link dump says of them, and the uses of their and their VFs' netdevs."""
    by_name = {link.name: link for link in links.by_index.values()}
    for pf in pfs:
        link = links.by_index.get(pf.ifindex)
        if link is None:
            pf.uses.append(Use("unknown", f"{pf.netdev} is not among the links"))
        else:
            pf.netdev, pf.up, pf.mtu, pf.carrier = link.name, link.up, link.mtu, link.carrier
            pf.altnames, pf.mac = link.altnames, link.mac
            pf.uses.extend(uses(link, links, sysfs))
        for vf in pf.vfs:
            _fill_vf_uses(vf, by_name, links, sysfs)


def _fill_vf_uses(vf: Vf, by_name: dict[str, Link], links: Links, sysfs: Sysfs) -> None:
    if vf.netdev is None:
        return
    link = by_name.get(vf.netdev)
    if link is None:  # renamed or moved between the two readings
        vf.uses.append(Use("unknown", f"{vf.netdev} is not among the links"))
    else:
        vf.uses.extend(uses(link, links, sysfs))


def uses(link: Link, links: Links, sysfs: Sysfs) -> list[Use]:
    """In what ways the host uses a netdev; a link-local address alone is none."""
    found = [Use("address", address) for address in links.addresses.get(link.index, [])]
    found += [Use("route", route) for route in links.routes.get(link.index, [])]
    master = links.name(link.master) if link.master else None
    if master:
        found.append(Use("master", master))
    found += [Use("upper", upper) for upper in sysfs.uppers(link.name) if upper != master]
    return found


def decode_link(message: Any) -> Link:
    """A link from RTM_NEWLINK. The MAC is the permanent one where the driver knows it."""
    up = bool(message["flags"] & _IFF_UP)
    carrier = message.get_attr("IFLA_CARRIER")
    names = message.get_attr("IFLA_PROP_LIST")
    mac = message.get_attr("IFLA_PERM_ADDRESS") or message.get_attr("IFLA_ADDRESS")
    return Link(
        index=message["index"],
        name=message.get_attr("IFLA_IFNAME"),
        up=up,
        mtu=message.get_attr("IFLA_MTU") or 0,
        carrier=bool(carrier) if up and carrier is not None else None,
        mac=mac.lower() if mac else None,
        altnames=sorted(names.get_attrs("IFLA_ALT_IFNAME")) if names else [],
        master=message.get_attr("IFLA_MASTER"),
    )


def decode_addresses(messages: Iterable[Any]) -> dict[int, list[str]]:
    """Global-scope addresses (and IPv6 site-local ones) by interface index."""
    found: dict[int, list[str]] = {}
    for message in messages:
        address = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
        if message["scope"] in (_UNIVERSE, _SITE) and address:
            found.setdefault(message["index"], []).append(f"{address}/{message['prefixlen']}")
    return found


def decode_routes(messages: Iterable[Any]) -> dict[int, list[str]]:
    """Unicast routes by interface index, without what every interface that is up has: the local table,
    fe80::/64 and multicast."""
    found: dict[int, list[str]] = {}
    for message in messages:
        table = message.get_attr("RTA_TABLE") or message["table"]
        if message["type"] != _UNICAST or message["flags"] & _CLONED or table == _LOCAL_TABLE:
            continue
        target = message.get_attr("RTA_DST")
        if target and not _counts(target):
            continue
        text = f"{target}/{message['dst_len']}" if target else "default"
        hops = [(message.get_attr("RTA_OIF"), message.get_attr("RTA_GATEWAY"))]
        hops += [(hop["oif"], hop.get_attr("RTA_GATEWAY")) for hop in message.get_attr("RTA_MULTIPATH") or []]
        for index, gateway in hops:
            if index:
                found.setdefault(index, []).append(f"{text} via {gateway}" if gateway else text)
    return found


def _counts(target: str) -> bool:
    address = ipaddress.ip_address(target)
    return not (address.is_multicast or (address.version == 6 and address.is_link_local))


def decode_vfs(message: Any) -> dict[int, Attributes]:
    """VF attributes by index, found by the entry's own index and never by its position: a driver may leave
    entries out. A driver that reports no VF at all (no ndo_get_vf_config: enic, virtio) gives every VF
    an empty set of attributes, since it reports none of them."""
    listed = message.get_attr("IFLA_VFINFO_LIST")
    if listed is None:
        return {index: {} for index in range(message.get_attr("IFLA_NUM_VF") or 0)}
    found = {}
    for entry in listed.get_attrs("IFLA_VF_INFO"):
        mac = entry.get_attr("IFLA_VF_MAC")
        if mac is not None:
            found[mac["vf"]] = decode_vf(entry, infiniband=message["ifi_type"] == _INFINIBAND)
    return found


def decode_vf(entry: Any, *, infiniband: bool = False) -> Attributes:
    """One IFLA_VF_INFO. On IPoIB the MAC that it carries is the PF's own address, so it is left out."""
    found: Attributes = {}
    mac = entry.get_attr("IFLA_VF_MAC")
    if not infiniband:
        found["mac"] = mac["mac"].lower()
    vlan = entry.get_attr("IFLA_VF_VLAN")
    if vlan is not None:
        found["vlan"], found["qos"] = vlan["vlan"], vlan["qos"]
    listed = entry.get_attr("IFLA_VF_VLAN_LIST")
    info = listed.get_attr("IFLA_VF_VLAN_INFO") if listed is not None else None
    if info is not None and info["proto"] in _PROTOCOLS:
        found["vlan_proto"] = _PROTOCOLS[info["proto"]]
    for key, name, part in (
        ("spoofchk", "IFLA_VF_SPOOFCHK", "spoofchk"),
        ("trust", "IFLA_VF_TRUST", "trust"),
        ("query_rss", "IFLA_VF_RSS_QUERY_EN", "rss_query_en"),
    ):
        value = entry.get_attr(name)
        if value is not None and value[part] != _NOT_REPORTED:
            found[key] = bool(value[part])
    state = entry.get_attr("IFLA_VF_LINK_STATE")
    if state is not None and state["link_state"] in _LINK_STATES:
        found["link_state"] = _LINK_STATES[state["link_state"]]
    rate = entry.get_attr("IFLA_VF_RATE")
    if rate is not None:
        found["min_tx_rate"], found["max_tx_rate"] = rate["min_tx_rate"], rate["max_tx_rate"]
    return found
