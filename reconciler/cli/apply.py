"""``reconciler apply``."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli.boot import (
    FILES,
    await_cards,
    await_libvirt,
    early_targets,
    failure_told,
    late_targets,
    refuse_beside_guests,
    state_to_apply,
    tell_blocked,
    tell_end,
    tell_nothing,
    telling,
)
from reconciler.cli.earlier import look_at_earlier, note_open_end
from reconciler.cli.interrupts import Interrupts, interruptible
from reconciler.cli.options import Options, load_state, need_root, read_file
from reconciler.cli.output import put, say
from reconciler.cli.planned import exit_code
from reconciler.cli.saved import fresh_plan, note_moved, note_origin, same_machine
from reconciler.cli.several import note_taken_over
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from reconciler.apply.confirm import Countdown
    from reconciler.apply.run import RunResult
    from reconciler.host.model import Snapshot
    from reconciler.host.protocol import Reader
    from reconciler.plan.confirm import Halves
    from reconciler.plan.document import Plan
    from reconciler.state.desired import Desired, Disruption


class OnError(StrEnum):
    """What follows a failure or an interrupt."""

    STOP = "stop"
    ROLLBACK = "rollback"


class DisruptionClass(StrEnum):
    """What --allow takes."""

    NONE = "none"
    VF_TRAFFIC = "vf-traffic"
    VF_RESET = "vf-reset"
    GUEST = "guest"
    MANAGEMENT = "management"


@dataclass(frozen=True, slots=True)
class Scope:
    """What of a state file is to be carried out, and when."""

    targets: list[str]
    partial: bool
    early: bool
    wait_for_libvirt: int

    @property
    def at_boot(self) -> bool:
        """Whether it is for the boot, where nobody can confirm anything."""
        return self.early or self.wait_for_libvirt > 0


@dataclass(frozen=True, slots=True)
class Manner:
    """How a plan is to be carried out."""

    allow: list[DisruptionClass]
    on_error: OnError | None
    """``None``: a failure stops, and an interrupt takes all back."""
    confirm_within: int | None = None
    resets: str = ""
    """The VFs that are put back to their driver's defaults, when that is all it is about."""
    at_boot: bool = False
    """A unit of the boot carries it out."""
    instead: str = ""
    """What is applied in place of the file."""

    @property
    def about(self) -> dict[str, str]:
        """What is to be on record of the run."""
        from reconciler.apply.unconfirmed import BOOT

        return ({"resets": self.resets} if self.resets else {}) | ({BOOT: "yes"} if self.at_boot else {})

    @property
    def allowed(self) -> list[Disruption]:
        """The classes by their names."""
        return [item.value for item in self.allow]


def apply(
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="FILE|PLAN", help="A state file, or a plan saved with plan -o.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    allow: Annotated[
        list[DisruptionClass] | None,
        typer.Option("--allow", help="Allow disruption up to this class."),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", metavar="ADDRESS", help="Only this and what it depends on."),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Leave out what has an error and do the rest; exit 4 then.")
    ] = False,
    on_error: Annotated[
        OnError | None,
        typer.Option(
            "--on-error",
            help="After a failure or an interrupt: stop there, or take all back. Without it a failure stops, and an "
            "interrupt takes all back.",
        ),
    ] = None,
    confirm_within: Annotated[
        int | None,
        typer.Option(metavar="SECONDS", min=5, help="Take all back unless reconciler confirm is run in that time."),
    ] = None,
    early: Annotated[
        bool,
        typer.Option(
            "--early",
            help="For the boot: waits for the cards, and does what can be done before the network and libvirt are "
            "there: modules, PFs, VFs. libvirt is not asked.",
        ),
    ] = False,
    wait_for_libvirt: Annotated[
        int,
        typer.Option(metavar="SECONDS", min=0, help="For the boot: wait so long for libvirt to answer."),
    ] = 0,
) -> int:
    """Carry the plan out, verify each step, and record it. Shows the plan and asks first, unless --yes."""
    options: Options = context.obj
    interruptible()
    manner = Manner(allow or [], on_error, confirm_within)
    data = read_file(what)
    if data.lstrip()[:1] == b"{":
        if target or partial or early or wait_for_libvirt:
            raise ReconcilerError(
                "Wrong usage.",
                "A saved plan is applied as it is: without --target, --partial, --early and --wait-for-libvirt.",
                code=ExitCode.USAGE,
            )
        return _apply_saved(options, what, data, manner)
    if early and (target or wait_for_libvirt or options.host != "local"):
        raise ReconcilerError(
            "Wrong usage.",
            "--early is for the boot of this machine: without --target, --wait-for-libvirt and another --host.",
            code=ExitCode.USAGE,
        )
    scope = Scope(target or [], partial, early, wait_for_libvirt)
    if scope.at_boot and confirm_within is not None:
        raise ReconcilerError(
            "Wrong usage.",
            "At boot nobody is there to confirm: --confirm-within goes without --early and --wait-for-libvirt.",
            code=ExitCode.USAGE,
        )
    with failure_told():
        return _apply_file(options, what, data, yes, manner, scope)


