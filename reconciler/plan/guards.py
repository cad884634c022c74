"""What apply refuses to do without being told, and what it never does."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.disruption import MEANING, severity, worst
from reconciler.host.model import Snapshot
from reconciler.kinds.action import Action
from reconciler.kinds.holders import Holder, find_holders
from reconciler.plan.document import Plan
from reconciler.state.desired import Desired, Disruption


def refusals(plan: Plan, desired: Desired, host: Snapshot, allow: Sequence[Disruption]) -> list[str]:
    """Why apply must not carry this plan out, in sentences; empty when it may. What would allow it says `way_out`."""
    found = []
    name = desired.host_name
    if name is not None and name not in (host.host.name, host.host.name.partition(".")[0]):
        found.append(f"The file is for the host {name!r} and this is {host.host.name!r}.")
    steps = [_too_disruptive(action) for action in _above(plan, desired, allow)]
    return found + list(dict.fromkeys(steps)) + _held(plan, host) + _blind(plan, host)


def way_out(plan: Plan, desired: Desired, allow: Sequence[Disruption]) -> tuple[Disruption, str] | None:
    """The class that would have to be allowed for all steps that are too disruptive, and what it means; ``None`` when
    there is no such step."""
    actions = _above(plan, desired, allow)
    if not actions:
        return None
    needed = worst(*(action.disruption for action in actions))
    return needed, MEANING[needed]


def _above(plan: Plan, desired: Desired, allow: Sequence[Disruption]) -> list[Action]:
    """The steps of a class that isn't allowed."""
    allowed = max(severity(desired.policy.disruption), *(severity(item) for item in allow), 0)
    return [action for action in plan.actions if severity(action.disruption) > allowed]


def _too_disruptive(action: Action) -> str:
    """One step: what, where, and whom it touches."""
    impact = action.impact
    touched = [*impact.nics, *impact.host] or impact.domains
    whom = f": {'; '.join(touched)}" if touched else ""
    return f"{action.op} of {action.address} is of class {action.disruption}{whom}"


def _held(plan: Plan, host: Snapshot) -> list[str]:
    """VFs are never destroyed under a guest whose NIC this plan doesn't take off first, nor under a process: the guest
    would lose it for good, or the kernel would hang until it lets go. No class allows that."""
    released = {
        (action.args["domain"], str(value))
        for action in plan.actions
        if action.op == "nic.detach" and action.args["live"]
        for value in action.args["match"].values()
    }
    removed = {a.args["pf"]: a.address for a in plan.actions if a.op == "pf.set_numvfs" and a.args["vfs"] == 0}
    return [
        f"{removed[vf[0]]}: {_whose(holder, vf[1])}"
        for vf, holders in find_holders(host).items()
        if vf[0] in removed
        for holder in holders
        if holder.kind != "host" and not _is_released(host, holder, released)
    ]


def _blind(plan: Plan, host: Snapshot) -> list[str]:
    """Where libvirt was not asked, it isn't known what it has set on the VFs of guests that run."""
    if not host.libvirt.by_files or not plan.actions or host.vfio_open == {}:
        return []
    who = sorted({str(process) for processes in (host.vfio_open or {}).values() for process in processes})
    return [
        "libvirt was not asked, which is for the boot, before any guest has a VF. "
        + (f"Devices of VFIO are in use by {', '.join(who)}" if who else "It is not known who uses devices of VFIO")
        + ": apply without --early, and without --libvirt files."
    ]


def _is_released(host: Snapshot, holder: Holder, released: set[tuple[str, str]]) -> bool:
    domain = host.libvirt.domains.get(holder.who)
    for nic in domain.live if domain is not None and holder.kind == "guest" else []:
        if holder.nic in (nic.alias, nic.mac):
            names = {nic.alias, nic.mac, nic.vf_address}
            return any((holder.who, name) in released for name in names if name is not None)
    return False


def _whose(holder: Holder, index: int) -> str:
    if holder.kind != "guest":
        return f"VF {index} is held by {holder}, and can't be removed before that lets go of it."
    return (
        f"guest {holder.who} has VF {index} by its NIC {holder.nic}, which this plan does not take off. Take it off "
        f"first:\n    virsh detach-device-alias {holder.who} {holder.nic} --live"
    )
