"""``reconciler reset``."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli.apply import (
    DisruptionClass,
    Manner,
    ask,
    guard,
    locked_run,
    refuse_recorded,
    show_plan,
)
from reconciler.cli.options import Options, need_root
from reconciler.cli.output import put, say
from reconciler.cli.planned import exit_code
from reconciler.exit_codes import ExitCode


def reset(
    context: typer.Context,
    vfs: Annotated[
        list[str],
        typer.Argument(metavar="PF/VF…", help="PF by netdev or PCI address, VFs by index: enp1s0/3, 0000:01:00.0/0-6."),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    allow: Annotated[
        list[DisruptionClass] | None,
        typer.Option("--allow", help="guest: also VFs that a guest, a process or the host has."),
    ] = None,
) -> int:
    """Put VFs back to their driver's defaults: MAC, VLAN, rates, spoofchk, trust and link state. Shows the plan and
    asks first, unless --yes; what a guest, a process or the host has is left alone."""
    from reconciler.clock import now
    from reconciler.plan.planner import make_plan
    from reconciler.plan.reset import left_to_libvirt, not_mended, reset_file

    options: Options = context.obj
    reader = options.reader()
    refuse_recorded(options)
    observed = options.observe(reader)
    desired = reset_file(observed, vfs)
    for line in [*not_mended(observed, desired), *left_to_libvirt(observed, desired)]:
        say(f"Note: {line}")
    manner = Manner(allow or [], None, resets=" ".join(vfs))
    plan = make_plan(desired, observed, created_at=now())
    if plan.verdict == "in-sync":
        guard(plan, desired, observed, manner)
        put(f"At the driver's defaults already: {', '.join(vfs)}.\n")
        return ExitCode.OK
    show_plan(options, plan)
    if plan.verdict == "blocked":
        return exit_code(plan)
    guard(plan, desired, observed, manner)
    need_root(options)
    if not yes and not ask():
        say("Declined. Nothing was changed.")
        return ExitCode.FAILED
    return locked_run(options, reader, plan, plan, desired, manner, "Run reset again to see what would be done now.")
