"""The kernel's arguments: satisfied by their effect, written once, waiting for a reboot, and not tried for ever."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.apply.ledger import record
from reconciler.doctor.diagnose import diagnose
from reconciler.host.model import Applied, BootArguments, Snapshot
from reconciler.host.platform import Platform
from reconciler.kinds.builder import copy_host
from reconciler.kinds.operations import OPERATIONS
from reconciler.kinds.registry import compare_all
from reconciler.kinds.resolve import resolve
from reconciler.plan.adopt import adopt
from reconciler.plan.confirm import halves_of
from reconciler.plan.difference import differences
from reconciler.plan.document import Plan
from reconciler.plan.drift import find_drift
from reconciler.plan.planner import make_plan
from reconciler.report.actions import sentence
from reconciler.report.step_values import values_of
from tests.hosts import DataHost, desired, host, igb

IOMMU = '[kernel]\ncmdline = ["intel_iommu=on", "iommu=pt"]'
OTHER = '[kernel]\ncmdline = ["transparent_hugepage=never"]'
NONE = "[kernel]\ncmdline = []"


def started(
    running: str = "quiet",
    *,
    own: str | None = None,
    configured: str | None = "quiet",
    groups: int = 0,
    domains: list[str] | None = None,
    **more: Any,
) -> Snapshot:
    """A host that was started with these, and whose boot loader has those for the next boot."""
    snapshot = host(igb(1))
    snapshot.boot = BootArguments(
        running=running.split(),
        own=None if own is None else own.split(),
        next=None if configured is None else configured.split(),
        groups=groups,
        domains=domains,
        **{"loader": "GRUB", **more},
    )
    return snapshot


def execute(plan: Plan, snapshot: Snapshot) -> Snapshot:
    """The host as the plan's actions make it."""
    after = copy_host(snapshot)
    for action in plan.actions:
        OPERATIONS[action.op].simulate(after, action.args)
        OPERATIONS[action.op].forget(after, action.args)
        assert OPERATIONS[action.op].satisfied(after, action.args)
    return after


ON: dict[str, Any] = {"groups": 9, "domains": ["identity"]}


def codes(plan: Plan) -> list[str]:
    return [item.code for item in plan.diagnostics]


def fields(snapshot: Snapshot, text: str) -> dict[str, str]:
    return {item.field: item.label for item in find_drift(desired(text), snapshot).fields}


def in_sync(snapshot: Snapshot, text: str) -> bool:
    plan = make_plan(desired(text), snapshot)
    return plan.verdict == "in-sync" and not plan.summary.reboot and fields(snapshot, text) == {}


# ---------------------------------------------------------------------------- by effect before by text


@pytest.mark.parametrize(
    "snapshot",
    [
        started("quiet intel_iommu=on iommu=pt", configured="quiet intel_iommu=on iommu=pt", **ON),
        started("quiet", configured="quiet", **ON),
        started("quiet amd_iommu=on iommu.passthrough=1", configured="quiet iommu.passthrough=1", **ON),
        started("quiet intel_iommu=on iommu=pt", configured=None, loader="", trouble="none is known here.", **ON),
    ],
    ids=["in another file", "by itself", "spelt otherwise", "by whatever started it"],
)
def test_what_is_in_effect_and_lasts_satisfies(snapshot: Snapshot) -> None:
    assert in_sync(snapshot, IOMMU)


def test_text_without_effect_does_not_satisfy() -> None:
    snapshot = started("intel_iommu=on iommu=pt", configured="intel_iommu=on iommu=pt", groups=9, domains=["DMA-FQ"])
    plan = make_plan(desired(IOMMU), snapshot)
    assert codes(plan) == ["kernel-argument-without-effect"]
    assert "of type DMA-FQ" in plan.diagnostics[0].detail


def test_other_arguments_count_by_their_text() -> None:
    assert in_sync(started("transparent_hugepage=never", configured="transparent_hugepage=never"), OTHER)
    plan = make_plan(desired(OTHER), started("quiet", **ON))
    assert [action.args for action in plan.actions] == [{"arguments": ["transparent_hugepage=never"]}]


def test_what_was_given_once_at_the_prompt_is_lost_at_the_next_boot() -> None:
    plan = make_plan(desired(IOMMU), started("quiet intel_iommu=on iommu=pt", **ON))
    assert [action.args for action in plan.actions] == [{"arguments": ["intel_iommu=on", "iommu=pt"]}]
    assert not plan.summary.reboot


def test_what_is_not_known_is_said() -> None:
    unreadable = started(configured=None)
    assert make_plan(desired(IOMMU), unreadable).unobserved == ["kernel.cmdline"]
    nothing = started(running="", configured=None)
    nothing.boot = BootArguments(loader="GRUB")
    assert fields(nothing, IOMMU) == {"entries": "unknown", "effect": "unknown"}


