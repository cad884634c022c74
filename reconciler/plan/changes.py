"""What will be different, by address: the fields that differ, why, and who notices."""

from __future__ import annotations

from reconciler.disruption import severity
from reconciler.kinds.action import Action, Impact
from reconciler.kinds.builder import Builder
from reconciler.kinds.field_state import FieldState
from reconciler.kinds.kernel.operations import ADDRESS as CMDLINE
from reconciler.kinds.modules.compare import ADDRESS as BLACKLIST
from reconciler.kinds.modules.steps import reason as modules_reason
from reconciler.kinds.services.steps import reason as services_reason
from reconciler.plan.document import Change, ChangeOp, FieldChange


def changes_of(builder: Builder, states: list[FieldState]) -> list[Change]:
    """One change per address with fields that differ."""
    by_address: dict[str, list[FieldState]] = {}
    for state in states:
        if state.differs:
            by_address.setdefault(state.address, []).append(state)
    actions: dict[str, list[Action]] = {}
    for action in builder.actions:
        actions.setdefault(action.address, []).append(action)
    desired = builder.resolution.desired
    chosen = {nic.address: nic.why for nic in builder.resolution.nics}
    changes = []
    for where, fields in by_address.items():
        own = actions.get(where, [])
        changes.append(
            Change(
                address=where,
                op=_op(fields, own),
                fields=[FieldChange(f.field, f.observed, f.declared) for f in fields],
                reason=_reason(builder, where, fields, own, chosen.get(where, "")),
                impact=_impact(own),
                line=desired.line(where, fields[0].field),
            )
        )
    return changes


def _op(fields: list[FieldState], actions: list[Action]) -> ChangeOp:
    names = {field.field: field for field in fields}
    state = names.get("state")
    if state is not None:
        return "delete" if state.declared == "absent" else "create"
    if "vfs" in names and isinstance(names["vfs"].declared, int):
        if names["vfs"].declared == 0:
            return "delete"
        return "replace" if names["vfs"].observed else "create"
    places = [names[field] for field in ("live", "persistent") if field in names]
    if places and not any(action.op == "nic.update" for action in actions):
        attach = next((action.args for action in actions if action.op == "nic.attach"), {"live": 0, "config": 0})
        new = len(places) == attach["live"] + attach["config"]
        return "create" if new and not any(action.op == "nic.detach" for action in actions) else "update"
    ops = {action.op for action in actions}
    if {"nic.detach", "nic.attach"} <= ops:
        return "replace"
    if all(field.status == "parent-missing" for field in fields):
        return "create"
    return "update"


def _reason(builder: Builder, where: str, fields: list[FieldState], actions: list[Action], chosen: str) -> str:
    """``chosen``: why a NIC that names only a PF gets this VF."""
    if where == BLACKLIST:
        return modules_reason(builder, [field.field for field in fields])
    if where.startswith("services."):
        return services_reason(builder, actions)
    if where == CMDLINE:
        return "the kernel reads its arguments at boot; rebooting is left to you" if actions else ""
    names = {field.field: field for field in fields}
    vfs = names.get("vfs")
    if vfs is not None and isinstance(vfs.declared, int) and vfs.observed and vfs.declared:
        return "the kernel only accepts a new VF count from 0"
    detached = [action for action in actions if action.op == "nic.detach"]
    if detached and any(action.op == "nic.attach" for action in actions):
        if any(action.args["live"] for action in detached):
            return "a running guest's NIC can only be moved by detaching and attaching it"
        return "the VF that it gets is still that of another NIC of this guest"
    notes = {field.note for field in fields if field.note}
    if notes:
        return "; ".join(sorted(notes))
    if "live_vfs" in names:
        return "libvirt lists a pool's VFs only once, when it is started"
    if "autoprobe" in names and len(fields) == 1:
        return "a VF that is made or given back must find the declared driver"
    return chosen if "live" in names or "persistent" in names else ""


def _impact(actions: list[Action]) -> Impact:
    total = Impact()
    for action in actions:
        if severity(action.disruption) > severity(total.disruption):
            total.disruption = action.disruption
        for name in ("domains", "nics", "host"):
            mine = getattr(total, name)
            mine += [item for item in getattr(action.impact, name) if item not in mine]
    return total
