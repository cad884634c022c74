"""What an apply came to."""

from __future__ import annotations

import re
from typing import Any

from reconciler.report.apply_text import render_result
from tests.unit.report import samples

BUSY = "write 8 to sriov_numvfs: [Errno 16] Device or resource busy"


def outcomes(document: dict[str, Any], failing: str = "") -> list[dict[str, Any]]:
    """As the executor tells them: what needs a failed action is skipped."""
    found: dict[str, dict[str, Any]] = {}
    for action in document["actions"]:
        lost = any(found[need]["outcome"] in ("failed", "skipped") for need in action["needs"])
        outcome = "failed" if action["id"] == failing else "skipped" if lost else "changed"
        error = BUSY if outcome == "failed" else ""
        found[action["id"]] = {"id": action["id"], "outcome": outcome, "error": error, "seconds": 0.1}
    return list(found.values())


def blocks(document: dict[str, Any], told: list[dict[str, Any]]) -> list[list[str]]:
    text = render_result(document, told, color=False)
    return [block.splitlines() for block in text.rstrip("\n").split("\n\n")]


def test_success_is_one_line_since_the_progress_has_told_the_rest() -> None:
    document = samples.rates(63)
    assert blocks(document, outcomes(document)) == [["Done: 63 actions on r620-01."]]


def test_failure_tells_what_was_done_failed_and_left() -> None:
    document = samples.remade()
    done, failed, left, verdict = blocks(document, outcomes(document, "pf.set_numvfs pf.int #2"))
    assert done[0] == "Done:"
    assert "  pf.int: remove all VFs" in done
    assert "  pool.old: undefine it" in done
    assert failed == [
        "Failed: pf.int: make 8 VFs",
        f"  | {BUSY}",
        "  The driver may have said more: journalctl -k --since -10min",
    ]
    assert left[0] == "Left, since it needs what failed (pf.int: make 8 VFs):"
    assert "  pool.sriov-int: start it" in left
    assert verdict == [
        "Failed part-way at pf.int: 4 of 23 actions done, 1 failed, 18 left. "
        "r620-01 is in between: solve this and apply again."
    ]


def test_failure_of_the_first_step_completed_nothing() -> None:
    document = samples.rates(1)
    found = blocks(document, outcomes(document, document["actions"][0]["id"]))
    assert found[-1] == ["Failed at pf.int.vf.0: nothing was changed on r620-01."]


def test_what_was_begun_and_failed_may_have_happened() -> None:
    document = samples.rates(1)
    told = outcomes(document, document["actions"][0]["id"])
    told[0]["written"] = True
    assert blocks(document, told)[-1] == [
        "Failed at pf.int.vf.0: no change was completed on r620-01. What failed may have taken effect in part. "
        "Solve this and apply again."
    ]


def test_success_without_being_as_declared_is_none() -> None:
    document = samples.rates(2)
    text = render_result(document, outcomes(document), unmet=["a new plan would still do x\x1b"], color=False)
    assert text.splitlines() == [
        "Not as declared:",
        "  a new plan would still do x\\x1b",
        "",
        "Not converged: 2 actions on r620-01 succeeded, and it is not as declared all the same.",
    ]


def test_a_rollback_that_left_something_to_do_is_not_to_be_applied_again() -> None:
    document = samples.rates(2)
    told = outcomes(document, document["actions"][1]["id"])
    text = render_result(document, told, unmet=["VF 1 is otherwise"], back=True, color=False)
    assert "Not as it was before:\n  VF 1 is otherwise" in text
    assert text.endswith("in between: solve this and take back the rest with: reconciler rollback.\n")


def test_an_interrupted_run_says_what_was_not_begun() -> None:
    document = samples.remade()
    told = outcomes(document)[:3]
    found = blocks(document, told)
    assert found[1][0] == "Left, not begun:"
    assert found[-1][0].startswith("Stopped part-way: 3 of 23 actions done, 0 failed, 20 left.")


def test_what_was_taken_back_is_told() -> None:
    document = samples.rates(2)
    told = outcomes(document, document["actions"][1]["id"])
    told[0]["outcome"] = "undone"
    found = blocks(document, told)
    assert found[0][0] == "Done and taken back:"
    assert found[-1] == ["Failed at pf.int.vf.1, and taken back: what was done on r620-01 was undone."]


def test_already_right_is_not_called_done() -> None:
    document = samples.rates(2)
    told = outcomes(document)
    told[1]["outcome"] = "unchanged"
    assert blocks(document, told) == [["Done: 2 actions on r620-01. 1 of them was already right."]]


def test_words_from_outside_are_quoted_and_harmless() -> None:
    document = samples.rates(1)
    told = outcomes(document, document["actions"][0]["id"])
    told[0]["error"] = "error: internal error\nDone: 1 action on r620-01.\x1b[2J"
    text = render_result(document, told, color=False)
    assert "\nDone: 1 action" not in text
    assert "  | Done: 1 action on r620-01.\\x1b[2J" in text
    painted = render_result(document, told, color=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == text
