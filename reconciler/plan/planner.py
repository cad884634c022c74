"""The plan: a pure function of what is desired and what was observed."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.diagnostics import Diagnostic
from reconciler.disruption import severity
from reconciler.host.model import Snapshot
from reconciler.kinds.builder import Builder
from reconciler.kinds.domain import steps as domain
from reconciler.kinds.field_state import FieldState
from reconciler.kinds.hugepages import steps as hugepages
from reconciler.kinds.kernel import steps as kernel
from reconciler.kinds.modules import steps as modules
from reconciler.kinds.nic import steps as nic
from reconciler.kinds.pf import steps as pf
from reconciler.kinds.pool import steps as pool
from reconciler.kinds.registry import compare_all
from reconciler.kinds.resolution import Resolution
from reconciler.kinds.resolve import resolve
from reconciler.kinds.services import steps as services
from reconciler.kinds.vf import steps as vf
from reconciler.plan.capacity import carried_out, take_capacity
from reconciler.plan.changes import changes_of
from reconciler.plan.checks import check, unknowns
from reconciler.plan.checks_kernel import UNTIL_REBOOT, until_reboot
from reconciler.plan.checks_pools import check_pools, old_lists
from reconciler.plan.document import Plan, Source, Summary, Verdict
from reconciler.plan.hangs import check_hangs
from reconciler.plan.select import drop_errors, fit_root_ports, leave_for_later, select_targets
from reconciler.state.desired import Desired
from reconciler.state.serial import desired_to_json


def make_plan(
    desired: Desired,
    observed: Snapshot,
    *,
    source: Source | None = None,
    created_at: str = "",
    targets: Sequence[str] = (),
    partial: bool = False,
) -> Plan:
    """The ordered actions that bring the observed host to the desired state, and what is to be said about it.

    ``targets`` limits the plan to these addresses and what they depend on. ``partial`` leaves out what has an error,
    and what depends on it, in place of blocking the whole.
    """
    resolution = resolve(desired, observed)
    builder = Builder(resolution, observed)
    diagnostics = list(resolution.diagnostics)
    before = compare_all(resolution, observed)
    diagnostics += [
        *check(resolution, observed),
        *unknowns(resolution, before, observed),
    ]
    _steps(builder)
    after = compare_all(builder.predicted(), builder.host)
    diagnostics += check_pools(resolution, observed, builder.host, builder.remade)
    diagnostics += _unmet(resolution, after, diagnostics)
    diagnostics += _waiting(resolution, after)
    blocked = not partial and not targets and any(d.severity == "error" for d in diagnostics)
    diagnostics += until_reboot(resolution, observed, observed if blocked else builder.host)
    diagnostics += old_lists(resolution, builder.host, after)
    diagnostics += check_hangs(observed, desired, builder.actions)
    plan = Plan(
        created_at=created_at,
        host=observed.host,
        source=source or Source(),
        desired=desired_to_json(desired),
        changes=changes_of(builder, before),
        actions=builder.actions,
        diagnostics=diagnostics,
        unobserved=_unobserved(resolution, before),
    )
    if targets:
        select_targets(plan, targets, {state.address for state in before})
    if partial:
        drop_errors(plan, resolution.left_out)
        fit_root_ports(plan, resolution, observed)
    if observed.libvirt.by_files:
        leave_for_later(plan, observed)
    less = targets or partial or observed.libvirt.by_files
    plan.capacity = take_capacity(resolution, carried_out(observed, plan.actions) if less else builder.host)
    return conclude(plan)


def _steps(builder: Builder) -> None:
    """All steps in the order that works: first what has to go, then from the modules up to the guests."""
    resolution = builder.resolution
    remade = {
        identity
        for name, identity in resolution.pfs.items()
        if (count := resolution.desired.pfs[name].vfs) is not None
        and builder.host.pfs[identity].num_vfs not in (None, 0, count)
    }
    nic.release(builder, remade)
    pool.release(builder, remade)
    kernel.plan(builder)
    modules.plan(builder)
    services.plan(builder)
    hugepages.plan(builder)
    pf.plan(builder)
    vf.plan(builder)
    pool.plan(builder)
    domain.plan(builder)
    nic.plan(builder)


def conclude(plan: Plan) -> Plan:
    """Verdict and counts, from what the plan holds."""
    counts = Summary(
        actions=len(plan.actions),
        disruptive=sum(severity(action.disruption) > 0 for action in plan.actions),
        reboot=any(diagnostic.code == UNTIL_REBOOT for diagnostic in plan.diagnostics),
    )
    for change in plan.changes:
        setattr(counts, change.op, getattr(counts, change.op) + 1)
    plan.summary = counts
    verdict: Verdict = "changes" if plan.actions else "in-sync"
    if plan.unobserved or any(diagnostic.severity == "error" for diagnostic in plan.diagnostics):
        verdict = "blocked"
    plan.verdict = verdict
    return plan


def _unmet(resolution: Resolution, after: list[FieldState], diagnostics: list[Diagnostic]) -> list[Diagnostic]:
    """The predicted end state has to satisfy the file; if it doesn't, and nothing says why, the planner is wrong, and
    saying so is better than a plan that doesn't arrive."""
    excused = {d.address for d in diagnostics if d.severity == "error"} | set(resolution.left_out)
    unmet = [
        state
        for state in after
        if state.differs and not any(state.address == item or state.address.startswith(f"{item}.") for item in excused)
    ]
    if not unmet or any(d.severity == "error" for d in diagnostics):
        return []
    return [
        Diagnostic(
            severity="error",
            code="plan-incomplete",
            summary="No way was found to what is declared.",
            detail=f"{state.field} = {state.declared!r} would still be {state.observed!r} after all steps. Please "
            "report this with the state file and the output of: reconciler snapshot",
            address=state.address,
            line=resolution.desired.line(state.address, state.field),
        )
        for state in unmet
    ]


def _waiting(resolution: Resolution, states: list[FieldState]) -> list[Diagnostic]:
    """Guests that have their new slots later. Of pools `old_lists` tells."""
    return [
        Diagnostic(
            severity="note",
            code="pending-restart",
            summary="A guest has its new PCIe root ports after its next start.",
            detail="They can't be added while it runs, so they are written to its definition. To have them, shut it "
            "down and start it; a reboot from within is not enough.",
            address=state.address,
            line=resolution.desired.line(state.address),
        )
        for state in states
        if state.status == "pending-restart" and state.field == "root_ports"
    ]


def _unobserved(resolution: Resolution, states: list[FieldState]) -> list[str]:
    addresses = [*resolution.unobserved, *(s.address for s in states if s.status == "unknown")]
    return list(dict.fromkeys(addresses))
