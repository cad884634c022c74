"""``reconciler hook``: what libvirt runs when a guest starts and when it is gone (contrib/libvirt-hooks)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli.output import say
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode

if TYPE_CHECKING:
    from reconciler.host.local.reader import LocalReader
    from reconciler.state.desired import Desired

STATE_FILE = Path("/etc/reconciler/host.toml")
TENANTS = Path("/run/reconciler/guests")


def hook(
    domain: Annotated[str, typer.Argument(help="The guest.")],
    operation: Annotated[str, typer.Argument(help="prepare, start, started, stopped, release, reconnect, …")],
    phase: Annotated[str, typer.Argument(help="begin, end or -.")] = "-",
    extra: Annotated[str, typer.Argument(help="Why a guest is gone, or -.")] = "-",
    file: Annotated[Path, typer.Option(help="The state file of this host.")] = STATE_FILE,
) -> int:
    """For libvirt's hook scripts: a guest's VFs get exactly what is declared, and lose it when the guest is gone."""
    if not file.exists():
        return ExitCode.OK
    if (operation, phase) == ("start", "begin"):
        return _start(domain, file)
    if (operation, phase) == ("release", "end"):
        _release(domain, file)
    return ExitCode.OK  # Of all else nothing is asked, and a hook that fails can cost a guest.


def _start(domain: str, file: Path) -> int:
    """Fails only for what keeps the guest to itself: then libvirt doesn't start it, and shows what is said here."""
    from reconciler.apply.hygiene import Tenants, bring
    from reconciler.host.local.writer import LocalWriter
    from reconciler.plan.hygiene import ISOLATION, set_by_libvirt, vfs_of, wanted

    reader = _reader(running=True)
    host = reader.observe()
    vfs = vfs_of(host, domain)
    if not vfs:
        return ExitCode.OK
    targets = wanted(_desired(file), host, vfs)
    given = set_by_libvirt(host, domain)
    tenants = Tenants(TENANTS)
    with tenants.alone():
        tenants.note(domain, vfs)
        values = {vf: target.values | given.get(vf, {}) for vf, target in targets.items()}
        missed = bring(reader, LocalWriter(""), host, values)
    for item in missed:
        say(f"reconciler: {domain}: not as {file} has it: {item}")
    if not any(item.attributes & {*targets[item.vf].declared, *given.get(item.vf, {})} & ISOLATION for item in missed):
        return ExitCode.OK
    say(f"reconciler: {domain} is not started: it would run without the isolation that {file} declares.")
    return ExitCode.FAILED


def _release(domain: str, file: Path) -> None:
    """Only VFs that nobody has by now: a late reset must not hit the next guest. Between libvirt's taking a VF back and
    this it may have been given out anew already; then that guest's start comes after this, and puts it right."""
    from reconciler.apply.hygiene import Tenants, bring
    from reconciler.host.local.writer import LocalWriter
    from reconciler.kinds.holders import find_holders
    from reconciler.plan.hygiene import wanted

    tenants = Tenants(TENANTS)
    with tenants.alone():
        vfs = tenants.had(domain)
        if not vfs:
            return
        reader = _reader(running=False)
        host = reader.observe()
        held = find_holders(host)
        targets = wanted(_desired(file), host, [vf for vf in vfs if vf not in held])
        missed = bring(reader, LocalWriter(""), host, {vf: target.values for vf, target in targets.items()})
        tenants.leave(domain)
    for item in missed:
        say(f"reconciler: after {domain}: {item}")


def _reader(*, running: bool) -> LocalReader:
    from reconciler.host.local.hooked import hook_reader

    try:
        return hook_reader(sys.stdin.read(), running=running)
    except ValueError as error:
        raise ReconcilerError("libvirt's hook passed on no domain.", f"{error}.") from None


def _desired(file: Path) -> Desired:
    """What can't be read can't be kept: the guest's isolation is declared in there, or is not."""
    from reconciler.cli.options import read_file
    from reconciler.state.load import load

    return load(str(file), read_file(str(file)))
