"""The way back: the undo of actions that were carried out, as actions themselves, last done first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from reconciler.drivers.readback import GROUPS
from reconciler.host.model import Snapshot, Vf
from reconciler.kinds.action import Action, Impact, Step
from reconciler.kinds.holders import Holders, VfId, find_holders, vfs_by_address
from reconciler.kinds.impact import impact_on_vfs
from reconciler.kinds.nic.operations import find_match
from reconciler.kinds.vf.steps import binding

PREFIX = "undo "
"""Of the ids of undoing actions."""


def undo_of(actions: Sequence[Action], done: Collection[str], before: Snapshot) -> list[Action]:
    """The actions that take back those of ``done`` (ids), in the order in which they must be carried out. What was done
    on top of an action has to be taken back before it is: a guest's NIC before its VF."""
    holders = find_holders(before)
    kept = _kept(actions, done, before, holders)
    back: list[Action] = []
    ids: dict[str, list[str]] = {}
    for action in reversed(actions):
        if action.id not in done:
            continue
        users = [key for other in actions if action.id in other.needs for key in ids.get(other.id, [])]
        for number, step in enumerate(action.undo.steps, 1):
            if step.op == "vf.bind" and (step.args["pf"], step.args["vf"]) in kept:
                continue
            key = f"{PREFIX}{action.id}" + (f" ({number})" if number > 1 else "")
            of = {item.id: item for item in back}
            needs = [key for key in [*users, *ids.get(action.id, [])] if _is_needed(of[key], step)]
            back.append(
                Action(key, step.op, step.address, step.args, needs, impact=_impact(action, step, before, holders))
            )
            ids.setdefault(action.id, []).append(key)
    return _down_last(_started_as_defined(_pools_after_vfs(back)))


def _kept(actions: Sequence[Action], done: Collection[str], before: Snapshot, holders: Holders) -> set[VfId]:
    """VFs that a guest has all the while, since they were not taken off it: an undo that counts on that would unbind
    them under it, which the kernel waits with for as long as the guest runs."""
    addresses = vfs_by_address(before)
    freed = set()
    for action in actions:
        domain = before.libvirt.domains.get(action.args.get("domain", ""))
        if action.op == "nic.detach" and action.args["live"] and action.id in done and domain is not None:
            nic = find_match(domain.live, action.args["match"])
            freed.add(addresses.get((nic.vf_address if nic is not None else None) or ""))
    return {vf for vf, held in holders.items() if vf not in freed and any(holder.kind == "guest" for holder in held)}


def undone_of(actions: Sequence[Action], failed: Collection[str]) -> set[str]:
    """Ids of the actions that were taken back: those whose undo was carried out in full. ``failed``: ids of undoing
    actions that were not."""
    return {
        action.id
        for action in actions
        if not action.undo.impossible and not any(_undoes(key, action.id) for key in failed)
    }


def _undoes(undo_id: str, action_id: str) -> bool:
    return undo_id == f"{PREFIX}{action_id}" or undo_id.startswith(f"{PREFIX}{action_id} (")


def _is_needed(earlier: Action, step: Step) -> bool:
    """Whether a step can't do without an earlier one. A VF that can't be given back what it had is no reason to leave
    the rest, or a guest without its NIC."""
    if earlier.op == "pf.wait_link":
        return step.op == "vf.set"
    if earlier.op not in ("vf.set", "vf.bind"):
        return True
    on = step.args["nic"].get("vf") if step.op == "nic.attach" else [step.args.get("pf"), step.args.get("vf")]
    return bool("pf" in earlier.args and on == [earlier.args["pf"], earlier.args["vf"]])


