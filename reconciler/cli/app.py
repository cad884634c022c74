"""The commands, put together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reconciler import __version__
from reconciler.cli import (
    adopt,
    apply,
    confirm,
    doctor,
    drift,
    history,
    hook,
    inspect,
    install_units,
    migrate,
    plan,
    rehearse,
    reset,
    rollback,
    schema,
    show,
    sim,
    snapshot,
    validate,
    watch,
)
from reconciler.cli.options import Color, Options, default_state_dir
from reconciler.cli.output import put

app = typer.Typer(
    name="reconciler",
    help="Plan/apply for SR-IOV on KVM hosts: one state file in git, compared with what sysfs, netlink and libvirt "
    "say; a plan that can be reviewed, an apply that can be repeated, a drift check.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        put(f"reconciler {__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    host: Annotated[
        str,
        typer.Option(
            help="local | sim:FILE, a simulated host | snapshot:FILE, a recorded host, read-only | snapshot:DIR, one "
            "per host.name."
        ),
    ] = "local",
    libvirt: Annotated[
        str, typer.Option(help="libvirt's connection URI, or files: it is not asked, its files are read.")
    ] = "qemu:///system",
    state_dir: Annotated[
        Path | None, typer.Option(help="Ledger and runs [default: /var/lib/reconciler; for sim:FILE it is FILE.state]")
    ] = None,
    color: Annotated[Color, typer.Option(help="Colours; NO_COLOR is respected.")] = Color.AUTO,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Tracebacks of faults in reconciler itself.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Global options; they may stand before or after the command."""
    context.obj = Options(host, libvirt, state_dir or default_state_dir(host), color, verbose)


READING, CHANGING, FILES, OTHERS = "See", "Change", "State files", "Without a host"

app.command("plan", rich_help_panel=READING)(plan.plan)
app.command("apply", rich_help_panel=CHANGING)(apply.apply)
app.command("confirm", rich_help_panel=CHANGING)(confirm.confirm)
app.command("rollback", rich_help_panel=CHANGING)(rollback.rollback)
app.command("reset", rich_help_panel=CHANGING)(reset.reset)
app.command("migrate", rich_help_panel=CHANGING)(migrate.migrate)
app.command("install-units", rich_help_panel=CHANGING)(install_units.install_units)
app.command("watch", rich_help_panel=CHANGING)(watch.watch)
app.command("drift", rich_help_panel=READING)(drift.drift)
app.command("history", rich_help_panel=READING)(history.history)
app.command("rehearse", rich_help_panel=READING)(rehearse.rehearse)
app.command("doctor", rich_help_panel=READING)(doctor.doctor)
app.command("inspect", rich_help_panel=READING)(inspect.inspect)
app.command("show", rich_help_panel=READING)(show.show)
app.command("snapshot", rich_help_panel=READING)(snapshot.snapshot)
app.command("adopt", rich_help_panel=FILES)(adopt.adopt)
app.command("validate", rich_help_panel=FILES)(validate.validate)
app.command("schema", rich_help_panel=FILES)(schema.schema)
app.command("hook", hidden=True)(hook.hook)
app.add_typer(sim.sim, name="sim", rich_help_panel=OTHERS)
