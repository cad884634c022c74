"""What the lab did, as it is checked in: the host at the start, and per step how it ended and what changed."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.conformance.cases import Case
from tests.conformance.comparable import Flat, Value
from tests.conformance.playing import Played

RECORDED = Path(__file__).parent / "recorded"


def document(case: Case, played: list[Played]) -> dict[str, Any]:
    """The recording as data."""
    steps = []
    for before, after in pairwise(played):
        step: dict[str, Any] = {"step": after.step, "result": after.result}
        step.update(_changes(before.observed, after.observed))
        steps.append(step)
    return {"title": case.title, "start": dict(sorted(played[0].observed.items())), "steps": steps}


def _changes(before: Flat, after: Flat) -> dict[str, Any]:
    changed = {key: after[key] for key in sorted(after) if key not in before or before[key] != after[key]}
    gone = sorted(set(before) - set(after))
    found: dict[str, Any] = {}
    if changed:
        found["changed"] = changed
    if gone:
        found["gone"] = gone
    return found


def save(case: Case, played: list[Played]) -> None:
    """Writes a case's recording."""
    RECORDED.mkdir(exist_ok=True)
    (RECORDED / f"{case.name}.json").write_text(json.dumps(document(case, played), indent=1) + "\n")


def load(case: Case) -> list[Played]:
    """A case's recording, each step with everything that was seen after it."""
    found = json.loads((RECORDED / f"{case.name}.json").read_text())
    observed: Flat = dict(found["start"])
    played = [Played("", "ok", observed)]
    for step in found["steps"]:
        observed = {key: value for key, value in observed.items() if key not in step.get("gone", [])}
        observed.update(step.get("changed", {}))
        played.append(Played(step["step"], step["result"], observed))
    return played


def differences(expected: list[Played], found: list[Played]) -> list[str]:
    """Where two plays of a case differ, in lines; empty when they are the same. What was different after a step and
    still is after the next is said once."""
    lines: list[str] = []
    known: set[tuple[str, Value, Value]] = set()
    if [item.step for item in expected] != [item.step for item in found]:
        return ["the recording has other steps than the case: record it anew"]
    for number, (right, ours) in enumerate(zip(expected, found, strict=True)):
        where = f"step {number}: {right.step}" if number else "at the start"
        if right.result != ours.result:
            lines.append(f"{where}: ended with {ours.result!r} instead of {right.result!r}")
        keys = sorted(right.observed.keys() | ours.observed.keys())
        pairs = {(key, right.observed.get(key, "absent"), ours.observed.get(key, "absent")) for key in keys}
        wrong = {item for item in pairs if item[1] != item[2]}
        lines += [
            f"{where}: {key} is {have!r} instead of {want!r}" for key, want, have in sorted(wrong - known, key=str)
        ]
        known = wrong
    return lines
