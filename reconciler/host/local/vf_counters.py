"""Reads what the card has counted of each VF, in a child: RTNL may be held for ever."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

from reconciler.host.counters import Counters, PfCounters, choose, per_vf
from reconciler.host.local.child import NETWORK, NoAnswer, still_waits
from reconciler.host.local.ethtool import statistics
from reconciler.host.local.rtnl import RtnlSocket
from reconciler.host.local.standing import ask
from reconciler.host.local.vf_reports import WITH_STATISTICS, decode
from reconciler.host.model import Pf

_SECONDS = 10.0
"""For all PFs; a driver that asks its firmware for each VF takes a few milliseconds per VF."""


class CounterReader:
    """Reads counters again and again. A child that still waits for the kernel is not joined by another."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        self._waiting = 0

    def read(self, pfs: Sequence[Pf]) -> dict[str, PfCounters]:
        """By the PF's identity."""
        if self._waiting and still_waits(self._waiting):
            return _unknown(pfs, f"the kernel does not answer, and process {self._waiting} waits for it")
        try:
            return ask(_read_all, pfs, seconds=self._seconds, name=NETWORK)
        except NoAnswer as error:
            self._waiting = error.pid
            return _unknown(
                pfs, f"the kernel did not answer within {self._seconds:g} s; process {error.pid} waits for it"
            )
        except OSError as error:
            return _unknown(pfs, error.strerror or str(error))


def _unknown(pfs: Sequence[Pf], why: str) -> dict[str, PfCounters]:
    taken = time.monotonic()
    return {pf.id: PfCounters(taken, "unknown", problem=why) for pf in pfs}


def _read_all(pfs: Sequence[Pf]) -> dict[str, PfCounters]:
    return {pf.id: _read(pf) for pf in pfs}


def _read(pf: Pf) -> PfCounters:
    """One PF; what is wrong with it is no concern of the others."""
    try:
        with RtnlSocket() as channel:
            report = decode(channel.get_link(pf.ifindex, WITH_STATISTICS))
        taken = time.monotonic()
        return choose(pf, taken, report.counters, lambda: _by_name(pf))
    except (OSError, ValueError) as error:
        return PfCounters(time.monotonic(), "unknown", problem=getattr(error, "strerror", None) or str(error))


def _by_name(pf: Pf) -> dict[int, Counters]:
    return per_vf(*statistics(socket.if_indextoname(pf.ifindex)))
