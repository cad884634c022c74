"""``reconciler rehearse``."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli.options import Options, load_state
from reconciler.cli.output import put
from reconciler.cli.planned import Format, exit_code, print_plan
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode

if TYPE_CHECKING:
    from reconciler.host.model import Snapshot
    from reconciler.host.twin.host import TwinHost
    from reconciler.plan.document import Plan
    from reconciler.state.desired import Desired


def rehearse(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A state file.")],
    snapshot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A recorded host in place of this one: reconciler snapshot.")
    ] = None,
    fail_at: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Let the N-th step of the plan fail, and show what is left behind."),
    ] = None,
) -> int:
    """Carry the plan out on a simulated twin of this host: every step, what guests would lose and for how long, and
    the end. Nothing on the host is changed; ends with 0 only if it arrives at what is declared."""
    from reconciler.clock import now
    from reconciler.plan.planner import make_plan

    options: Options = context.obj
    desired, source = load_state(file)
    observed, twin = _twin(options, desired, snapshot)
    plan = make_plan(desired, observed, source=source, created_at=now())
    if plan.verdict == "blocked":
        print_plan(options, plan, Format.TEXT)
        return exit_code(plan)
    if (fail_at or 0) > len(plan.actions):
        raise ReconcilerError(
            "There is no such step.",
            f"--fail-at {fail_at}: the plan has {len(plan.actions)}. See: reconciler plan {file}",
            code=ExitCode.USAGE,
        )
    _refuse(options, plan, desired, observed)
    return _show(options, plan, desired, observed, twin, fail_at or 0)


def _twin(options: Options, desired: Desired, snapshot: Path | None) -> tuple[Snapshot, TwinHost]:
    """The host as it is, and a twin of it in memory: of a simulated host with all that can't be seen of it."""
    from reconciler.apply.rehearse import stage
    from reconciler.host.twin.host import read_twin
    from reconciler.host.twin.make import from_snapshot

    if snapshot is not None:
        if options.host != "local":
            raise ReconcilerError(
                "Wrong usage.", "--host and --snapshot both say which host it is: give one.", code=ExitCode.USAGE
            )
        options = replace(options, host=f"snapshot:{snapshot}")
    observed = options.observe(options.reader(desired))
    kind, _, path = options.host.partition(":")
    return observed, stage(read_twin(Path(path)) if kind == "sim" else from_snapshot(observed))


def _refuse(options: Options, plan: Plan, desired: Desired, observed: Snapshot) -> None:
    """What apply never does, whatever is allowed: a rehearsal of it would show what can't happen."""
    from reconciler.disruption import CLASSES
    from reconciler.plan.guards import refusals

    found = refusals(plan, desired, observed, [CLASSES[-1]])
    if found:
        print_plan(options, plan, Format.TEXT)
        raise ReconcilerError(
            "Refused.", "\n  ".join(["apply would never do this:", *dict.fromkeys(found)]), code=ExitCode.REFUSED
        )


def _show(options: Options, plan: Plan, desired: Desired, observed: Snapshot, twin: TwinHost, fail_at: int) -> int:
    from reconciler.apply.rehearse import rehearse as carry_out
    from reconciler.plan.document import plan_to_json
    from reconciler.plan.inventory import build_inventory
    from reconciler.report.inventory_text import render_inventory
    from reconciler.report.rehearsal_text import render_rehearsal

    done = carry_out(plan, desired, observed, twin, fail_at)
    color, width = options.colored(sys.stdout), options.width()
    rehearsal = {
        "outcomes": [asdict(outcome) for outcome in done.result.outcomes],
        "unmet": done.result.unmet,
        "moments": [asdict(moment) for moment in done.moments],
        "losses": [asdict(loss) for loss in done.losses],
        "seconds": done.seconds,
    }
    inventory = render_inventory(build_inventory(done.after), color=color, width=width)
    put(render_rehearsal(plan_to_json(plan), rehearsal, inventory=inventory, color=color, width=width))
    return done.result.code
