"""How many VFs there are after a plan, and for whom, in a line per PF and per pool."""

from __future__ import annotations

from typing import Any

from reconciler.report.style import plural

_OF_PF = (
    ("pooled", "in pools"),
    ("running", "with guests that run"),
    ("off", "promised to guests that are off"),
    ("other", "in use by the host or a process"),
    ("declared", "declared by number"),
    ("free", "free"),
)
_MOST_NAMES = 12


def capacity_rows(document: dict[str, Any]) -> list[list[str]]:
    """Address and sentence of each PF and pool; none when the plan has nothing to do with guests, pools or a VF count
    that somebody draws on, and every pool has enough."""
    capacity = document.get("capacity") or {}
    pfs, pools = capacity.get("pfs") or [], capacity.get("pools") or []
    if not any(_is_short(pool) for pool in pools) and not _concerned(document, pfs):
        return []
    return [[pf["address"], _pf(pf)] for pf in pfs] + [[pool["address"], _pool(pool)] for pool in pools]


def _is_short(pool: dict[str, Any]) -> bool:
    return bool(len(pool["running"]) + len(pool["off"]) > pool["vfs"] - pool["other"])


def _concerned(document: dict[str, Any], pfs: list[dict[str, Any]]) -> bool:
    actions = document.get("actions") or []
    drawn = any(pf["free"] < pf["vfs"] for pf in pfs)
    return any(
        action["op"].startswith(("pool.", "nic.")) or (drawn and action["op"] == "pf.set_numvfs") for action in actions
    )


def _pf(pf: dict[str, Any]) -> str:
    told = [f"{pf[name]} {words}" for name, words in _OF_PF if pf[name] or name == "free"]
    return f"{plural(pf['vfs'], 'VF')}: {', '.join(told)}"


def _pool(pool: dict[str, Any]) -> str:
    wanted = len(pool["running"]) + len(pool["off"])
    names = [*_counted(pool["running"], ""), *_counted(pool["off"], "off")]
    shown = ", ".join(names[:_MOST_NAMES]) + (
        f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    )
    other = f", {pool['other']} in use by others" if pool["other"] else ""
    lacking = wanted - (pool["vfs"] - pool["other"])
    end = f"{lacking} too few" if lacking > 0 else f"{pool['free']} free"
    return f"{plural(pool['vfs'], 'VF')}: {wanted} wanted{f' ({shown})' if names else ''}{other}, {end}"


def _counted(names: list[str], state: str) -> list[str]:
    """``web1``, ``db1 (4 NICs, off)``: each guest once, with how many NICs it has."""
    found = []
    for name in dict.fromkeys(names):
        count = names.count(name)
        told = ", ".join(filter(None, [plural(count, "NIC") if count > 1 else "", state]))
        found.append(f"{name} ({told})" if told else name)
    return found
