"""Traffic of VFs per second, from two countings of it; with the inventory's guests it is the document that
`inspect --watch` shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.host.counters import Counters, PfCounters

Rates = dict[str, float | None]
"""By the counter's name, per second; None: not known, since it was counted for the first time or began anew."""


@dataclass(slots=True)
class _Base:
    """What a VF's traffic is measured from."""

    taken: float
    counters: Counters
    doubtful: bool = False
    """All of it was 0 the last time, which may have been no answer."""


@dataclass(slots=True)
class Meter:
    """Remembers the last counting of each VF."""

    bases: dict[tuple[str, int], _Base] = field(default_factory=dict)

    def read(self, pf: str, now: PfCounters) -> dict[int, Rates]:
        """The rates of a PF's VFs since the last time. A VF that is gone, and comes again, begins anew."""
        for key in [key for key in self.bases if key[0] == pf and key[1] not in now.vfs and not now.problem]:
            del self.bases[key]
        return {vf: self._measure((pf, vf), now.taken, counters) for vf, counters in now.vfs.items()}

    def _measure(self, key: tuple[str, int], taken: float, counters: Counters) -> Rates:
        base = self.bases.get(key)
        unknown: Rates = dict.fromkeys(counters)
        if base is None or taken <= base.taken or set(counters) != set(base.counters):
            self.bases[key] = _Base(taken, counters)
            return unknown
        # A driver that resets a VF at the moment fills nothing in (ice_get_vf_stats: EBUSY), and the kernel says 0.
        if not any(counters.values()) and any(base.counters.values()) and not base.doubtful:
            base.doubtful = True
            return unknown
        seconds, past = taken - base.taken, base.counters
        self.bases[key] = _Base(taken, counters)
        if any(counters[name] < past[name] for name in counters):
            return unknown
        return {name: (counters[name] - past[name]) / seconds for name in counters}


def build_rates(inventory: dict[str, Any], counted: Mapping[str, PfCounters], meter: Meter) -> dict[str, Any]:
    """The document: the PFs of the inventory with source, problem, and rates by VF."""
    return {
        "host": inventory["host"],
        "libvirt": inventory["libvirt"],
        "pfs": [_pf(pf, counted[pf["id"]], meter) for pf in inventory["pfs"] if pf["id"] in counted],
    }


def _pf(pf: dict[str, Any], counted: PfCounters, meter: Meter) -> dict[str, Any]:
    rates = meter.read(pf["id"], counted)
    kept = ("id", "netdev", "driver", "used_vfs")
    return {
        **{name: pf[name] for name in kept},
        "source": counted.source,
        "problem": counted.problem,
        "vfs": [{**vf, "rates": rates.get(vf["index"], {})} for vf in pf["vfs"]],
    }
