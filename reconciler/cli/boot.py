"""What an apply does for the units of the boot: it waits for what is not there yet, and tells systemd how it went.

Started by anybody else it tells nobody, and all else is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.cli.interrupts import Interrupted
from reconciler.cli.output import say
from reconciler.diagnostics import ReconcilerError, StateFileError
from reconciler.exit_codes import ExitCode
from reconciler.host.local.service_manager import is_heard, take_longer, tell_status

if TYPE_CHECKING:
    from reconciler.cli.options import Options
    from reconciler.host.model import Snapshot
    from reconciler.host.protocol import Reader
    from reconciler.plan.document import Plan, Source
    from reconciler.report.progress import Outcome, Progress
    from reconciler.state.desired import Desired

FILES = "files"
"""In place of libvirt's URI: it is not asked, and its definitions are read from its files."""
_MARGIN = 120.0
"""Seconds beyond what a step may take: for reading the host before and after it."""


def early_targets(desired: Desired) -> list[str]:
    """The addresses that --early is about: of pools and domains what is the kernel's, VFs for NICs. Services would wait
    for the boot that waits for us, and huge pages are made by systemd-tmpfiles; the initramfs has time until later."""
    from reconciler.state.address import address

    modules = {"blacklist": desired.blacklist, "load": desired.load}
    return [
        *(address("modules", name) for name, value in modules.items() if value is not None),
        *(address("pf", name) for name in desired.pfs),
        *(address("pool", name) for name in desired.pools),
        *(address("domain", name) for name in desired.domains),
    ]


def late_targets(options: Options, desired: Desired) -> list[str]:
    """The addresses that --wait-for-libvirt is about, none for all: without services that systemd is yet to start in
    this boot by itself. These may be ordered after the unit that waits for them here."""
    from reconciler.host.local.child import NoAnswer
    from reconciler.host.local.systemd import queued
    from reconciler.state.address import address

    try:
        left = queued(Path("/"), desired.services) if options.host == "local" else []
    except (OSError, NoAnswer):
        left = []  # Reading the services says what is wrong.
    if not left:
        return []
    say(f"Note: systemd starts these in this boot: {', '.join(address('services', name) for name in left)}.")
    return [
        *([address("kernel", "cmdline")] if desired.cmdline is not None else []),
        *early_targets(desired),
        *(address("services", name) for name in desired.services if name not in left),
        *(address("hugepages", size) for size in desired.hugepages),
    ]


def state_to_apply(options: Options, desired: Desired, source: Source) -> tuple[Desired, Source, str]:
    """What the boot is to apply, where it is from, and a sentence if that is not the file: one with what was to be
    confirmed and was not would bring back what locked its user out, and nobody could take it back. The last state that
    was kept takes its place: guests need their VFs. Raises `ReconcilerError` 5 when none is on record."""
    from reconciler.apply.unconfirmed import kept_plan, unconfirmed_run
    from reconciler.state.serial import desired_from_json, desired_to_json

    waiting = unconfirmed_run(options.state_dir)
    if waiting is None:
        return desired, source, ""
    kept = kept_plan(options.state_dir, source.path)
    if kept is not None and desired_to_json(desired) == desired_to_json(desired_from_json(kept.desired)):
        return desired, source, ""
    why = f"run {waiting.name} was to be confirmed, and nobody did"
    way_out = f"To apply the file: {options.command('apply', source.path)}"
    if kept is None:
        raise ReconcilerError(
            "Refused.",
            f"Nothing was changed. What {source.path} declares is not known to work: {why}, and no state of this file "
            f"that stayed is on record. {way_out}",
            code=ExitCode.REFUSED,
        )
    told = f"{source.path} as it was applied at {kept.created_at}, since {why}"
    say(f"Warning: This applies {told}. {way_out}")
    return desired_from_json(kept.desired), replace(kept.source, path=source.path), told


def refuse_beside_guests(root: Path = Path("/")) -> None:
    """Without libvirt every guest counts as off, so --early is not for a host whose guests run. Raises
    `ReconcilerError` 5."""
    from reconciler.host.local.arrival import running_guests

    guests = running_guests(root)
    if guests:
        raise ReconcilerError(
            "Refused.",
            f"Nothing was changed. --early is for the boot, before guests run, and takes them for off; these run: "
            f"{', '.join(guests)}. Apply without --early.",
            code=ExitCode.REFUSED,
        )


@contextmanager
def failure_told() -> Iterator[None]:
    """Tells systemd of an error that ends the apply: what the status line says otherwise is of the last step."""
    try:
        yield
    except ReconcilerError as error:
        begun = error.code in (ExitCode.PARTIAL, ExitCode.ROLLED_BACK)
        tell_status(f"{'Failed' if begun else 'Nothing was done'}: {_why(error)}")
        raise
    except (KeyboardInterrupt, Interrupted):
        tell_status("Nothing was done: it was interrupted")
        raise
    except Exception as error:
        tell_status(f"Failed: this is a fault in reconciler ({type(error).__name__}: {error})")
        raise


