"""Folding: VFs of one PF to which the same happens are one line for people. JSON is never folded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from reconciler.report.values import ranges

_VF = re.compile(r'(?P<pf>pf\.(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"))\.vf\.(?P<index>0|[1-9][0-9]{0,8})')


@lru_cache(maxsize=1024)
def split_vf(address: str) -> tuple[str, int] | None:
    """``("pf.int", 3)`` of ``pf.int.vf.3``; ``None`` for an address that is no VF's."""
    found = _VF.fullmatch(address)
    return (found["pf"], int(found["index"])) if found else None


def folded_address(addresses: Iterable[str]) -> str:
    """``pf.int.vf.[0-6]`` for several VFs of one PF, the address itself for one."""
    several = list(dict.fromkeys(addresses))
    split = [split_vf(address) for address in several]
    known = [vf for vf in split if vf is not None]
    if len(several) == 1 or len(known) < len(several):
        return ", ".join(several)
    return f"{known[0][0]}.vf.[{ranges(index for _, index in known)}]"


def folded_by_pf(addresses: Iterable[str]) -> list[str]:
    """Addresses with the VFs of each PF folded into one."""
    by_pf: dict[str, list[str]] = {}
    for address in addresses:
        vf = split_vf(address)
        by_pf.setdefault(f"{vf[0]}.vf" if vf else address, []).append(address)
    return [folded_address(group) for group in by_pf.values()]


@dataclass(slots=True)
class Affected:
    """Who notices, each named once, in order (dictionaries as ordered sets)."""

    domains: dict[str, None] = field(default_factory=dict)
    nics: dict[str, None] = field(default_factory=dict)
    """``web1: ua-rec-data on VF 3 of 0000:01:00.0``."""
    host: dict[str, None] = field(default_factory=dict)
    """``enp1s0: address 192.0.2.1/24``."""

    def add(self, impact: dict[str, Any]) -> None:
        """Adds those of an impact of the document."""
        for name in ("domains", "nics", "host"):
            getattr(self, name).update(dict.fromkeys(impact.get(name) or []))

    def __bool__(self) -> bool:
        return bool(self.domains or self.nics or self.host)

    def sentences(self) -> list[str]:
        """``guest web1 (ua-rec-data on VF 3 of 0000:01:00.0)``, ``the host (enp1s0: route …)``."""
        by_domain: dict[str, list[str]] = {domain: [] for domain in self.domains}
        for nic in self.nics:
            domain, _, what = nic.partition(": ")
            by_domain.setdefault(domain, []).append(what)
        found = [
            f"guest {domain} ({', '.join(whats)})" if any(whats) else f"guest {domain}"
            for domain, whats in by_domain.items()
        ]
        return found + [f"the host ({use})" for use in self.host]


@dataclass(slots=True)
class Group:
    """Changes that are told as one: a change alone, or those of VFs of one PF with the same fields and
    values. A MAC belongs to one VF alone, so it doesn't keep VFs apart; `macs` has them."""

    op: str
    fields: list[dict[str, Any]]
    """As in the document; without ``mac`` when there are several changes."""
    reason: str
    disruption: str
    addresses: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    affected: Affected = field(default_factory=Affected)
    macs: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """(Address, the field ``mac``)."""

    @property
    def address(self) -> str:
        """Of all of it: ``pf.int.vf.[0-6]``."""
        return folded_address(self.addresses)

    @property
    def field_names(self) -> list[str]:
        """Names of what differs, in the order of the document."""
        return (["mac"] if self.macs else []) + [item["name"] for item in self.fields]


def fold_changes(changes: Iterable[dict[str, Any]]) -> list[Group]:
    """The changes in their order, with those that can be told together at the place of the first."""
    groups: dict[Any, Group] = {}
    for number, change in enumerate(changes):
        impact, address = change.get("disruption") or {}, change["address"]
        vf, fields = split_vf(address), change.get("fields") or []
        macs = [item for item in fields if item["name"] == "mac"] if vf else []
        rest = [item for item in fields if item not in macs]
        reason, disruption = change.get("reason", ""), impact.get("class", "none")
        key: Any = number
        if vf:
            key = (vf[0], change["op"], disruption, reason, bool(macs), json.dumps(rest, sort_keys=True))
        group = groups.setdefault(key, Group(change["op"], rest, reason, disruption))
        group.addresses.append(address)
        group.lines.append((change.get("source") or {}).get("line", 0))
        group.macs += [(address, item) for item in macs]
        group.affected.add(impact)
    return list(groups.values())
