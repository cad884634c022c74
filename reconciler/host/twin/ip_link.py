"""``ip link set`` as iproute2 spells it (ip/iplink.c, iplink_parse_vf): one netlink message, whose values the kernel
takes in its own order and leaves off at the first error, with the earlier ones in place (do_setvfinfo)."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable

from reconciler.drivers.readback import GROUPS, complete
from reconciler.host.model import Pf
from reconciler.host.twin import kernel
from reconciler.host.twin.attributes import seen, set_attributes
from reconciler.host.twin.errors import kernel_error
from reconciler.host.twin.state import Twin
from reconciler.state.desired import Attributes, AttributeValue

_ORDER = ("mac", "vlan", "rate", "spoofchk", "link_state", "query_rss", "trust")
"""MAC, VLAN, VLAN_LIST, RATE, SPOOFCHK, LINK_STATE, RSS_QUERY, TRUST (net/core/rtnetlink.c, do_setvfinfo)."""
_NETLINK = 0.002
_SWITCHES = {"spoofchk", "trust", "query_rss"}
_NUMBERS = {"vlan", "qos", "max_tx_rate", "min_tx_rate"}
_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")


class Usage(ValueError):
    """A command that isn't known, or not in this form."""


def netdev(twin: Twin, name: str) -> Pf:
    """The PF with this interface name; ENODEV."""
    pf = next((pf for pf in twin.pfs.values() if name in (pf.netdev, *pf.altnames)), None)
    if pf is None:
        raise kernel_error(errno.ENODEV)
    return pf


def number(text: str) -> int:
    """A number in a command."""
    if not re.fullmatch(r"[0-9]+", text):
        raise Usage(f"{text!r} is no number.")
    return int(text)


def parse(words: list[str]) -> Callable[[Twin], float]:
    """What stands after ``ip link set``."""
    if words[:1] == ["dev"]:
        words = words[1:]
    match words:
        case [name, ("up" | "down") as state]:
            return lambda twin: kernel.set_link(twin, netdev(twin, name).id, state == "up")
        case [name, "mtu", mtu]:
            wanted = number(mtu)
            return lambda twin: kernel.set_mtu(twin, netdev(twin, name).id, wanted)
        case [name, "name", new]:
            return lambda twin: kernel.rename(twin, netdev(twin, name).id, new)
        case [name, "vf", index, *values] if values:
            vf, attributes = number(index), _attributes(values)
            return lambda twin: _set_vf(twin, netdev(twin, name), vf, attributes)
    raise Usage(
        f"ip link set {' '.join(words)}: only up, down, mtu N, name N and vf N … can be done to a simulated host."
    )


def _attributes(words: list[str]) -> Attributes:
    if len(words) % 2:
        raise Usage(f"{words[-1]}: its value is missing.")
    found: Attributes = {}
    for name, text in zip(words[::2], words[1::2], strict=True):
        key = {"state": "link_state", "proto": "vlan_proto", "rate": "max_tx_rate"}.get(name, name)
        found[key] = _value(name, text)
    if {"qos", "vlan_proto"} & set(found) and "vlan" not in found:
        raise Usage("qos and proto stand after a vlan.")
    return found


def _value(name: str, text: str) -> AttributeValue:
    if name in _SWITCHES and text in ("on", "off"):
        return text == "on"
    if name in (*_NUMBERS, "rate"):
        return number(text)
    if name == "state" and text in ("auto", "enable", "disable"):
        return text
    if name == "proto" and text.lower() in ("802.1q", "802.1ad"):
        return "802.1Q" if text.lower() == "802.1q" else "802.1ad"
    if name == "mac" and _MAC.fullmatch(text):
        return text.lower()
    raise Usage(f"vf … {name} {text}: not something that can be set.")


def _set_vf(twin: Twin, pf: Pf, index: int, wanted: Attributes) -> float:
    requests = {_kind(name): _request(twin, pf, index, wanted, name) for name in wanted}
    rates = requests.get("rate", {})
    if 0 < int(rates.get("max_tx_rate", 0)) < int(rates.get("min_tx_rate", 0)):
        raise kernel_error(errno.EINVAL)  # iproute2 itself looks at them, before it sends anything.
    for number, kind in enumerate(kind for kind in _ORDER if kind in requests):
        set_attributes(twin, pf.id, index, requests[kind], patient=number > 0)
    return _NETLINK


def _kind(name: str) -> str:
    return {"qos": "vlan", "vlan_proto": "vlan", "min_tx_rate": "rate", "max_tx_rate": "rate"}.get(name, name)


def _request(twin: Twin, pf: Pf, index: int, wanted: Attributes, name: str) -> Attributes:
    """One struct. A VLAN without qos or proto writes their defaults; of the two rates iproute2 reads the one that isn't
    given, and writes it back."""
    group = next(group for group in GROUPS if name in group)
    given = {key: wanted[key] for key in group if key in wanted}
    if _kind(name) == "vlan":
        return {"qos": 0, "vlan_proto": "802.1Q", **given}
    if _kind(name) != "rate":
        return given
    vf = pf.vf(index)
    return complete(given, seen(pf, vf) if vf is not None else {})