def _pools_after_vfs(back: list[Action]) -> list[Action]:
    """libvirt defines a pool only with VFs that are there: its old list comes after the old VFs."""
    counts = [action.id for action in back if action.op == "pf.set_numvfs"]
    defines = [action for action in back if action.op == "pool.define"]
    if not counts or not defines:
        return back
    moved = {action.id for action in defines}
    others = [
        replace(action, needs=[need for need in action.needs if need not in moved])
        for action in back
        if action.id not in moved
    ]
    place = 1 + max(number for number, action in enumerate(others) if action.op == "pf.set_numvfs")
    return [*others[:place], *(replace(action, needs=counts) for action in defines), *others[place:]]


def _started_as_defined(back: list[Action]) -> list[Action]:
    """A pool gives out what it was defined with when it was started: it is started with its old list."""
    defines = {action.args["pool"]: action.id for action in back if action.op == "pool.define"}
    starts = {a.args["pool"]: a for a in back if a.op == "pool.start" and a.args["pool"] in defines}
    ordered: list[Action] = []
    for action in back:
        if action.op == "pool.define" and action.args["pool"] in starts:
            start = starts[action.args["pool"]]
            before = replace(action, needs=[need for need in action.needs if need != start.id])
            ordered += [before, replace(start, needs=list(dict.fromkeys([*start.needs, action.id])))]
        elif action not in starts.values():
            ordered.append(action)
    return ordered


def _down_last(back: list[Action]) -> list[Action]:
    """libvirt attaches a VF only while its PF is up (virNetDevSaveNetConfig in src/util/virnetdev.c): one that was down
    goes down again when the guests have their NICs back."""
    down = [action for action in back if action.op == "pf.set_link" and action.args["link"] == "down"]
    return [*(action for action in back if action not in down), *down]


def irreversible(actions: Sequence[Action], done: Collection[str]) -> list[str]:
    """What can't be taken back, and why, in sentences."""
    return [
        f"{action.op} of {action.address} can't be taken back: {action.undo.impossible}"
        for action in actions
        if action.id in done and action.undo.impossible
    ]


def _impact(action: Action, step: Step, before: Snapshot, holders: Holders) -> Impact:
    """Whom the way back touches: those of the way there; who had a VF before, and gets back what he had; and the guest
    whose NIC is taken off again."""
    pf = before.pfs.get(step.args.get("pf", ""))
    impact = impact_on_vfs(holders, [(pf.id, vf.index) for vf in pf.vfs] if pf is not None else [])
    domains = [*action.impact.domains, *impact.domains]
    if step.op.startswith("nic.detach"):
        domains.append(step.args["domain"])
    return Impact(
        domains=list(dict.fromkeys(domains)),
        nics=[*action.impact.nics, *impact.nics],
        host=[*action.impact.host, *impact.host],
    )


def repairs_of(before: Snapshot, after: Snapshot, actions: Sequence[Action]) -> list[Action]:
    """What is still to be put right on VFs that nobody has, of PFs that these actions touch. An undo is computed on
    what its action was expected to meet; where a step before that one was left out, it met something else."""
    held = {*find_holders(before), *find_holders(after)}
    found = []
    for pf in dict.fromkeys(action.args["pf"] for action in actions if "pf" in action.args):
        old, new = before.pfs.get(pf), after.pfs.get(pf)
        for vf in old.vfs if old is not None and new is not None else []:
            now = new.vf(vf.index) if new is not None else None
            if now is None or (pf, vf.index) in held:
                continue
            for number, step in enumerate(_repairs(pf, vf, now)):
                found.append(Action(f"repair {step.op} {pf}/{vf.index} {number}", step.op, step.address, step.args))
    return found


def _repairs(pf: str, was: Vf, now: Vf) -> Iterator[Step]:
    where = f"{pf}/{was.index}"
    if binding(was) != binding(now):
        yield Step("vf.bind", where, {"pf": pf, "vf": was.index, "driver": binding(was)})
    old, new = was.attributes or {}, now.attributes or {}
    for group in GROUPS:
        values = {name: old[name] for name in group if name in old and name in new and old[name] != new[name]}
        if values:
            yield Step("vf.set", where, {"pf": pf, "vf": was.index, "set": values})
