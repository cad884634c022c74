"""What apply refuses to do without being told."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.disruption import CLASSES, severity
from reconciler.host.model import Snapshot
from reconciler.plan.document import Plan
from reconciler.state.desired import Desired, Disruption


def refusals(plan: Plan, desired: Desired, host: Snapshot, allow: Sequence[Disruption]) -> list[str]:
    """Why apply must not carry this plan out, in sentences; empty when it may."""
    found = []
    name = desired.host_name
    if name is not None and name not in (host.host.name, host.host.name.partition(".")[0]):
        found.append(f"The file is for the host {name!r} and this is {host.host.name!r}.")
    allowed = max(severity(desired.policy.disruption), *(severity(item) for item in allow), 0)
    for action in plan.actions:
        if severity(action.disruption) <= allowed:
            continue
        touched = [*action.impact.nics, *action.impact.host] or action.impact.domains
        whom = f" It touches {'; '.join(touched)}." if touched else ""
        found.append(
            f"{action.op} of {action.address} is of class {action.disruption}; allowed is {CLASSES[allowed]}.{whom} "
            f"To do it all the same: --allow {action.disruption}"
        )
    return found + _foreign(plan, host)


def _foreign(plan: Plan, host: Snapshot) -> list[str]:
    """VFs must not be destroyed under a guest whose NIC this plan doesn't take off first: the guest would lose it for
    good, or the kernel would hang until it lets go. No class allows that."""
    released = {
        (action.args["domain"], action.args["match"].get("alias") or action.args["match"].get("mac"))
        for action in plan.actions
        if action.op == "nic.detach" and action.args["live"]
    }
    found = []
    for action in plan.actions:
        if action.op != "pf.set_numvfs" or action.args["vfs"] != 0:
            continue
        pf = host.pfs.get(action.args["pf"])
        addresses = {vf.address for vf in pf.vfs} - {None} if pf is not None else set()
        for domain in host.libvirt.domains.values():
            for nic in domain.live if domain.running else []:
                name = nic.alias or nic.mac
                if nic.vf_address in addresses and (domain.name, name) not in released:
                    found.append(
                        f"{action.address}: guest {domain.name} has a VF ({nic.vf_address}) by its NIC {name}, which "
                        f"this file does not manage. Take it off first:\n    virsh detach-device-alias {domain.name} "
                        f"{name} --live"
                    )
    return found
