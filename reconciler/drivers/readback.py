"""What a driver reports of a VF, and how a value that was written compares with it."""

from __future__ import annotations

from reconciler.drivers.facts import PLAIN, DriverFacts
from reconciler.state.desired import ZERO_MAC, Attributes, AttributeValue

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

_GROUP_OF = {name: group for group in GROUPS for name in group}
_PRESET = frozenset({"spoofchk", "trust", "query_rss"})
"""What the kernel presets to "not reported" (rtnl_fill_vfinfo), so that a driver without the operation says nothing."""
_LIBVIRT_ZERO = "02:00:00:00:00:00"
"""What libvirt restores where a driver refuses the zero MAC (virNetDevSetVfConfig, altZeroMAC)."""


def reported(facts: DriverFacts, done: Attributes, speed: int | None) -> Attributes:
    """What RTM_GETLINK says of a VF whose hardware is at ``done``, decoded as `reconciler.host.local.vf_reports` does:
    0 for a missing protocol is 802.1Q, mlx4's 4095 for no VLAN is 0. ``speed``: of the link, Mbit/s."""
    gone = facts.unreported | (_PRESET & facts.lacks.keys())
    found = {name: value for name, value in done.items() if name not in gone}
    for name, value in facts.always_reads.items():
        found[name] = value
    found.update({name: False for name in facts.reads_late if name in found})
    rate = int(done.get("max_tx_rate", 0))
    if "max_tx_rate" in found and "max_tx_rate" not in facts.always_reads:
        if facts.rate_reads_with_vlan_qos and not (done.get("vlan") and done.get("qos")):
            found["max_tx_rate"] = 0
        elif facts.unset_rate_reads_speed and rate == 0 and speed is not None:
            found["max_tx_rate"] = speed
    return found


def matches(
    facts: DriverFacts, name: str, declared: AttributeValue, observed: Attributes, speed: int | None = None
) -> bool | None:
    """Whether the driver's report agrees with a declared value; ``None`` when it can't tell."""
    if name == "vlan_proto" and name in observed and not observed.get("vlan") and not observed.get("qos"):
        # Drivers ignore the protocol without a tag, and report 0 or 802.1Q whatever was asked for.
        return True
    if name not in observed or name in facts.unreported or name in facts.always_reads:
        return None
    value = observed[name]
    if name == "mac" and declared == ZERO_MAC:
        none = value in (ZERO_MAC, _LIBVIRT_ZERO)
        return None if not none and facts.reports_own_mac else none
    if name in facts.reads_late and value is False and declared is True:
        return None
    if name == "max_tx_rate":
        return _rate_matches(facts, declared, observed, speed)
    return value == declared


def assumed(facts: DriverFacts, observed: Attributes, speed: int | None) -> Attributes:
    """What the hardware is at, by what the driver reports: the way back from `reported`, as far as there is one."""
    found = {name: value for name, value in observed.items() if name not in facts.always_reads}
    if facts.unset_rate_reads_speed and speed is not None and found.get("max_tx_rate") == speed:
        found["max_tx_rate"] = 0
    return found


def _rate_matches(facts: DriverFacts, declared: AttributeValue, observed: Attributes, speed: int | None) -> bool | None:
    value = observed["max_tx_rate"]
    if value == declared:
        return True
    if facts.rate_reads_with_vlan_qos and value == 0:
        return None
    if facts.unset_rate_reads_speed and declared == 0:
        return None if speed is None else value == speed
    rate = facts.max_rate
    if rate.reports_step and isinstance(declared, int):
        return value == declared // rate.step * rate.step
    return False


def is_half(values: Attributes) -> bool:
    """Whether they are only a part of a struct, which `complete` fills up from what was read."""
    return any(0 < len(values.keys() & set(group)) < len(group) for group in GROUPS)


def complete(values: Attributes, observed: Attributes) -> Attributes:
    """Values of one group, completed to their whole struct from what the driver reports, so that writing one
    half doesn't reset the other (read-modify-write)."""
    group = _GROUP_OF.get(next(iter(values), ""), ())
    if len(values) > 1 and not values.keys() <= set(group):
        group = next((g for g in GROUPS if any(name in values for name in g)), ())
    if len(group) == 1:
        return dict(values)
    full = {name: values.get(name, observed.get(name, PLAIN[name])) for name in group}
    if not full.get("vlan", 1) and not full.get("qos"):
        full["vlan_proto"] = "802.1Q"
    return full
