"""``reconciler install-units``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.options import Options, need_root
from reconciler.cli.output import put
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode

_STATE_FILE = Path("/etc/reconciler/host.toml")


def install_units(
    context: typer.Context,
    remove: Annotated[bool, typer.Option("--remove", help="Take them away again.")] = False,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            metavar="FILE",
            help=f"The state file that they use. Without it: as they are installed, else {_STATE_FILE}.",
        ),
    ] = None,
) -> int:
    """Put the units of systemd in place: host.toml is applied at boot. --remove takes them away."""
    from reconciler.host.local import units

    options: Options = context.obj
    if options.host != "local":
        raise ReconcilerError("Wrong usage.", "Units are installed on this machine: without --host.", code=64)
    need_root(options)
    root = Path("/")
    units.need_systemd(root)
    program = ["/usr/bin/reconciler"] if remove else units.find_program(sys.argv[0])
    state_file = os.path.abspath(file or units.installed_state_file(root) or _STATE_FILE)
    files = units.unit_files(root, program, state_file)
    if not remove:
        _need_reach(units.out_of_reach(program, state_file))
    strangers = units.not_ours(files)
    if strangers and not remove:
        raise ReconcilerError(
            "Somebody else's files are in the way.",
            "\n  ".join(["Nothing was changed.", *strangers, "Move them away, and install again."]),
            code=ExitCode.FAILED,
        )
    done = units.remove(files) if remove else units.install(root, files)
    told = [*done, *(f"Left: {stranger}" for stranger in strangers)]
    put("\n".join(told or ["Nothing to do: there are none of ours." if remove else "Nothing to do: all are in place."]))
    put("\n")
    if not remove:
        _tell_of_libvirt(root)
    if not remove and state_file != str(_STATE_FILE):
        put(f"They use the state file {state_file}.\n")
    if not remove and not Path(state_file).exists():
        put(f"They do nothing until there is a state file: {state_file}.\n")
    return ExitCode.OK


def _need_reach(hidden: list[str]) -> None:
    """At boot root would find all of it, and the drift unit none of it, each quarter of an hour."""
    if hidden:
        raise ReconcilerError(
            "The drift unit could not read all that it needs.",
            "\n  ".join(
                [
                    "Nothing was changed. It sees neither home folders nor temporary ones (ProtectHome=, PrivateTmp=).",
                    *(f"{sentence[0].upper()}{sentence[1:]}." for sentence in hidden),
                    "Install the program for the whole system, such as with pipx install --global or in a virtual "
                    "environment below /opt, and keep the state file in /etc/reconciler.",
                ]
            ),
            code=ExitCode.FAILED,
        )


def _tell_of_libvirt(root: Path) -> None:
    """Whether autostart of networks and guests takes place at boot at all, which is libvirt's part."""
    from reconciler.host.local.distribution import libvirt_daemons, usual_libvirt

    if not libvirt_daemons(root):
        put(
            "Note: No daemon of libvirt is enabled, so guests marked autostart wait until somebody asks libvirt "
            "something, as reconciler-guests.service does. To have them started at once: "
            f"systemctl enable {usual_libvirt(root)[0]}.service\n"
        )
