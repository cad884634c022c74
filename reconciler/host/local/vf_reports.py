"""VF attributes as the kernel reports them: RTM_GETLINK for one PF, decoded here.

A library decodes these some hundred times slower, and stops at 334 VFs: the length of IFLA_VFINFO_LIST has
16 bits and wraps silently (net/core/rtnetlink.c, nla_nest_end), while the entries behind it are all there.
Layouts: include/uapi/linux/if_link.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from reconciler.host.local.rtnl import attributes
from reconciler.state.desired import Attributes

EXT_MASK = 1 | 8
"""RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS (include/uapi/linux/rtnetlink.h)."""
WITH_STATISTICS = 1
"""RTEXT_FILTER_VF alone, for those who want nothing but the VFs' counters: it makes the answer half as long again, and
some drivers ask their firmware for each VF."""
_IFLA_NUM_VF, _IFLA_VFINFO_LIST = 21, 22
_VF_INFO = 1
_MAC, _VLAN, _SPOOFCHK, _LINK_STATE, _RATE, _RSS_QUERY_EN, _TRUST, _VLAN_LIST = 1, 2, 4, 5, 6, 7, 9, 12
_STATS = 8
_COUNTERS = {0: "rx_packets", 1: "tx_packets", 2: "rx_bytes", 3: "tx_bytes", 7: "rx_dropped", 8: "tx_dropped"}
"""IFLA_VF_STATS_*, each of 64 bits. All are always there; those that the driver doesn't fill in are 0."""
_SWITCHES = {_SPOOFCHK: "spoofchk", _TRUST: "trust", _RSS_QUERY_EN: "query_rss"}
_NOT_REPORTED = 0xFFFFFFFF
"""What rtnl_fill_vfinfo presets spoofchk, trust and query_rss with."""
_GUEST_TAGS = 4095
"""What mlx4 reports as the VLAN of a VF that has none (MLX4_VGT: the guest tags its own frames)."""
_LINK_STATES = {0: "auto", 1: "enable", 2: "disable"}
_PROTOCOLS = {0: "802.1Q", 0x8100: "802.1Q", 0x88A8: "802.1ad"}
"""Some drivers leave the protocol 0 as long as there is no VLAN (mlx5, netdevsim, nfp)."""
_INFINIBAND = 32
_ATTRIBUTE = struct.Struct("=HH")
_TYPE_MASK = 0x3FFF
_ONE, _TWO, _THREE = struct.Struct("=I"), struct.Struct("=II"), struct.Struct("=III")


@dataclass(slots=True)
class VfReport:
    """What one PF's link message says of its VFs."""

    count: int
    """IFLA_NUM_VF: how many VFs the bus has."""
    listed: bool
    """Whether there is a list at all; without one the driver reports no VF attributes (enic, virtio)."""
    entries: dict[int, Attributes]
    """By the index in the entry, never by position: a driver may leave entries out."""
    counters: dict[int, dict[str, int]] = field(default_factory=dict)
    """By index; empty unless they were asked for (`WITH_STATISTICS`)."""


def decode(message: bytes) -> VfReport:
    """Decodes an RTM_NEWLINK message, from its struct ifinfomsg on. Raises ValueError when it is cut
    short."""
    if len(message) < 16:
        raise ValueError("a link message is shorter than its header")
    infiniband = struct.unpack_from("=H", message, 2)[0] == _INFINIBAND
    report = VfReport(0, False, {})
    offset = 16
    while offset + 4 <= len(message):  # By hand: the length of the list of VFs may have wrapped, and is no end of it.
        length, kind = _ATTRIBUTE.unpack_from(message, offset)
        kind &= _TYPE_MASK
        if kind == _IFLA_NUM_VF and length >= 8:
            if offset + 8 > len(message):
                raise ValueError("a link message is cut short in its number of VFs")
            report.count = struct.unpack_from("=I", message, offset + 4)[0]
        elif kind == _IFLA_VFINFO_LIST:
            report.listed = True
            for entry in _entries(message, offset + 4, report.count, length):
                index, values, counters = _entry(entry, infiniband)
                if index is not None:
                    report.entries[index] = values
                    if counters:
                        report.counters[index] = counters
            break  # behind a length that has wrapped nothing else can be trusted
        if length < 4:
            raise ValueError("a link message holds an attribute without a length")
        offset += (length + 3) & ~3
    return report


def _entries(message: bytes, start: int, count: int, length: int) -> Iterator[bytes]:
    """Entries up to the end of the list. Where that end is past all doubt only when the length can't have
    wrapped; else the entries themselves say: as many as there are VFs, each of the one type."""
    found = 0
    offset = start
    end = start - 4 + length if count * _least_entry(message, start) < 1 << 16 else len(message)
    while offset + 4 <= end and found < max(count, 1):
        size, kind = _ATTRIBUTE.unpack_from(message, offset)
        if kind & _TYPE_MASK != _VF_INFO or size < 8 or offset + size > len(message):
            return
        yield message[offset + 4 : offset + size]
        found += 1
        offset += (size + 3) & ~3


def _least_entry(message: bytes, start: int) -> int:
    """The size of the first entry; all have about the same."""
    return int(_ATTRIBUTE.unpack_from(message, start)[0]) if start + 4 <= len(message) else 0


def _entry(data: bytes, infiniband: bool) -> tuple[int | None, Attributes, dict[str, int]]:
    """One IFLA_VF_INFO. On IPoIB the MAC that it carries is the PF's own address, so it is left out."""
    index: int | None = None
    found: Attributes = {}
    counters: dict[str, int] = {}
    for kind, value in attributes(data):
        if kind in _SWITCHES and len(value) >= 8:
            _, state = _TWO.unpack_from(value)
            if state != _NOT_REPORTED:
                found[_SWITCHES[kind]] = bool(state)
        elif kind == _MAC and len(value) >= 10:
            (index,) = _ONE.unpack_from(value)
            if not infiniband:
                found["mac"] = value[4:10].hex(":")
        elif kind == _VLAN and len(value) >= 12:
            _, vlan, found["qos"] = _THREE.unpack_from(value)
            found["vlan"] = 0 if vlan == _GUEST_TAGS else vlan
        elif kind == _VLAN_LIST:
            _protocol(value, found)
        elif kind == _LINK_STATE and len(value) >= 8:
            _, state = _TWO.unpack_from(value)
            if state in _LINK_STATES:
                found["link_state"] = _LINK_STATES[state]
        elif kind == _RATE and len(value) >= 12:
            _, found["min_tx_rate"], found["max_tx_rate"] = _THREE.unpack_from(value)
        elif kind == _STATS:
            counters = {
                _COUNTERS[number]: int(struct.unpack_from("=Q", count)[0])
                for number, count in attributes(value)
                if number in _COUNTERS and len(count) >= 8
            }
    return index, found, counters


def _protocol(listed: bytes, found: Attributes) -> None:
    """``vlan_proto`` from IFLA_VF_VLAN_LIST, whose one entry has it in network byte order."""
    for kind, value in attributes(listed):
        if kind == 1 and len(value) >= 14:
            protocol = value[12] << 8 | value[13]
            if protocol in _PROTOCOLS:
                found["vlan_proto"] = _PROTOCOLS[protocol]
            return