def _why(error: ReconcilerError) -> str:
    if isinstance(error, StateFileError):
        from reconciler.state.errors import format_error

        return "; ".join(format_error(diagnostic) for diagnostic in error.diagnostics)
    return f"{error.summary} {error.detail}".rstrip()


def await_cards(desired: Desired, reader: Reader) -> None:
    """Waits for the PFs that the file declares, as long as any more may come."""
    from reconciler.host.local.arrival import CARDS_AT_MOST, wait_for_cards
    from reconciler.host.local.reader import LocalReader
    from reconciler.kinds.match import match_pfs

    told: list[str] = []

    def complete(host: Snapshot) -> bool:
        found = match_pfs(desired, host)[0]
        missing = [f"pf.{name}" for name in desired.pfs if name not in found]
        if missing and missing != told:
            tell_status(f"Waiting for cards: {', '.join(missing)}")
            told[:] = missing
        return not missing

    take_longer(CARDS_AT_MOST + _MARGIN)
    if isinstance(reader, LocalReader):
        wait_for_cards(reader, complete)


def await_libvirt(options: Any, desired: Desired, seconds: int) -> None:
    """Waits for an answer of libvirt, if the file declares anything of it. Without one the apply says what it lacks."""
    from reconciler.host.local.arrival import wait_for_libvirt

    if options.host == "local" and (desired.pools or desired.domains):
        tell_status("Waiting for libvirt, which starts its networks and guests")
        take_longer(seconds + _MARGIN)
        why = wait_for_libvirt(options.libvirt, seconds)
        if why:
            say(f"Warning: {why}")


class _Telling:
    """Passes on what an apply tells of its progress, and tells systemd what it is at and for how long: so the unit's
    time grows with the number of steps, and that of a step with the number of VFs."""

    def __init__(self, inner: Progress) -> None:
        self._inner = inner
        self._total = self._done = 0

    def start(self, total: int) -> None:
        self._total, self._done = total, 0
        take_longer(_MARGIN)
        self._inner.start(total)

    def begin(self, action: dict[str, Any]) -> None:
        from reconciler.kinds.operations import OPERATIONS

        take_longer(OPERATIONS[action["op"]].deadline(action["args"]) + _MARGIN)
        tell_status(f"Step {self._done + 1} of {self._total}: {action['op']} of {action['address']}")
        self._inner.begin(action)

    def end(self, action_id: str, outcome: Outcome, seconds: float, error: str = "") -> None:
        self._done += 1
        self._inner.end(action_id, outcome, seconds, error)

    def finish(self) -> None:
        take_longer(_MARGIN)
        self._inner.finish()


def telling(inner: Progress) -> Progress:
    """Progress that systemd is told of, too, if it is there to be told."""
    return _Telling(inner) if is_heard() else inner


def tell_nothing(why: str) -> int:
    """Nothing is to be done: why. Returns the exit code."""
    say(why)
    tell_status(why)
    return ExitCode.OK


def tell_blocked(plan: Plan) -> None:
    """Nothing is done: why."""
    errors = [d for d in plan.diagnostics if d.severity == "error"]
    tell_status("Nothing was done: " + "; ".join(f"{d.address or 'the host'}: {d.summary}" for d in errors))


def tell_end(
    plan: Plan, desired: Desired, host: Snapshot | None, outcomes: Mapping[str, str], instead: str = ""
) -> None:
    """How many VFs there are of those that are declared, what failed, and what was left out. ``host``: as it is now;
    ``outcomes``: by the id of the action; ``instead``: what was applied in place of the file."""
    parts = [_count(desired, host)] if host is not None else ["The host could not be read again"]
    parts += [f"NOT THE FILE, but {instead}"] if instead else []
    failed = [a.address for a in plan.actions if outcomes.get(a.id) == "failed"]
    skipped = [a.address for a in plan.actions if outcomes.get(a.id) == "skipped"]
    later = [d for d in plan.diagnostics if d.code == "left-for-later"]
    why = {d.address: d.summary.rstrip(".") for d in plan.diagnostics if d.severity in ("warning", "error")}
    for label, addresses in (("FAILED", failed), ("not done after that", skipped), ("left out", plan.dropped)):
        told = [f"{item} ({why[item]})" if item in why else item for item in _folded(addresses)]
        if told:
            parts.append(f"{label}: {', '.join(told)}")
    if later:
        parts.append("the rest once libvirt runs")
    tell_status("; ".join(parts))


def _folded(addresses: list[str]) -> list[str]:
    """Without those inside another one of them."""
    known = dict.fromkeys(addresses)
    return [item for item in known if not any(item.startswith(f"{other}.") for other in known)]


def _count(desired: Desired, host: Snapshot) -> str:
    from reconciler.kinds.match import match_pfs

    found = match_pfs(desired, host)[0]
    wanted = {name: pf.vfs for name, pf in desired.pfs.items() if pf.vfs is not None}
    there = sum(min(host.pfs[found[name]].num_vfs or 0, count) for name, count in wanted.items() if name in found)
    return f"VFs: {there} of {sum(wanted.values())}"