# ---------------------------------------------------------------------------- exactly, in our own file


@pytest.mark.parametrize(
    ("text", "snapshot", "wanted"),
    [
        (IOMMU, started(), ["intel_iommu=on", "iommu=pt"]),
        (IOMMU, started("iommu=pt", configured="iommu=pt"), ["intel_iommu=on"]),
        (IOMMU, started("x", own="iommu=soft iommu=pt", configured="x iommu=soft iommu=pt"), None),
        (NONE, started("a b", own="b", configured="a b"), None),
        (OTHER, started("a b", own="b", configured="a b"), ["transparent_hugepage=never"]),
    ],
)
def test_our_own_file_holds_what_is_declared_and_nobody_else_has(
    text: str, snapshot: Snapshot, wanted: list[str] | None
) -> None:
    snapshot.boot.since_boot = True
    if wanted is None and text == IOMMU:
        wanted = ["intel_iommu=on", "iommu=pt"]
    plan = make_plan(desired(text), snapshot)
    assert [action.args for action in plan.actions] == [{"arguments": wanted}]
    assert plan.actions[0].undo.steps[0].args == {"arguments": snapshot.boot.own}
    assert not make_plan(desired(text), execute(plan, snapshot)).actions


def test_what_goes_waits_for_a_reboot_too() -> None:
    snapshot = started("a b", own="b", configured="a b")
    plan = make_plan(desired(NONE), snapshot)
    assert plan.summary.reboot
    assert "b is in effect until the next reboot" in plan.diagnostics[0].detail
    assert in_sync(execute(plan, snapshot), NONE)


def test_a_drop_in_that_the_configuration_does_not_have_is_written_again() -> None:
    """Somebody killed update-grub."""
    snapshot = started("quiet", own="intel_iommu=on iommu=pt", since_boot=True)
    assert len(make_plan(desired(IOMMU), snapshot).actions) == 1


# ---------------------------------------------------------------------------- reboots


def applied(snapshot: Snapshot, text: str = IOMMU) -> Snapshot:
    """The host after apply, with its ledger."""
    plan = make_plan(desired(text), snapshot)
    assert plan.verdict == "changes"
    after = execute(plan, snapshot)
    resolution = resolve(desired(text), after)
    record(after.ledger, compare_all(resolution, after), after, "run", {action.address for action in plan.actions})
    return after


def rebooted(snapshot: Snapshot, running: str, **more: Any) -> Snapshot:
    snapshot.host.boot_id = "boot-2"
    snapshot.boot.running, snapshot.boot.since_boot = running.split(), False
    for name, value in more.items():
        setattr(snapshot.boot, name, value)
    return snapshot


def test_until_the_reboot_it_is_pending_and_written_only_once() -> None:
    plan = make_plan(desired(IOMMU), started())
    assert plan.summary.reboot
    assert codes(plan) == ["pending-reboot"]
    snapshot = applied(started())
    again = make_plan(desired(IOMMU), snapshot)
    assert (again.verdict, again.summary.reboot, codes(again)) == ("in-sync", True, ["pending-reboot"])
    drift = find_drift(desired(IOMMU), snapshot)
    assert (drift.verdict, [item.label for item in drift.fields]) == ("in-sync", ["pending-reboot"])


def test_after_a_reboot_that_brought_it_all_is_in_sync() -> None:
    snapshot = rebooted(applied(started()), "quiet intel_iommu=on iommu=pt", **ON)
    assert in_sync(snapshot, IOMMU)


@pytest.mark.parametrize(
    ("running", "words"),
    [
        ("quiet intel_iommu=on iommu=pt", "Switch on VT-d (Intel) or AMD-Vi"),
        ("quiet", "another entry was chosen"),
    ],
)
def test_after_a_reboot_that_did_not_bring_it_there_is_an_error_and_no_other_try(running: str, words: str) -> None:
    snapshot = rebooted(applied(started()), running)
    snapshot.boot.since_boot = True  # A new kernel was installed, and the configuration made anew.
    plan = make_plan(desired(IOMMU), snapshot)
    assert (plan.verdict, plan.actions, plan.summary.reboot) == ("blocked", [], False)
    assert codes(plan) == ["kernel-argument-without-effect"]
    assert words in plan.diagnostics[0].detail
    drift = find_drift(desired(IOMMU), snapshot)
    assert (drift.verdict, [item.label for item in drift.fields]) == ("drift", ["drift"])
    partial = make_plan(desired(f'{IOMMU}\n[modules]\nblacklist = ["iavf"]'), snapshot, partial=True)
    assert (partial.dropped, [action.address for action in partial.actions]) == (
        ["kernel.cmdline"],
        ["modules.blacklist"],
    )


