"""``reconciler confirm``, and the countdown of ``apply --confirm-within``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from reconciler.cli.interrupts import Interrupts, interruptible
from reconciler.cli.options import Options, need_root
from reconciler.cli.output import put, say
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode

if TYPE_CHECKING:
    from reconciler.apply.confirm import Countdown
    from reconciler.apply.run import RunResult
    from reconciler.apply.runs import RecordedRun
    from reconciler.plan.confirm import Halves


def confirm(context: typer.Context) -> int:
    """Keep what was applied with --confirm-within, and write what outlasts a reboot."""
    from reconciler.apply.confirm import confirm_run
    from reconciler.apply.lock import locked
    from reconciler.clock import now
    from reconciler.host.local.timer import disarm
    from reconciler.host.open import open_writer
    from reconciler.report.progress import make_progress
    from reconciler.state.serial import desired_from_json

    options: Options = context.obj
    interruptible()
    writer = open_writer(options.host, options.libvirt)
    need_root(options)
    with locked("confirm", now(), options.lock):
        last = _waiting(options)
        desired = desired_from_json(last.later().desired)
        reader = options.reader(desired)
        observed = options.observe(reader)
        if last.header.get("boot_id") != observed.host.boot_id:
            raise ReconcilerError(
                "The host was rebooted since.",
                f"What run {last.name} did is gone with that boot, and nothing of it was lasting: apply again.",
                code=ExitCode.STALE,
            )
        interrupts = Interrupts("so are all others, since it is confirmed")
        result = confirm_run(
            last,
            desired,
            observed,
            reader=reader,
            writer=writer,
            state_dir=options.state_dir,
            progress=make_progress(sys.stderr, color=options.colored(sys.stderr)),
            disarm=disarm,
            entered=interrupts.enter,
        )
        interrupts.over(result.code)
    return _show(last, result)


def _waiting(options: Options) -> RecordedRun:
    from reconciler.apply.runs import last_run

    last = last_run(options.state_dir)
    if last is None or not last.waits:
        why = "No run is on record." if last is None else f"The last run, {last.name}, {_settled(last, options)}."
        if last is not None and last.damage:
            why += f" Its record is damaged: {'; '.join(last.damage)}."
        raise ReconcilerError("Nothing waits for a confirmation.", why, code=ExitCode.FAILED)
    return last


def _settled(last: RecordedRun, options: Options) -> str:
    if last.settled == "confirmed":
        return "is confirmed"
    if last.partly_back:
        again = options.command("rollback")
        return f"takes run {last.header['undoes']} back and left something to do: {again} goes on with it"
    return "was taken back" if last.settled or "undoes" in last.header else "was not to be confirmed"


def _show(last: RecordedRun, result: RunResult) -> int:
    if result.code == ExitCode.OK:
        put(f"Confirmed: run {last.name} stays, and outlasts a reboot.\n")
        return ExitCode.OK
    for outcome in result.outcomes:
        if outcome.error:
            say(f"Error: {outcome.id}: {outcome.error}")
    for item in result.unmet:
        say(f"Error: Not converged: {item}.")
    say(f"Run {last.name} is confirmed and stays, but not all of it outlasts a reboot: solve this and apply again.")
    return ExitCode.PARTIAL


def countdown(options: Options, seconds: int) -> Countdown:
    """The timer that takes a run back."""
    from reconciler.apply.confirm import Countdown
    from reconciler.host.local.timer import arm, disarm

    if options.host != "local":
        raise ReconcilerError(
            "A simulated host has no timer.", "--confirm-within takes systemd, on the host itself.", code=ExitCode.USAGE
        )

    def command(unit: str) -> list[str]:
        where = ["--libvirt", options.libvirt, "--state-dir", str(options.state_dir.absolute())]
        return [sys.executable, "-m", "reconciler", *where, "rollback", "--yes", "--unconfirmed", unit]

    return Countdown(seconds, arm, disarm, command)


def tell_waiting(options: Options, timer: Countdown, halves: Halves, result: RunResult) -> None:
    """What the user has to do now, and what waits for it; after a failure, what the timer will do."""
    if result.code == ExitCode.PARTIAL:
        say(f"{timer.told} At once: {options.command('rollback')}")
    elif result.code != ExitCode.OK:
        timer.stop()
    else:
        lasting = dict.fromkeys(f"{a.op} of {a.address}" for a in halves.later if not a.args.get("until_reboot"))
        if lasting:
            put("\nWritten when it is confirmed, and not before:\n" + "".join(f"  {item}\n" for item in lasting))
        put(f"\nTo keep it, within {timer.left} s, from any login:\n    {options.command('confirm')}\n")
        put("Otherwise all of it is taken back.\n")
