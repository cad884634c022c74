"""What several drivers share."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping

from reconciler.state.desired import AttributeValue

NO = errno.EOPNOTSUPP
"""rtnetlink's answer where a driver lacks the operation (net/core/rtnetlink.c, do_setvfinfo)."""
NO_QUERY = {"query_rss": NO}
"""Only ixgbe and netdevsim have ndo_set_vf_rss_query_en."""
NO_RATES = {"min_tx_rate": NO, "max_tx_rate": NO}
RESET_ALL = frozenset({"mac", "vlan", "qos", "vlan_proto", "trust"})
"""What resets a VF on drivers that reset it for every change of its address filter."""
ONLY_Q: dict[str, dict[AttributeValue, int]] = {"vlan_proto": {"802.1ad": errno.EPROTONOSUPPORT}}
"""The check that most ndo_set_vf_vlan begin with."""


def no_qos(error: int = errno.EINVAL) -> Mapping[str, Mapping[AttributeValue, int]]:
    """Only 802.1Q without a priority is taken."""
    return {**ONLY_Q, "qos": dict.fromkeys(range(1, 8), error)}


def lacking(*names: str) -> dict[str, int]:
    """Attributes for which the driver has no operation; nobody's query_rss is among them by itself."""
    return {**NO_QUERY, **dict.fromkeys(names, NO)}


def without(values: Mapping[str, AttributeValue], names: Iterable[str]) -> dict[str, AttributeValue]:
    """The report of a driver that says nothing about these."""
    gone = set(names)
    return {name: value for name, value in values.items() if name not in gone}
