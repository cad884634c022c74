"""``reconciler sim``: makes simulated hosts, and does to them what somebody would do to a real one."""

from __future__ import annotations

import errno as errors
import math
from pathlib import Path
from typing import Annotated, Literal

import typer

from reconciler.cli.options import read_file, write_new
from reconciler.cli.output import put, say
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode

sim = typer.Typer(
    help="Simulated hosts, each kept in a file: make one, work on it with --host sim:FILE, and meddle with it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="A simulated host's file.")]


@sim.command()
def new(
    file: File,
    profile: Annotated[str, typer.Option(metavar="NAME|PATH", help="A kind of host: reconciler sim profiles.")] = "",
    snapshot: Annotated[str, typer.Option(metavar="FILE", help="A recorded host: reconciler snapshot -o FILE.")] = "",
    pace: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How long each of its seconds lasts, for whoever watches.")
    ] = 0.0,
) -> int:
    """Make a simulated host. Never overwrites."""
    from reconciler.host.snapshot import load
    from reconciler.host.twin.check import check
    from reconciler.host.twin.make import from_snapshot
    from reconciler.host.twin.profiles import make_from
    from reconciler.host.twin.state import dump

    if bool(profile) == bool(snapshot):
        raise _wrong("Give one of --profile and --snapshot: what the simulated host is made from.")
    if not math.isfinite(pace):
        raise _wrong(f"--pace {pace}: it is a number of seconds.")
    twin = make_from(profile) if profile else from_snapshot(load(read_file(snapshot), snapshot))
    twin.pace = pace
    check(twin, profile or snapshot, "The profile can't be used." if profile else "The snapshot can't be simulated.")
    write_new(file, dump(twin), overwrite=False)
    say(f"Made {file} from the {twin.origin}. Look at it: reconciler --host sim:{file} inspect")
    return ExitCode.OK


@sim.command()
def profiles() -> int:
    """List the kinds of hosts that come with the package."""
    from reconciler.host.twin.profiles import packaged

    listed = packaged()
    width = max(map(len, listed))
    put("".join(f"{name:{width}}  {title}\n" for name, title in listed.items()))
    return ExitCode.OK


@sim.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def run(
    file: File,
    command: Annotated[
        list[str], typer.Argument(metavar="COMMAND", help="As in a shell; one with a > in it as one argument.")
    ],
) -> int:
    """Do to the simulated host what an operator's command would do: ip link set, echo N > …/sriov_numvfs, modprobe,
    virsh, reboot; pull DEV takes a card out, cable DEV out its cable."""
    from reconciler.host.open import open_sim
    from reconciler.host.twin.hands import KNOWN
    from reconciler.host.twin.hands import run as do
    from reconciler.host.twin.ip_link import Usage

    host = open_sim(file)
    try:
        result = do(host, command[0] if len(command) == 1 else command)
    except Usage as error:
        known = "".join(f"\n  {form}" for form in KNOWN)
        raise _wrong(f"{error} Nothing was changed. What can be done:{known}") from None
    if result.message:
        say(result.message)
    return ExitCode.OK if result.ok else ExitCode.FAILED


@sim.command()
def fault(
    file: File,
    at: Annotated[int, typer.Option(metavar="N", min=0, help="At the N-th write from now on.")] = 0,
    errno: Annotated[str, typer.Option(metavar="NAME", help="The write fails with this error: EIO.")] = "",
    hang: Annotated[bool, typer.Option("--hang", help="The write doesn't come back.")] = False,
    crash: Annotated[bool, typer.Option("--crash", help="The process is killed before the write.")] = False,
    do: Annotated[str, typer.Option(metavar="COMMAND", help="Somebody does this then, as with sim run.")] = "",
    after: Annotated[bool, typer.Option("--after", help="After the write took effect, and not before it.")] = False,
    clear: Annotated[bool, typer.Option("--clear", help="Take all faults back; what hangs comes back.")] = False,
) -> int:
    """Let a write to the simulated host go wrong, or something happen in the middle of it."""
    from reconciler.host.open import open_sim
    from reconciler.host.twin import faults, hands
    from reconciler.host.twin.state import Fault

    kinds = {"errno": bool(errno), "hang": hang, "crash": crash, "do": bool(do)}
    if clear:
        if any(kinds.values()) or at:
            raise _wrong("--clear stands alone.")
        with open_sim(file).changing() as twin:
            faults.clear(twin)
        return ExitCode.OK
    if sum(kinds.values()) != 1 or not at:
        raise _wrong("Give --at N with one of --errno NAME, --hang, --crash and --do COMMAND, [--after]; or --clear.")
    if do and not hands.is_known(do):
        raise _wrong(f"--do {do!r}: not something that can be done to a simulated host.")
    number = _number(errno) if errno else 0
    kind: Literal["errno", "hang", "crash", "do"] = "errno" if errno else "hang" if hang else "crash" if crash else "do"
    with open_sim(file).changing() as twin:
        faults.inject(twin, Fault(at, kind, number, after, do))
    return ExitCode.OK


def _number(name: str) -> int:
    number = getattr(errors, name.upper(), None)
    if not isinstance(number, int):
        raise _wrong(f"--errno {name}: there is no such error. It is a name as in errno(3): EIO, EBUSY, EINVAL, …")
    return number


def _wrong(detail: str) -> ReconcilerError:
    return ReconcilerError("Wrong usage.", detail, code=ExitCode.USAGE)
