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
    file: Annotated[Path, typer.Option("--file", metavar="FILE", help="The state file that they use.")] = _STATE_FILE,
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
    files = units.unit_files(root, program, os.path.abspath(file))
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
    if not remove and not file.exists():
        put(f"They do nothing until there is a state file: {file}.\n")
    return ExitCode.OK


def _tell_of_libvirt(root: Path) -> None:
    """Whether autostart of networks and guests takes place at boot at all, which is libvirt's part."""
    from reconciler.host.local.distribution import libvirt_daemons, usual_libvirt

    if not libvirt_daemons(root):
        put(
            "Note: No daemon of libvirt is enabled, so guests marked autostart wait until somebody asks libvirt "
            "something, as reconciler-guests.service does. To have them started at once: "
            f"systemctl enable {usual_libvirt(root)[0]}.service\n"
        )
