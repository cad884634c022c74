"""Whether a state file fits the host: whose file it is, what its plan has to say, and what apply would refuse of it."""

from __future__ import annotations

import re
from dataclasses import replace

from reconciler.diagnostics import Diagnostic
from reconciler.disruption import CLASSES
from reconciler.doctor.document import Checked, Finding, FindingSeverity
from reconciler.doctor.facts import Facts, Found
from reconciler.plan.checks_kernel import UNTIL_REBOOT
from reconciler.plan.document import Plan
from reconciler.plan.guards import refusals, way_out
from reconciler.plan.planner import make_plan

_SEVERITY: dict[str, FindingSeverity] = {"error": "problem", "warning": "warning", "note": "note"}
"""By the severity of a diagnostic. Notes are about the plan itself and left to it, but for what waits for a reboot."""
_WHY = {
    "error": "It blocks the plan: `reconciler apply` does nothing of this file.",
    "note": "Nothing is wrong with it.",
    "warning": "`reconciler apply` goes on all the same, and the guests concerned may not get what the file promises.",
}
_HERE = frozenset({"pf-down", "libvirt-unavailable"})
"""Codes whose subject has a check of its own: `check_link`, `check_libvirt`."""
_TODO = {
    "pf-not-found": "Correct the match, or declare optional = true if this card may be missing.",
    "too-many-vfs-in-guest": "Take NICs away from it, or raise policy.max_vfs_per_domain.",
    "vf-promised-twice": "Name another VF.",
    "not-observed": "Run it as root. What could not be read, and why, is listed at the end.",
}
"""Where the diagnostic doesn't end with what to do, as all others do."""
_LAST_SENTENCE = re.compile(r"(?<=[.]) (?=[A-Z])")


def check_host(facts: Facts) -> Found:
    """Whether the file is for this host: apply refuses an empty plan for no other reason."""
    if facts.desired is None:
        return
    for sentence in refusals(Plan(), facts.desired, facts.host, CLASSES):
        yield Finding(
            "problem",
            "another-host",
            "state file",
            sentence,
            "`reconciler apply` refuses it here, and the cards, pools and guests of the file are those of another "
            "machine.",
            "Use this host's file, or correct host.name.",
            "host",
            facts.line("host"),
        )


def check_fit(facts: Facts) -> Found:
    """What the plan has to say, and what apply would refuse: for good, or without a word that allows it."""
    if facts.desired is None:
        return
    plan = make_plan(facts.desired, facts.host)
    for item in plan.diagnostics:
        if item.severity != "note" and item.code not in _HERE:
            yield _from_plan(item)
    if any(item.severity == "error" for item in plan.diagnostics):
        return
    other_host = refusals(Plan(), facts.desired, facts.host, CLASSES)
    never = refusals(plan, facts.desired, facts.host, CLASSES)
    for sentence in never:
        if sentence not in other_host:
            seen, _, command = sentence.partition(" Take it off first:\n")
            yield Finding(
                "problem",
                "vf-held",
                "state file",
                seen,
                "VFs are never destroyed under whoever has them, whatever --allow says.",
                f"`{command.strip()}`" if command else "Have it let go of the VF first.",
            )
    needed, meaning = way_out(plan, facts.desired, []) or ("none", "")
    for sentence in refusals(plan, facts.desired, facts.host, []):
        if sentence not in never:
            yield Finding(
                "warning",
                "apply-refuses",
                "state file",
                f"{sentence}.",
                f"`reconciler apply` refuses what is above policy.disruption: {meaning}.",
                f"`reconciler apply --allow {needed}`, when whoever it touches can bear it.",
                "policy",
                facts.line("policy"),
            )
    yield from _kernel(plan)
    if not never:
        yield Checked("state file", f"fits this host; `reconciler plan` has {len(plan.actions)} actions")


def _kernel(plan: Plan) -> Found:
    """What waits for a reboot, and what is not even written yet: the plan's notes are about the host after it."""
    for action in plan.actions:
        if action.op == "kernel.set_cmdline":
            yield Finding(
                "warning",
                "kernel-arguments-not-written",
                "kernel.cmdline",
                "The boot loader does not have the kernel's arguments as the file declares them.",
                "The next boot will not be as declared.",
                "`reconciler apply`, and reboot when it suits.",
                action.address,
                next((change.line for change in plan.changes if change.address == action.address), 0),
            )
            return
    for item in plan.diagnostics:
        if item.code == UNTIL_REBOOT:
            yield replace(_from_plan(item), why="Until then the host is not what the file declares.")


def _from_plan(item: Diagnostic) -> Finding:
    """The last sentence of a diagnostic says what to do; what is before it is what was seen."""
    sentences = _LAST_SENTENCE.split(item.detail)
    todo = _TODO.get(item.code) or (sentences.pop() if len(sentences) > 1 else "Correct the state file, or the host.")
    return Finding(
        _SEVERITY[item.severity],
        item.code,
        item.address or "state file",
        " ".join([item.summary, *sentences]),
        _WHY[item.severity],
        todo,
        item.address,
        item.line,
    )