def test_of_what_somebody_else_wrote_the_time_tells() -> None:
    before = started("quiet", configured="quiet intel_iommu=on iommu=pt", since_boot=True)
    assert codes(make_plan(desired(IOMMU), before)) == ["pending-reboot"]
    before.boot.since_boot = False
    assert codes(make_plan(desired(IOMMU), before)) == ["kernel-argument-without-effect"]


def test_removed_by_hand_and_rebooted_it_is_written_anew() -> None:
    """The ledger has it of an earlier boot."""
    snapshot = started("quiet")
    snapshot.ledger["kernel.cmdline"] = {
        name: Applied(["intel_iommu=on", "iommu=pt"], "boot-0") for name in ("entries", "effect")
    }
    assert fields(snapshot, IOMMU) == {"entries": "drift", "effect": "drift"}
    after = applied(snapshot)
    assert fields(after, IOMMU) == {"effect": "pending-reboot"}


def test_passthrough_mode_is_not_judged_before_there_is_an_iommu() -> None:
    """Of the two only the one was removed by hand."""
    snapshot = started("quiet iommu=pt", configured="quiet iommu=pt")
    plan = make_plan(desired(IOMMU), snapshot)
    assert [action.args for action in plan.actions] == [{"arguments": ["intel_iommu=on"]}]
    assert codes(plan) == ["pending-reboot"]
    after = applied(snapshot)
    assert fields(after, IOMMU) == {"effect": "pending-reboot"}
    off = rebooted(after, "quiet iommu=pt intel_iommu=on")
    assert codes(make_plan(desired(IOMMU), off)) == ["kernel-argument-without-effect"]
    alone = make_plan(desired('[kernel]\ncmdline = ["iommu=pt"]'), started("quiet iommu=pt", configured="iommu=pt"))
    assert codes(alone) == ["kernel-argument-without-effect"]


# ---------------------------------------------------------------------------- where it can't be written


def test_without_a_boot_loader_there_is_one_error() -> None:
    snapshot = started(configured=None, loader="", trouble="no boot loader is known here.")
    plan = make_plan(desired(IOMMU), snapshot)
    assert (plan.verdict, plan.actions) == ("blocked", [])
    assert codes(plan) == ["kernel-arguments-fixed"]
    assert "intel_iommu=on iommu=pt can't be added: no boot loader" in plan.diagnostics[0].detail


def test_a_tool_that_replaces_is_kept_from_others_arguments() -> None:
    snapshot = started("quiet iommu=soft", configured="quiet iommu=soft", replaces=True)
    assert codes(make_plan(desired(IOMMU), snapshot)) == ["kernel-argument-of-others"]
    snapshot.boot.replaces = False
    assert codes(make_plan(desired(IOMMU), snapshot)) == ["pending-reboot"]


@pytest.mark.parametrize(
    ("argument", "other"),
    [
        ("intel_iommu=on", "intel_iommu=off"),
        ("iommu=pt", "iommu=nopt"),
        ("iommu=pt", "iommu=off"),
        ("transparent_hugepage=never", "transparent_hugepage=always"),
    ],
)
def test_what_another_file_contradicts_is_a_conflict(argument: str, other: str) -> None:
    """With a drop-in, too: which of the two counts is not for us to say."""
    text = f'[kernel]\ncmdline = ["{argument}"]'
    plan = make_plan(desired(text), started(f"quiet {other}", configured=f"quiet {other}"))
    assert (plan.verdict, codes(plan), plan.summary.reboot) == ("blocked", ["kernel-argument-of-others"], False)
    assert other in plan.diagnostics[0].detail
    line = f"quiet {argument} {other}"
    overruled = make_plan(desired(text), started(line, configured=line))
    assert codes(overruled) == ["kernel-argument-without-effect"]
    assert f"{other} on the same line overrules it" in overruled.diagnostics[0].detail
    assert make_plan(desired(text), started(line, own=argument, configured=line, since_boot=True)).verdict == "blocked"


def test_the_last_of_several_values_counts() -> None:
    line = "transparent_hugepage=always transparent_hugepage=never"
    assert in_sync(started(line, configured=line), OTHER)
    consoles = "console=tty0 console=ttyS0"
    assert in_sync(started(consoles, configured=consoles), '[kernel]\ncmdline = ["console=tty0"]')


def test_a_tool_that_replaces_keeps_one_value() -> None:
    text = '[kernel]\ncmdline = ["console=tty0", "console=ttyS0"]'
    assert codes(make_plan(desired(text), started(replaces=True))) == ["kernel-argument-several-values"]
    assert codes(make_plan(desired(text), started())) == ["pending-reboot"]


# ---------------------------------------------------------------------------- what the file's own moves are


def labels(snapshot: Snapshot, *arguments: str) -> dict[str, str]:
    return fields(snapshot, f"[kernel]\ncmdline = {list(arguments)}".replace("'", '"'))


