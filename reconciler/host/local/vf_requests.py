"""VF attributes as rtnetlink requests: our own packing, because a library's encoding of 802.1ad is two bytes
short of what the kernel insists on, and because one send can then carry many requests.

Layouts: include/uapi/linux/if_link.h. Each value goes in a message of its own, so that a refusal is known
to be about that value; only those that share a struct go together.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence

from reconciler.host.local.rtnl import IFINFO, Answer, Request, attribute
from reconciler.host.protocol import HostError, VfSet
from reconciler.host.refusals import refused_attribute
from reconciler.state.desired import Attributes

IFLA_VFINFO_LIST = 22
_VF_INFO = 1
_VF_MAC, _VF_VLAN, _VF_SPOOFCHK, _VF_LINK_STATE, _VF_RATE, _VF_RSS_QUERY_EN = 1, 2, 4, 5, 6, 7
_VF_TRUST, _VF_VLAN_LIST = 9, 12
_VF_VLAN_INFO = 1

_NESTS = struct.Struct(f"{IFINFO.format}HHHH")
"""struct ifinfomsg, and the heads of the two attributes around a value: there are hundreds of requests."""
_SWITCHES = {"spoofchk": _VF_SPOOFCHK, "query_rss": _VF_RSS_QUERY_EN, "trust": _VF_TRUST}
_LINK_STATES = {"auto": 0, "enable": 1, "disable": 2}
_PROTOCOLS = {"802.1Q": 0x8100, "802.1ad": 0x88A8}
_SHARED = ({"vlan", "qos", "vlan_proto"}, {"min_tx_rate", "max_tx_rate"})


def request(ifindex: int, wanted: VfSet) -> Request:
    """One RTM_NEWLINK body for one VF. Of values that share a struct, one that is left out is written as the
    kernel's default (no priority, 802.1Q, no rate). Raises ValueError for values that can't go together."""
    value = _value(wanted.index, wanted.attributes)
    length = _NESTS.size - IFINFO.size + len(value)
    nests = _NESTS.pack(socket.AF_UNSPEC, 0, ifindex, 0, 0, length, IFLA_VFINFO_LIST, length - 4, _VF_INFO)
    return Request(nests + value, wanted.index)


def _value(index: int, wanted: Attributes) -> bytes:
    keys = wanted.keys()
    if keys and keys <= _SHARED[0]:
        return _vlan(index, wanted)
    if keys and keys <= _SHARED[1]:
        rates = int(wanted.get("min_tx_rate", 0)), int(wanted.get("max_tx_rate", 0))
        return attribute(_VF_RATE, struct.pack("=III", index, *rates))
    if len(keys) != 1:
        raise ValueError(f"these don't go in one request: {', '.join(sorted(keys)) or 'nothing'}")
    ((key, value),) = wanted.items()
    if key == "mac":
        return attribute(_VF_MAC, struct.pack("=I32s", index, bytes.fromhex(str(value).replace(":", ""))))
    if key == "link_state":
        return attribute(_VF_LINK_STATE, struct.pack("=II", index, _LINK_STATES[str(value)]))
    return attribute(_SWITCHES[key], struct.pack("=II", index, bool(value)))


def _vlan(index: int, wanted: Attributes) -> bytes:
    """IFLA_VF_VLAN always means 802.1Q. IFLA_VF_VLAN_LIST takes exactly one entry of at least 16 bytes:
    struct ifla_vf_vlan_info with its two bytes of padding."""
    vlan, qos = int(wanted.get("vlan", 0)), int(wanted.get("qos", 0))
    protocol = str(wanted.get("vlan_proto", "802.1Q"))
    if protocol == "802.1Q":
        return attribute(_VF_VLAN, struct.pack("=III", index, vlan, qos))
    entry = struct.pack("=III", index, vlan, qos) + struct.pack(">Hxx", _PROTOCOLS[protocol])
    return attribute(_VF_VLAN_LIST, attribute(_VF_VLAN_INFO, entry))


def refusals(
    netdev: str, driver: str | None, wanted: Sequence[VfSet], answers: Sequence[Answer]
) -> list[HostError | None]:
    """What each answer means, in words; ``None`` for a success."""
    root = os.geteuid() == 0
    return [
        None
        if answer.code == 0
        else refused_attribute(netdev, driver or "its driver", request, answer.code, answer.text, root=root)
        for request, answer in zip(wanted, answers, strict=True)
    ]
