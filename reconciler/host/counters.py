"""What the card has counted of the traffic of each VF, and who says so. Directions are those of the VF: ``rx`` came to
its guest."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from reconciler.drivers.table import facts
from reconciler.host.model import Pf

Counters = dict[str, int]
"""``rx_packets``, ``rx_bytes``, ``rx_dropped``, and the same with ``tx``; what isn't counted is missing."""
_PER_VF = re.compile(r"vf[ _]?(?P<vf>\d{1,5})[ _.](?P<way>rx|tx)[ _](?P<what>packets|bytes|dropped)", re.IGNORECASE)
"""``VF 3 Rx Packets`` (ixgbe as Intel builds it, ixgbe_get_strings; txgbe and ngbe have it from there)."""


@dataclass(frozen=True, slots=True)
class PfCounters:
    """All that is known of one PF's VFs at one moment."""

    taken: float
    """Seconds of a clock that only runs forward."""
    source: Literal["rtnetlink", "ethtool", "none", "unknown"]
    """``none``: the driver reports none. ``unknown``: `problem` says why."""
    vfs: Mapping[int, Counters] = field(default_factory=dict)
    """By index; a VF that is just being reset may be missing."""
    problem: str = ""
    """Why they could not be read."""


def choose(
    pf: Pf, taken: float, reported: Mapping[int, Counters], ethtool: Callable[[], dict[int, Counters]]
) -> PfCounters:
    """Which of its two ways the driver reports by. The kernel answers with zeros for a driver that has no counters
    (net/core/rtnetlink.c, rtnl_fill_vfinfo), so that the driver table decides; of one that isn't in it, or was built
    out of tree, what is not 0 is believed. ``ethtool``: reads its statistics, where rtnetlink may not be the way."""
    known = None if pf.out_of_tree else facts(pf.driver, pf.device_id).counts
    filled = any(any(counters.values()) for counters in reported.values())
    if known and filled:
        return _reported(taken, reported, known)
    by_name = ethtool()
    if by_name:
        return PfCounters(taken, "ethtool", by_name)
    if known:
        return _reported(taken, reported, known)
    if known is None and filled:
        return PfCounters(taken, "rtnetlink", dict(reported))
    return PfCounters(taken, "none")


def _reported(taken: float, reported: Mapping[int, Counters], names: frozenset[str]) -> PfCounters:
    """What the driver fills in of what the kernel reports."""
    kept = {vf: {name: value for name, value in counters.items() if name in names} for vf, counters in reported.items()}
    return PfCounters(taken, "rtnetlink", kept)


def per_vf(names: Sequence[str], values: Sequence[int]) -> dict[int, Counters]:
    """The VFs' counters among the statistics of a PF, by their names."""
    found: dict[int, Counters] = {}
    for name, value in zip(names, values, strict=False):
        match = _PER_VF.fullmatch(name.strip())
        if match:
            found.setdefault(int(match["vf"]), {})[f"{match['way']}_{match['what']}".lower()] = value
    return found
