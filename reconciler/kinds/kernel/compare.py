"""The kernel's arguments, compared: *contains* towards the host, *exactly* in our own file; by what they bring about
before by what they are."""

from __future__ import annotations

from reconciler.host.model import Snapshot
from reconciler.kinds.field_state import FieldState, Status
from reconciler.kinds.kernel.effects import has_effect, is_lasting, switches_on, takes_an_iommu
from reconciler.kinds.kernel.operations import ADDRESS, EFFECT
from reconciler.kinds.resolution import Resolution


def own_arguments(declared: tuple[str, ...], host: Snapshot) -> list[str] | None:
    """What our own file has to hold so that all declared arguments are there at the next boot; ``None``: it isn't
    needed. What is ours stays ours, also where another file has it as well."""
    own = [*(host.boot.own or []), *host.boot.leaving]
    wanted = [argument for argument in declared if argument in own or is_lasting(argument, host.boot) is not True]
    return wanted or None


def compare(resolution: Resolution, host: Snapshot) -> list[FieldState]:
    """Fields ``entries`` (of the boot loader) and ``effect`` (on the running kernel)."""
    declared = resolution.desired.cmdline
    if declared is None:
        return []
    states = [_entries(declared, host)]
    if declared:
        states.append(_effect(declared, host, written=states[0].status == "same"))
    return states


def _entries(declared: tuple[str, ...], host: Snapshot) -> FieldState:
    boot, names = host.boot, list(declared)
    if boot.running is None or any(is_lasting(argument, boot) is None for argument in declared):
        return FieldState(ADDRESS, "entries", ADDRESS, names, None, "unknown")
    observed = [argument for argument in names if is_lasting(argument, boot)]
    observed += [argument for argument in [*(boot.own or []), *boot.leaving] if argument not in names]
    same = own_arguments(declared, host) == boot.own and observed == names and not boot.leaving
    before = _applied(host, "entries")
    unmoved = before not in (None, names) and all(is_lasting(item, boot) for item in before or ())
    unmoved = unmoved and set(boot.own or ()) <= set(before or ())
    status: Status = "same" if same else "different"
    return FieldState(ADDRESS, "entries", ADDRESS, names, observed, status, unmoved=unmoved)


def _applied(host: Snapshot, name: str) -> list[str] | None:
    """What the ledger has of a field."""
    applied = host.ledger.get(ADDRESS, {}).get(name)
    return applied.value if applied is not None and isinstance(applied.value, list) else None


def _effect(declared: tuple[str, ...], host: Snapshot, *, written: bool) -> FieldState:
    names, boot = list(declared), host.boot
    if any(has_effect(argument, boot) is None for argument in declared):
        return FieldState(ADDRESS, EFFECT, ADDRESS, names, None, "unknown")
    observed = [argument for argument in names if has_effect(argument, boot)]
    status: Status = "same" if observed == names else "different"
    note = ""
    if status == "different" and written and not without_effect(declared, host):
        status, note = "pending-reboot", "the boot loader has it, for the next boot"
    before = _applied(host, EFFECT)
    unmoved = before not in (None, names) and all(has_effect(item, boot) for item in before or ())
    return FieldState(ADDRESS, EFFECT, ADDRESS, names, observed, status, note, unmoved=unmoved)


def without_effect(declared: tuple[str, ...], host: Snapshot) -> list[str]:
    """Arguments that the boot loader had for this boot and that did not come into effect: to write them again would
    change nothing. The ledger knows in which boot they were written; of what it doesn't know, the configuration's time
    tells. Passthrough mode is not judged before there is an IOMMU."""
    boot, applied = host.boot, host.ledger.get(ADDRESS, {}).get(EFFECT)
    known = _applied(host, EFFECT) or []
    failed = [
        argument
        for argument in declared
        if has_effect(argument, boot) is False
        and argument in (boot.next or ())
        and (applied.boot_id != host.host.boot_id if applied and argument in known else not boot.since_boot)
    ]
    if any(switches_on(argument) and argument not in failed for argument in declared):
        return [argument for argument in failed if not (boot.groups == 0 and takes_an_iommu(argument))]
    return failed
