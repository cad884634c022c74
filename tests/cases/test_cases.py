"""One folder is one case: ``desired.toml`` and ``observed.json`` (a snapshot) in; ``plan.json`` out.

To add a case, add a folder; ``UPDATE_CASES=1 pytest tests/cases`` writes what the planner says, to be read before it is
committed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from reconciler.host.snapshot import load as load_snapshot
from reconciler.plan.document import plan_to_json
from reconciler.plan.drift import find_drift
from reconciler.plan.planner import make_plan
from reconciler.state.load import load

FOLDERS = sorted(path.parent for path in Path(__file__).parent.glob("*/desired.toml"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_case(folder: Path) -> None:
    expected = folder / "plan.json"
    found = _outcome(folder)
    if os.environ.get("UPDATE_CASES"):
        expected.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    assert json.loads(expected.read_text()) == found


def test_there_are_cases() -> None:
    assert len(FOLDERS) >= 10


def _outcome(folder: Path) -> dict[str, object]:
    """What a case is about: the plan without what is the same in all of them, and the labels of the drift."""
    desired = load("desired.toml", (folder / "desired.toml").read_bytes())
    observed = load_snapshot((folder / "observed.json").read_bytes(), "observed.json")
    plan = plan_to_json(make_plan(desired, observed))
    drift = find_drift(desired, observed)
    return {
        "verdict": plan["verdict"],
        "changes": plan["changes"],
        "actions": plan["actions"],
        "diagnostics": [[d["severity"], d["code"], d["address"], d["detail"]] for d in plan["diagnostics"]],
        "drift": [[item.label, f"{item.address}.{item.field}"] for item in drift.fields],
    }
