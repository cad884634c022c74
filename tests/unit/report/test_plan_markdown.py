"""A plan as a comment on a pull request."""

from __future__ import annotations

import pytest

from reconciler.diagnostics import Diagnostic
from reconciler.kinds.action import Impact
from reconciler.plan.document import Change, FieldChange
from reconciler.report.markdown import code, escaped, fence
from reconciler.report.plan_markdown import render_plan_markdown
from tests.unit.report import samples


def test_what_hurts_comes_right_after_the_title() -> None:
    lines = render_plan_markdown(samples.remade()).splitlines()
    assert lines[0] == "### 12 changes in 23 actions on r620-01, 2 of them disruptive."
    assert lines[2] == "> [!WARNING]"
    assert lines[4] == "> - guest web1 (ua-rec-data on VF 3 of 0000:01:00.0)"
    assert lines[6] == "> The policy permits vf-reset: `apply` refuses this without `--allow guest`."


def test_it_has_the_table_the_fields_and_the_order() -> None:
    text = render_plan_markdown(samples.remade())
    assert "| create | `pf.int.vf.[1-7]` | `spoofchk, max_tx_rate` |  |  |" in text
    assert "```diff\n! replace pf.int   states/r620-01.toml:25\n      vfs: 4 -> 8\n" in text
    assert "<summary>Order of 23 actions</summary>" in text
    assert "Left out" not in text


def test_in_sync_is_short() -> None:
    text = render_plan_markdown(samples.plan())
    assert text.startswith("### In sync: r620-01 is as states/r620-01.toml declares.")
    assert len(text.splitlines()) <= 3


def test_a_quiet_plan_has_no_warning() -> None:
    assert "WARNING" not in render_plan_markdown(samples.rates(3))


@pytest.mark.parametrize("limit", [200, 1000, 3000, 20_000, 60_000])
def test_it_never_gets_longer_than_allowed(limit: int) -> None:
    document = samples.remade()
    document["changes"] += [
        {**document["changes"][0], "address": f"modules.ünïcode-{i}", "reason": "why " * 20} for i in range(2000)
    ]
    text = render_plan_markdown(document, max_bytes=limit)
    assert len(text.encode()) <= limit
    assert "since it would be too long" in text or limit == 200
    assert text.startswith("### 2012 changes")


def test_details_go_before_the_summary() -> None:
    document = samples.remade()
    full = render_plan_markdown(document)
    smaller = render_plan_markdown(document, max_bytes=len(full.encode()) - 1)
    assert "<summary>Order" not in smaller
    assert "```diff" in smaller
    assert "Left out, since it would be too long here: the order of actions. See `reconciler plan`" in smaller
    smallest = render_plan_markdown(document, max_bytes=1000)
    assert "```diff" not in smallest
    assert "> [!WARNING]" in smallest


def test_errors_are_shown_open() -> None:
    error = Diagnostic(severity="error", code="c", summary="A PF is not there.", detail="No p9p9.", address="pf.dmz")
    text = render_plan_markdown(samples.plan(diagnostics=[error]))
    assert "- **Error:** `pf.dmz`: A PF is not there. No p9p9." in text.split("<details>")[0]


ATTACK = "</details><img src=x> | a `b` ``` @team https://example.org www.example.org **x** [l](http://y) #1\n# big"


def test_text_from_outside_stays_text() -> None:
    impact = Impact("guest", [ATTACK], [f"{ATTACK}: {ATTACK}"])
    document = samples.plan(
        changes=[Change(ATTACK, "update", [FieldChange("f", ATTACK, ATTACK)], reason=ATTACK, impact=impact)],
        actions=[samples.set_vf(1, trust=True)],
        diagnostics=[Diagnostic(severity="warning", code="c", summary="S.", detail=ATTACK, address=ATTACK)],
    )
    document["host"]["name"] = ATTACK
    text = render_plan_markdown(document)
    fenced, outside = False, []
    for line in text.splitlines():
        if line.startswith("````"):
            fenced = not fenced
        elif not fenced:
            outside.append(line)
    assert not fenced
    page = "\n".join(outside)
    for bad in ("<img", "@team", "https://", "www.", "**x**", "[l]("):
        assert bad not in page
    assert page.count("</details>") == page.count("<details>")
    assert not any(line.startswith("# ") for line in outside)
    row = next(line for line in outside if line.startswith("| update"))
    assert row.replace("\\|", "").count("|") == 6


def test_fences_are_longer_than_what_they_hold() -> None:
    assert fence(["a ```` b"])[0] == "`````"
    assert fence(["a"])[0] == "```"


def test_code_and_escaped() -> None:
    assert code("pf.int") == "`pf.int`"
    assert code("a|b") == "<code>a\\|b</code>"
    assert escaped("max_tx_rate <x>") == "max\\_tx\\_rate &#60;x&#62;"
