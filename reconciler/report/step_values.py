"""What a step of a run changed, from which value to which: from the step, what takes it back, and the host before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.report.actions import sentence
from reconciler.report.values import before_after, human

Attributes = Mapping[str, Mapping[int, Mapping[str, Any]]]
"""Of VFs as they were before a run, by PF identity and index."""

_FIELDS = {
    "kernel.set_cmdline": "arguments",
    "modules.set_blacklist": "modules",
    "modules.set_load": "modules",
    "pf.set_host_network": "host_network",
    "pf.set_link": "link",
    "pf.set_mtu": "mtu",
    "pf.set_autoprobe": "autoprobe",
    "pf.set_numvfs": "vfs",
    "vf.bind": "driver",
    "pool.define": "vfs",
    "pool.set_autostart": "autostart",
}
"""Operations that give one field a value."""
_SAME = ("pf", "vf", "pool", "domain", "alias", "service", "size")
"""Arguments that say on what a step works."""


def place_of(step: dict[str, Any]) -> str:
    """The address, with the VF where that is only in the arguments."""
    address, vf = str(step["address"]), (step.get("args") or {}).get("vf")
    inside = isinstance(vf, int) and str(step["op"]).startswith("vf.") and address.startswith("pf.")
    return f"{address}.vf.{vf}" if inside and not address.endswith(f".vf.{vf}") else address


def values_of(step: dict[str, Any], attributes: Attributes) -> str:
    """``vlan none -> 100``; of what has no such fields, a sentence. ``step`` with ``undo`` as in the plan document."""
    op, args = step["op"], step.get("args") or {}
    try:
        if op == "vf.set":
            return _set(step, args, attributes)
        if op in _FIELDS and _FIELDS[op] in args:
            name, old = _FIELDS[op], _counterpart(step)
            new = human(name, args[name], missing="(none)")
            return f"{name} {human(name, old[name], missing='(none)')} -> {new}" if name in old else f"{name} {new}"
        if op in ("service.set", "hugepages.set"):
            name = "boot" if "boot" in args else "now"
            before = human(name, _counterpart(step).get(name), missing="(none)")
            return f"{name} {before} -> {human(name, args[name], missing='(none)')}"
        if op == "nic.update":
            return _nic(_counterpart(step).get("nic") or {}, args["nic"])
    except (KeyError, TypeError, ValueError, AttributeError):
        pass  # A record of another version: its sentence says what it can.
    return sentence(step).removeprefix(f"{step['address']}: ")


def _counterpart(step: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the undo's step that sets the same thing back, {} when there is none."""
    args = step.get("args") or {}
    for other in (step.get("undo") or {}).get("steps") or []:
        theirs = other.get("args") or {}
        if other.get("op") == step["op"] and all(theirs.get(key) == args.get(key) for key in _SAME):
            return dict(theirs)
    return {}


def _set(step: dict[str, Any], args: dict[str, Any], attributes: Attributes) -> str:
    """Attributes of a VF; of one that was made anew, what it had before the run."""
    old = _counterpart(step).get("set")
    if old is None:
        old = (attributes.get(args.get("pf", "")) or {}).get(args.get("vf", -1)) or {}
    parts = []
    for name, value in args["set"].items():
        if name in old and old[name] == value:
            parts.append(f"{name} {human(name, value)}, as before")
        else:
            parts.append(f"{name} {before_after(name, old.get(name), value)}")
    return ", ".join(parts)


def _nic(old: dict[str, Any], new: dict[str, Any]) -> str:
    names = [name for name in dict.fromkeys([*old, *new]) if old.get(name) != new.get(name)]
    return ", ".join(f"{name} {human(name, old.get(name))} -> {human(name, new.get(name))}" for name in names)
