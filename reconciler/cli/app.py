"""The commands, put together."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from reconciler import __version__
from reconciler.cli.options import Color, Options, default_state_dir
from reconciler.cli.output import put


def _version(wanted: bool) -> None:
    if wanted:
        put(f"reconciler {__version__}\n")
        raise typer.Exit


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


SEE, CHANGE, FILES, OTHERS = "See", "Change", "State files", "Without a host"
COMMANDS: dict[str, str | None] = {
    "plan": SEE,
    "apply": CHANGE,
    "confirm": CHANGE,
    "rollback": CHANGE,
    "reset": CHANGE,
    "migrate": CHANGE,
    "install-units": CHANGE,
    "watch": CHANGE,
    "drift": SEE,
    "history": SEE,
    "rehearse": SEE,
    "doctor": SEE,
    "inspect": SEE,
    "show": SEE,
    "snapshot": SEE,
    "adopt": FILES,
    "validate": FILES,
    "schema": FILES,
    "hook": None,
    "sim": OTHERS,
}
"""Each with its panel in the help, in the order of the help; ``None``: not shown. A command is the function of its name
in the module of its name, or a group of that name."""


def command_line(first: str) -> typer.Typer:
    """All commands; only the one that is called if ``first``, the first argument that is no global option, names it: to
    import what all others need would take longer than most of them run."""
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
    app.callback()(options)
    for name in [first] if first in COMMANDS else COMMANDS:
        _add(app, name, COMMANDS[name])
    return app


def _add(app: typer.Typer, name: str, panel: str | None) -> None:
    own = name.replace("-", "_")
    command = getattr(import_module(f"reconciler.cli.{own}"), own)
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=name, rich_help_panel=panel)
    else:
        app.command(name, rich_help_panel=panel, hidden=panel is None)(command)