def _apply_file(
    options: Options,
    path: str,
    data: bytes,
    yes: bool,
    manner: Manner,
    scope: Scope,
) -> int:
    from reconciler.clock import now
    from reconciler.plan.planner import make_plan

    desired, source = load_state(path, data)
    targets = scope.targets
    if scope.at_boot:
        desired, source, instead = state_to_apply(options, desired, source)
        manner = replace(manner, at_boot=True, instead=instead)
    if scope.early:
        refuse_beside_guests()
        options, targets = replace(options, libvirt=FILES), early_targets(desired)
    reader = options.reader(desired, early=scope.early)
    refuse_recorded(options)
    if scope.early:
        if not targets:
            return tell_nothing("Nothing of this file can be done early in boot.")
        await_cards(desired, reader)
    elif scope.wait_for_libvirt:
        await_libvirt(options, desired, scope.wait_for_libvirt)
        targets = targets or late_targets(options, desired)
    observed = options.observe(reader)
    plan = make_plan(desired, observed, source=source, created_at=now(), targets=targets, partial=scope.partial)
    show_plan(options, plan)
    if plan.verdict == "blocked":
        tell_blocked(plan)
        return exit_code(plan)
    note_taken_over(options, plan, desired, observed)
    guard(plan, desired, observed, manner)
    if not plan.actions:
        return _nothing_to_do(options, plan, desired, observed, manner.instead)
    need_root(options)
    if not yes and not ask():
        say("Declined. Nothing was changed.")
        return ExitCode.FAILED
    return locked_run(options, reader, plan, plan, desired, manner, "Apply again to see what would be done now.")


def _apply_saved(options: Options, path: str, data: bytes, manner: Manner) -> int:
    from reconciler.plan.document import load_plan
    from reconciler.state.serial import desired_from_json

    plan = load_plan(data, path)
    desired = desired_from_json(plan.desired)
    refuse_recorded(options)
    if plan.verdict == "blocked":
        show_plan(options, plan)
        return exit_code(plan)
    reader = options.reader(desired)
    observed = options.observe(reader)
    same_machine(plan, observed)
    note_origin(plan)
    again = f"Look at the host, and make a new plan: reconciler plan {plan.source.path or 'FILE'} -o PLAN"
    fresh = fresh_plan(plan, desired, observed, again)
    note_moved(plan, fresh)
    show_plan(options, fresh)
    note_taken_over(options, fresh, desired, observed)
    guard(fresh, desired, observed, manner)
    if not fresh.actions:
        return _nothing_to_do(options, fresh, desired, observed)
    need_root(options)
    return locked_run(options, reader, plan, fresh, desired, manner, again)