def test_an_edit_of_the_file_is_pending_whatever_it_takes_out_or_moves() -> None:
    text = '[kernel]\ncmdline = ["a", "b"]'
    snapshot = rebooted(applied(started("quiet a"), text), "quiet a b")
    record(snapshot.ledger, compare_all(resolve(desired(text), snapshot), snapshot), snapshot, "run", set())
    for arguments in (("a", "c"), ("c", "b", "a"), ("b", "c")):
        assert labels(snapshot, *arguments) == {"entries": "pending", "effect": "pending"}
    snapshot.boot.running = snapshot.boot.next = ["quiet", "a"]
    snapshot.boot.own = ["a"]
    assert labels(snapshot, "a", "c") == {"entries": "conflict", "effect": "conflict"}
    assert labels(snapshot, "a", "b") == {"entries": "drift", "effect": "drift"}


def test_a_removal_that_was_interrupted_is_finished() -> None:
    snapshot = started("a b", own="a", configured="a b", leaving=["b"])
    for text, own in ((NONE, None), ('[kernel]\ncmdline = ["a"]', ["a"]), ('[kernel]\ncmdline = ["b"]', ["b"])):
        plan = make_plan(desired(text), snapshot)
        assert [action.args for action in plan.actions] == [{"arguments": own}]
        assert not make_plan(desired(text), execute(plan, snapshot)).actions


def test_what_never_came_into_effect_is_not_said_to_be_until_the_reboot() -> None:
    plan = make_plan(desired(NONE), started("intel_iommu=on", own="intel_iommu=on", configured="intel_iommu=on"))
    assert (plan.verdict, codes(plan), plan.summary.reboot) == ("changes", [], False)


# ---------------------------------------------------------------------------- around it


def test_the_operation_asks_for_no_more_than_arguments() -> None:
    check = OPERATIONS["kernel.set_cmdline"].arguments
    assert list(check({"arguments": ["intel_iommu=on"]})) == []
    for wrong in (['a"b'], ["a b"], ["$(x)"], "a", [1]):
        assert list(check({"arguments": wrong}))


def test_words() -> None:
    plan = make_plan(desired(IOMMU), started())
    (action,) = plan.actions
    step = {"op": action.op, "address": action.address, "args": action.args, "undo": {"steps": []}}
    assert sentence(step) == "kernel.cmdline: have the kernel started with intel_iommu=on iommu=pt"
    assert sentence({**step, "args": {"arguments": None}}) == "kernel.cmdline: take our kernel arguments out"
    assert "intel_iommu=on" in values_of(step, {})
    assert "rebooting is left to you" in plan.changes[0].reason


def test_it_is_confirmed_and_taken_back() -> None:
    snapshot = started()
    plan = make_plan(desired(IOMMU), snapshot)
    halves = halves_of(plan.actions)
    assert (halves.now, halves.later) == ([], plan.actions)
    after = execute(plan, snapshot)
    assert differences(snapshot, after, plan.actions)
    back = DataHost(after)
    back.set_kernel_arguments(plan.actions[0].undo.steps[0].args["arguments"], 1.0)
    assert differences(snapshot, back.state, plan.actions) == []


def test_what_is_adopted_is_what_is_ours_and_in_effect() -> None:
    snapshot = started("a iommu=pt", own="iommu=pt", configured="a iommu=pt", **ON)
    assert adopt(snapshot).state["kernel"] == {"cmdline": ["iommu=pt"]}
    waiting = adopt(started("a", own="iommu=pt", configured="a iommu=pt"))
    assert "kernel" not in waiting.state
    assert any("kernel.cmdline" in text for text in waiting.left_out)


def test_doctor_says_the_same() -> None:
    def found(snapshot: Snapshot) -> dict[str, str]:
        platform = Platform(iommu_groups=[], cmdline=" ".join(snapshot.boot.running or []), cpu_vendor="GenuineIntel")
        return {item.code: item.todo for item in diagnose(snapshot, platform, desired(IOMMU)).findings}

    waiting = started("quiet", configured="quiet intel_iommu=on iommu=pt", since_boot=True)
    assert found(waiting)["pending-reboot"] == "Reboot when it suits."
    assert "iommu-off" in found(waiting)  # also of a file that declares nothing else
    waiting.boot.since_boot = False
    assert "kernel-argument-without-effect" in found(waiting)
    nowhere = found(started("quiet intel_iommu=off", configured="quiet"))
    assert nowhere["kernel-arguments-not-written"] == "`reconciler apply`, and reboot when it suits."
    assert "intel_iommu=off" in nowhere["iommu-off"]
    assert "pending-reboot" not in nowhere
    platform = Platform(iommu_groups=[], cmdline="quiet", cpu_vendor="GenuineIntel")
    whole = {item.code: item for item in diagnose(waiting, platform).findings}
    assert whole["iommu-off"].todo.startswith("Reboot.")
