"""How a value that was written compares with what the driver reports."""

from __future__ import annotations

from reconciler.state.desired import ZERO_MAC, Attributes, AttributeValue

_LIBVIRT_ZERO = "02:00:00:00:00:00"
"""What libvirt restores where a driver refuses the zero MAC (virNetDevSetVfConfig, altZeroMAC)."""


def matches(name: str, declared: AttributeValue, reported: Attributes) -> bool | None:
    """Whether the driver's report agrees with a declared value; ``None`` when it doesn't report the attribute."""
    if name not in reported:
        return None
    observed = reported[name]
    if name == "mac" and declared == ZERO_MAC:
        return observed in (ZERO_MAC, _LIBVIRT_ZERO)
    if name == "vlan_proto" and not reported.get("vlan") and not reported.get("qos"):
        # Drivers ignore the protocol without a tag, and report 0 or 802.1Q whatever was asked for.
        return True
    return observed == declared


GROUPS: tuple[tuple[str, ...], ...] = (
    ("mac",),
    ("vlan", "qos", "vlan_proto"),
    ("min_tx_rate", "max_tx_rate"),
    ("spoofchk",),
    ("trust",),
    ("link_state",),
    ("query_rss",),
)
"""Attributes that the kernel takes in one struct, in the order in which they are set."""

_NOTHING: Attributes = {"vlan": 0, "qos": 0, "vlan_proto": "802.1Q", "min_tx_rate": 0, "max_tx_rate": 0}


def complete(values: Attributes, reported: Attributes) -> Attributes:
    """Values of one group, completed to their whole struct from what the driver reports, so that writing one
    half doesn't reset the other (read-modify-write)."""
    group = next((g for g in GROUPS if any(name in values for name in g)), ())
    if len(group) == 1:
        return dict(values)
    full = {name: values.get(name, reported.get(name, _NOTHING[name])) for name in group}
    if not full.get("vlan", 1) and not full.get("qos"):
        full["vlan_proto"] = "802.1Q"
    return full