def _nothing_to_do(options: Options, plan: Plan, desired: Desired, observed: Snapshot, instead: str = "") -> int:
    """Only the ledger may have to learn what was found already right: no more than a record, so a lock that is held
    doesn't fail it."""
    from reconciler.apply.in_sync import note_in_sync

    def lock() -> AbstractContextManager[None]:
        from reconciler.apply.lock import locked
        from reconciler.clock import now

        return locked(_who(plan), now(), options.lock)

    note_open_end(options, observed)
    whole = not plan.targets and not plan.dropped
    try:
        aside = note_in_sync(desired, observed, options.state_dir, lock, whole=whole)
        if aside:
            say(f"Note: The ledger that could not be used is now {aside}.")
    except ReconcilerError as error:
        kind = "Note" if error.code == ExitCode.LOCKED else "Warning"
        say(f"{kind}: What was found already right is not recorded. {error.summary} {error.detail}")
    tell_end(plan, desired, observed, {}, instead)
    return ExitCode.PARTIAL if plan.dropped else ExitCode.OK


def _who(plan: Plan, resets: str = "") -> str:
    return f"reset {resets}" if resets else f"apply {plan.source.path or 'of a saved plan'}"


def show_plan(options: Options, plan: Plan) -> None:
    """The plan in full."""
    from reconciler.plan.document import plan_to_json
    from reconciler.report.plan_text import render_plan

    put(render_plan(plan_to_json(plan), color=options.colored(sys.stdout), command="", width=options.width()))


def refuse_recorded(options: Options) -> None:
    """A recorded host can't be changed: said before anything else."""
    from reconciler.host import open as hosts

    hosts.refuse_recorded(options.host)


_SAVED = "Use --yes, or save a plan with: reconciler plan FILE -o PLAN, and apply that."


