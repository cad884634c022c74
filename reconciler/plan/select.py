"""A plan cut down: to some targets with what they depend on, or to what has no error."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from reconciler.diagnostics import Diagnostic, ReconcilerError
from reconciler.drivers.table import facts
from reconciler.exit_codes import ExitCode
from reconciler.host.model import Snapshot
from reconciler.kinds.action import Action
from reconciler.kinds.builder import copy_host
from reconciler.kinds.domain.steps import free_before
from reconciler.kinds.operations import OPERATIONS
from reconciler.kinds.resolution import Resolution
from reconciler.plan.document import Plan


def within(address: str, parent: str) -> bool:
    """Whether an address is the other one, or inside it (``pf.int.vf.3`` is inside ``pf.int``)."""
    return address == parent or address.startswith(f"{parent}.")


def select_targets(plan: Plan, targets: Sequence[str], declared: Collection[str]) -> None:
    """Keeps the actions of these addresses, all that these depend on, and what gives back what those take away.
    ``declared``: every address with a field."""
    known = {*declared, *(d.address for d in plan.diagnostics), *plan.desired.get("lines", {})}
    for target in targets:
        if not any(within(address, target) for address in known):
            raise ReconcilerError(
                "No such target.",
                f"The state file declares nothing at {target}. An address is the path in the file, like pf.int.vf.3.",
                code=ExitCode.USAGE,
            )
    chosen = {a.id for a in plan.actions if any(within(a.address, target) for target in targets)}
    chosen = _closed(plan.actions, chosen)
    plan.actions = [action for action in plan.actions if action.id in chosen]
    addresses = {action.address for action in plan.actions} | set(targets)
    plan.changes = [c for c in plan.changes if any(within(c.address, address) for address in addresses)]
    plan.diagnostics = [d for d in plan.diagnostics if not d.address or any(_related(d.address, a) for a in addresses)]
    plan.unobserved = [u for u in plan.unobserved if any(_related(u, a) for a in addresses)]
    plan.targets = list(targets)


def _related(one: str, other: str) -> bool:
    return within(one, other) or within(other, one)


def _returns(actions: list[Action], taker: Action) -> list[Action]:
    """The later actions that give back what this one takes away: a NIC, a pool, or the VFs of a PF with all that was
    set on them."""
    later = actions[actions.index(taker) + 1 :]
    if taker.op in ("nic.detach", "nic.detach_standby", "pool.stop"):
        return [action for action in later if action.address == taker.address]
    if taker.op == "pf.set_numvfs" and taker.args["vfs"] == 0:
        again = ("pf.set_numvfs", "vf.bind", "vf.set")
        return [action for action in later if action.op in again and taker.id in action.needs]
    return []


def _closed(actions: list[Action], chosen: set[str]) -> set[str]:
    """Chosen actions with what they need and with what gives back, until nothing is added."""
    while True:
        more = set(chosen)
        for action in actions:
            if action.id in chosen:
                more.update(action.needs, (item.id for item in _returns(actions, action)))
        if more == chosen:
            return chosen
        chosen = more


def drop_errors(plan: Plan, left_out: dict[str, str]) -> None:
    """``--partial``: drops what has an error, all that depends on it, and what takes away that which would then not be
    given back. The errors become warnings, since the rest is no longer blocked by them."""
    bad = {d.address for d in plan.diagnostics if d.severity == "error" and d.address}
    bad |= {address for address, cause in left_out.items() if cause in bad} | set(plan.unobserved)
    dropped = bad | _drop(plan, {a.id for a in plan.actions if any(within(a.address, item) for item in bad)}, bad)
    plan.diagnostics = [
        replace(d, severity="warning") if d.severity == "error" and d.address else d for d in plan.diagnostics
    ]
    plan.dropped, plan.unobserved = sorted(dropped), []


def leave_for_later(plan: Plan, observed: Snapshot) -> None:
    """Where libvirt was not asked, so early in boot: drops what takes it, the rates that need a carrier, which no boot
    should wait for, and what depends on either; with one note about all of it."""
    takes = {action.id for action in plan.actions if _takes_longer(action, observed)}
    waits = {action.address for action in plan.actions if action.op == "pf.wait_link"}
    left = sorted(_drop(plan, takes) - waits)
    if left:
        plan.diagnostics.append(
            Diagnostic(
                severity="note",
                code="left-for-later",
                summary="Some is left until libvirt can be asked and the ports have a carrier.",
                detail=f"{', '.join(left)}. What libvirt has defined was read from its files, and nothing was asked of "
                "it. Apply again once it runs; at boot reconciler-guests.service does.",
            )
        )


def _takes_longer(action: Action, observed: Snapshot) -> bool:
    if action.op == "pf.wait_link" or OPERATIONS[action.op].scope(action.args).kind in ("domain", "pool"):
        return True
    pf = observed.pfs.get(action.args["pf"]) if action.op == "vf.set" else None
    rates = {"min_tx_rate", "max_tx_rate"} & action.args.get("set", {}).keys()
    return bool(pf is not None and rates and facts(pf.driver, pf.device_id).max_rate.link)


def _drop(plan: Plan, gone: set[str], bad: Collection[str] = ()) -> set[str]:
    """Drops these actions, all that need them, and those that take away what would then not be given back; and the
    changes of what is ``bad`` or has no action any more. Returns the addresses of the actions."""
    while True:
        more = set(gone)
        for action in plan.actions:
            if not gone.isdisjoint(action.needs) or any(item.id in gone for item in _returns(plan.actions, action)):
                more.add(action.id)
        if more == gone:
            break
        gone = more
    dropped = {action.address for action in plan.actions if action.id in gone}
    plan.actions = [action for action in plan.actions if action.id not in gone]
    acted = {action.address for action in plan.actions}
    plan.changes = [
        c for c in plan.changes if c.address in acted or not any(within(c.address, d) for d in (*bad, *dropped))
    ]
    return dropped


def fit_root_ports(plan: Plan, resolution: Resolution, observed: Snapshot) -> None:
    """After `drop_errors`: no root ports for NICs that were dropped."""
    nics = [nic for nic in resolution.nics if not any(within(nic.address, item) for item in plan.dropped)]
    rest, host, enough = replace(resolution, nics=nics), copy_host(observed), set()
    for action in plan.actions:
        if action.op == "domain.set_root_ports":
            name = action.args["domain"]
            wanted = resolution.desired.domains[name].root_ports or 0
            free = free_before(rest, host, host.libvirt.domains[name], wanted)
            if free is None:
                enough.add(action.address)
                continue
            action.args["free"] = free
        OPERATIONS[action.op].simulate(host, action.args)
    plan.actions = [a for a in plan.actions if a.op != "domain.set_root_ports" or a.address not in enough]
    plan.changes = [change for change in plan.changes if change.address not in enough]
