"""Values of fields as people read them: rates with their unit, switches as ``on`` and ``off`` like `ip`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

_ZERO_MAC = "00:00:00:00:00:00"
_MANY = 12
"""A longer list of things that have no order to shorten it by is told by its ends and its length."""
_VF = re.compile(r"(?P<pf>.+)/(?P<index>0|[1-9][0-9]{0,5})")


def human(name: str, value: Any, *, missing: str = "(absent)") -> str:
    """The value of the field ``name``; ``missing`` stands for null."""
    if value is None:
        return missing
    if isinstance(value, bool):
        return "on" if value else "off"
    if name in ("min_tx_rate", "max_tx_rate"):
        return f"{value} Mbit/s" if value else "0 (no limit)" if name == "max_tx_rate" else "0 (none)"
    if name == "vlan" and value == 0:
        return "none"
    if name == "mac" and value == _ZERO_MAC:
        return "none"
    if isinstance(value, list):
        return _human_list(value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {human(key, item)}" for key, item in value.items()) or "(empty)"
    return str(value) if value != "" else '""'


def _human_list(values: list[Any]) -> str:
    """``int/8-62`` for many VFs of one PF, else the items with commas."""
    parts: list[str] = []
    by_pf: dict[str, list[int]] = {}
    for value in values:
        item = f"{value[0]}/{value[1]}" if isinstance(value, list) and len(value) == 2 else human("", value)
        vf = _VF.fullmatch(item)
        if vf is None:
            parts.append(item)
        else:
            by_pf.setdefault(vf["pf"], []).append(int(vf["index"]))
    if len(parts) > _MANY:
        parts = [*parts[:2], "…", f"{parts[-1]} ({len(parts)} of them)"]
    parts += [f"{pf}/{ranges(indices)}" for pf, indices in by_pf.items()]
    return ", ".join(parts) or "(empty)"


def ranges(numbers: Iterable[int]) -> str:
    """``0-6,9`` for 0 to 6 and 9."""
    spans: list[list[int]] = []
    for number in sorted(set(numbers)):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def before_after(name: str, before: Any, after: Any) -> str:
    """``4 -> 8``; only the new value when there was none."""
    new = human(name, after)
    return new if before is None else f"{human(name, before)} -> {new}"


def place(path: str, lines: Sequence[int]) -> str:
    """``states/r620-01.toml:25``, with ranges for several lines; "" when there is no line."""
    known = [line for line in lines if line]
    if not known:
        return ""
    return f"{path or 'line '}{':' if path else ''}{ranges(known)}"