def ask(question: str = "Carry this out?", otherwise: str = _SAVED) -> bool:
    """Whether the user wants it. Raises `ReconcilerError` (64) when there is nobody to be asked; ``otherwise``: what to
    do then."""
    if not sys.stdin.isatty():
        raise ReconcilerError(
            "Nobody is there to be asked.",
            f"There is no terminal. {otherwise} Nothing was changed.",
            code=ExitCode.USAGE,
        )
    with contextlib.suppress(OSError):
        print(f"\n{question} Only 'yes' is taken as an answer: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() == "yes"


def guard(plan: Plan, desired: Desired, observed: Snapshot, manner: Manner) -> None:
    """Refuses what is not allowed (5). The plan has been shown in full."""
    from reconciler.plan.guards import way_out

    found = _refusals(plan, desired, observed, manner)
    if found:
        told = ["Nothing was changed.", *dict.fromkeys(found)]
        needed, meaning = way_out(plan, desired, manner.allowed) or ("guest" if manner.resets else "", "")
        told += [f"Of class {needed}: {meaning}."] if meaning else []
        told += [f"To do it all the same: --allow {needed}"] if needed else []
        raise ReconcilerError("Refused.", "\n  ".join(told), code=ExitCode.REFUSED)


def _refusals(plan: Plan, desired: Desired, observed: Snapshot, manner: Manner) -> list[str]:
    from reconciler.disruption import severity
    from reconciler.plan.guards import refusals

    found = refusals(plan, desired, observed, manner.allowed)
    if manner.resets and all(severity(item) < severity("guest") for item in manner.allowed):
        from reconciler.plan.reset import held

        found += held(observed, desired)  # Whoever has a VF would lose what he lives by, such as its MAC.
    return found


def locked_run(
    options: Options, reader: Reader, approved: Plan, shown: Plan, desired: Desired, manner: Manner, again: str
) -> int:
    """Under the lock the host is read again: what is carried out is the fresh plan, which the approved one covers.
    ``again``: what to do when it doesn't any more."""
    from reconciler.apply.lock import locked
    from reconciler.apply.run import carry_out
    from reconciler.clock import now
    from reconciler.host.open import open_writer
    from reconciler.report.progress import make_progress

    with locked(_who(approved, manner.resets), now(), options.lock):
        observed = options.observe(reader)
        look_at_earlier(options, observed)
        plan = fresh_plan(approved, desired, observed, again)
        note_moved(shown, plan)
        if _refusals(plan, desired, observed, manner):
            show_plan(options, plan)  # It is no longer the one that was shown.
        guard(plan, desired, observed, manner)
        writer = open_writer(options.host, options.libvirt)
        progress = telling(make_progress(sys.stderr, color=options.colored(sys.stderr)))
        timer, halves = _to_be_confirmed(options, plan, manner)
        on_interrupt = manner.on_error or OnError.ROLLBACK
        interrupts = Interrupts(_THEN[on_interrupt], armed=lambda: timer.told if timer is not None else "")
        result = carry_out(
            plan,
            desired,
            observed,
            reader=reader,
            writer=writer,
            state_dir=options.state_dir,
            progress=progress,
            stopped=interrupts.asked,
            on_error=(manner.on_error or OnError.STOP).value,
            on_interrupt=on_interrupt.value,
            entered=interrupts.enter,
            halves=halves,
            arm=timer.start if timer is not None else None,
            about=manner.about,
        )
        if timer is not None and result.code == ExitCode.OK:
            _begin_again(timer, options, result)
        code = ExitCode.PARTIAL if plan.dropped and result.code == ExitCode.OK else result.code
        tell_end(plan, desired, result.after, {o.id: o.outcome for o in result.outcomes}, manner.instead)
        interrupts.over(code)
    if halves is not None:
        plan = replace(plan, actions=halves.now)
    _show_result(options, plan, result)
    if timer is not None and halves is not None:
        from reconciler.cli.confirm import tell_waiting

        tell_waiting(options, timer, halves, result)
    return code


_THEN = {OnError.STOP: "no other is begun", OnError.ROLLBACK: "what was done is taken back"}
"""What follows an interrupt."""


def _begin_again(timer: Countdown, options: Options, result: RunResult) -> None:
    """The seconds count from the end of the run on; if that can't be had, perhaps from its beginning."""
    try:
        timer.begin_again(options.state_dir / "runs" / result.run, result.run)
    except ReconcilerError as error:
        result.warnings.append(
            f"The time may count from the beginning of the run on, so that all may be taken back at {timer.at} "
            f"already. {error.summary} {error.detail}"
        )


def _to_be_confirmed(options: Options, plan: Plan, manner: Manner) -> tuple[Countdown | None, Halves | None]:
    """The timer and the halves of a plan that is to be confirmed, all of whose steps have a way back."""
    from reconciler.plan.confirm import halves_of, without_way_back

    if manner.confirm_within is None:
        return None, None
    from reconciler.cli.confirm import countdown

    timer = countdown(options, manner.confirm_within)
    final = without_way_back(plan.actions)
    if final:
        raise ReconcilerError(
            "Refused.",
            "\n  ".join(["Nothing was changed. What can't be taken back can't wait for a confirmation:", *final]),
            code=ExitCode.REFUSED,
        )
    return timer, halves_of(plan.actions)


def _show_result(options: Options, plan: Plan, result: RunResult) -> None:
    """Nothing here may change the exit code any more."""
    from reconciler.plan.document import plan_to_json
    from reconciler.report.apply_text import render_result

    try:
        text = render_result(
            plan_to_json(plan),
            _outcomes(plan, result),
            unmet=result.unmet,
            color=options.colored(sys.stdout),
            width=options.width(),
        )
        put(text, done=True)
    except Exception as error:  # noqa: BLE001
        say(f"Error: The result can't be shown. {type(error).__name__}: {error}. It is in run {result.run}.")
    for warning in result.warnings:
        say(f"Warning: {warning}")
    what = "Not converged" if result.rollback is None else "Not as it was before"
    for item in result.unmet:
        say(f"Error: {what}: {item}.")


def _outcomes(plan: Plan, result: RunResult) -> list[dict[str, object]]:
    """The outcome of each action, ``undone`` for those that were taken back."""
    undone = result.rollback.undone(plan.actions) if result.rollback is not None else set()
    return [
        {**asdict(o), "outcome": "undone" if o.id in undone and o.outcome == "changed" else o.outcome}
        for o in result.outcomes
    ]
