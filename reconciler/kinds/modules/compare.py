"""The two lists, compared: *contains* towards the host, *exactly* in our own file; of the one nothing may be loaded, of
the other all has to be."""

from __future__ import annotations

from reconciler.host.model import Snapshot
from reconciler.kinds.field_state import FieldState, Status
from reconciler.kinds.modules.operations import kernel_name
from reconciler.kinds.resolution import Resolution

ADDRESS = "modules.blacklist"
LOAD = "modules.load"


def own_list(declared: tuple[str, ...], host: Snapshot) -> list[str] | None:
    """What our own file has to say so that all declared modules are kept away; ``None``: it isn't needed."""
    others = {entry.module for entry in host.modules.blacklist or []}
    own = {kernel_name(module) for module in host.modules.own or []}
    wanted = [
        kernel_name(module) for module in declared if kernel_name(module) in own or kernel_name(module) not in others
    ]
    return sorted(set(wanted)) or None


def compare(resolution: Resolution, host: Snapshot) -> list[FieldState]:
    """Fields ``entries`` (the configuration), ``loaded`` (the kernel) and ``initramfs`` (modules that it has and would
    load)."""
    declared = resolution.desired.blacklist
    if declared is None:
        return []
    names = sorted({kernel_name(module) for module in declared})
    states = []
    if host.modules.blacklist is None:
        states.append(FieldState(ADDRESS, "entries", ADDRESS, names, None, "unknown"))
    else:
        own = sorted(host.modules.own) if host.modules.own is not None else None
        listed = {entry.module for entry in host.modules.blacklist} | set(own or [])
        extra = sorted(set(own or []) - set(names))
        observed = sorted(set(names) & listed) + extra
        same = own_list(declared, host) == own
        unmoved = _still(host, ADDRESS, "entries", names, listed) and set(own or []) <= set(_applied(host, ADDRESS))
        status: Status = "same" if same else "different"
        states.append(FieldState(ADDRESS, "entries", ADDRESS, names, observed, status, unmoved=unmoved))
    if not names:
        return states
    if host.modules.loaded is None:
        states.append(FieldState(ADDRESS, "loaded", ADDRESS, [], None, "unknown"))
    else:
        loaded = sorted(set(names) & set(host.modules.loaded))
        status = "different" if loaded else "same"
        states.append(FieldState(ADDRESS, "loaded", ADDRESS, [], loaded, status, unmoved=_new(host, loaded)))
    has = host.modules.initramfs
    if has is None:
        states.append(FieldState(ADDRESS, "initramfs", ADDRESS, [], None, "unknown"))
    elif old := sorted(set(names) & set(has) & set(host.modules.initramfs_old)):
        states.append(FieldState(ADDRESS, "initramfs", ADDRESS, [], old, "different", unmoved=_new(host, old)))
    return states


def _applied(host: Snapshot, where: str, name: str = "entries") -> list[str]:
    """What the ledger has of a list."""
    applied = host.ledger.get(where, {}).get(name)
    return applied.value if applied is not None and isinstance(applied.value, list) else []


def _still(host: Snapshot, where: str, name: str, names: list[str], there: set[str]) -> bool:
    """Whether another list was applied last, and is all there."""
    applied = host.ledger.get(where, {}).get(name)
    return applied is not None and applied.value != names and set(_applied(host, where, name)) <= there


def _new(host: Snapshot, found: list[str]) -> bool:
    """Whether these modules have only now been listed: that they are there is no move of the host's."""
    before = _applied(host, ADDRESS)
    return bool(before) and bool(found) and not set(found) & set(before)


def own_load(declared: tuple[str, ...], host: Snapshot) -> list[str] | None:
    """What our own file has to say so that all declared modules are loaded at boot; ``None``: it isn't needed."""
    others = {entry.module for entry in host.modules.load or []} | set(host.modules.builtin)
    own = {kernel_name(module) for module in host.modules.own_load or []}
    names = {kernel_name(module) for module in declared}
    return sorted(names & own | names - others) or None


def compare_load(resolution: Resolution, host: Snapshot) -> list[FieldState]:
    """Fields ``entries`` (the configuration) and ``loaded`` (the kernel); what is part of the kernel needs neither."""
    declared, modules = resolution.desired.load, host.modules
    if declared is None:
        return []
    names = sorted({kernel_name(module) for module in declared})
    states = []
    undecided = set(names) & set(modules.undecided) - set(modules.loaded or ())
    listed_somewhere = {entry.module for entry in modules.load or []} | set(modules.own_load or [])
    if modules.load is None or undecided - listed_somewhere:
        states.append(FieldState(LOAD, "entries", LOAD, names, None, "unknown"))
    else:
        own = sorted(modules.own_load) if modules.own_load is not None else None
        listed = {entry.module for entry in modules.load} | set(own or []) | set(modules.builtin)
        observed = sorted(set(names) & listed) + sorted(set(own or []) - set(names))
        same = own_load(declared, host) == own
        unmoved = _still(host, LOAD, "entries", names, listed) and set(own or []) <= set(_applied(host, LOAD))
        status: Status = "same" if same else "different"
        states.append(FieldState(LOAD, "entries", LOAD, names, observed, status, unmoved=unmoved))
    if not names:
        return states
    if modules.loaded is None or undecided:
        states.append(FieldState(LOAD, "loaded", LOAD, names, None, "unknown"))
    else:
        there = {*modules.loaded, *modules.builtin}
        loaded, unmoved = sorted(set(names) & there), _still(host, LOAD, "loaded", names, there)
        status = "same" if loaded == names else "different"
        states.append(FieldState(LOAD, "loaded", LOAD, names, loaded, status, unmoved=unmoved))
    return states
