"""A plan as text."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from reconciler.diagnostics import Diagnostic
from reconciler.kinds.action import Action, Impact, Undo
from reconciler.plan.document import Change, FieldChange, load_plan
from reconciler.report.actions import sentence
from reconciler.report.plan_text import render_plan
from tests.unit.report import samples


def lines_of(document: dict[str, Any], **options: Any) -> list[str]:
    return render_plan(document, color=False, **options).splitlines()


def test_in_sync_is_one_line() -> None:
    assert lines_of(samples.plan()) == ["In sync: r620-01 is as states/r620-01.toml declares."]


def test_in_sync_is_not_said_of_what_was_not_seen() -> None:
    first, *rest = lines_of(samples.plan(unobserved=["domain.web1"]))
    assert "In sync" not in first
    assert any("domain.web1" in line for line in rest)


def test_the_verdict_comes_first_with_who_is_hit_and_what_it_takes() -> None:
    lines = lines_of(samples.remade())
    assert lines[0] == "12 changes in 23 actions on r620-01, 2 of them disruptive."
    assert lines[1].startswith("  Worst disruption: guest (")
    assert lines[2] == "  Affected: guest web1 (ua-rec-data on VF 3 of 0000:01:00.0)."
    assert lines[3] == "  The policy permits vf-reset: apply refuses this without --allow guest."


def test_a_class_within_the_policy_needs_nothing() -> None:
    document = samples.remade()
    document["desired"]["policy"]["disruption"] = "management"
    text = render_plan(document, color=False)
    assert "Worst disruption: guest" in text
    assert "--allow" not in text


def test_a_policy_that_the_document_lacks_is_the_default() -> None:
    document = samples.remade()
    document["desired"] = {}
    assert "--allow guest" in render_plan(document, color=False)


def test_each_change_has_symbol_fields_reason_disruption_and_place() -> None:
    lines = lines_of(samples.remade())
    at = lines.index("-/+ pf.int  states/r620-01.toml:25")
    assert lines[at + 1 : at + 5] == [
        "      vfs        4 -> 8",
        "      autoprobe  on -> off",
        "      because the kernel only accepts a new VF count from 0",
        "      disruption: guest, affects guest web1 (ua-rec-data on VF 3 of 0000:01:00.0)",
    ]


def test_what_hurts_comes_before_what_does_not() -> None:
    lines = lines_of(samples.remade())
    assert lines.index("-/+ pf.int  states/r620-01.toml:25") < lines.index(
        "~   modules.blacklist  states/r620-01.toml:9"
    )


def test_the_legend_has_only_the_symbols_in_use() -> None:
    assert "Changes:  ~ update in place (now -> planned)" in lines_of(samples.rates(1))
    legend = next(line for line in lines_of(samples.remade()) if line.startswith("Changes:"))
    assert all(symbol in legend for symbol in (" + ", " ~ ", " -/+ ", " - "))


def test_vfs_with_the_same_change_are_folded() -> None:
    lines = lines_of(samples.rates(63))
    assert "~   pf.int.vf.[0-62] (63 VFs)  states/r620-01.toml:31" in lines
    assert "  1-63.  pf.int.vf.[0-62]: set max_tx_rate 1000 Mbit/s on 63 VFs" in lines
    assert len(lines) < 20


def test_vfs_with_other_values_are_not_folded() -> None:
    one, two = samples.rates(4, after=100), samples.rates(6, after=200)
    one["changes"] += two["changes"][4:]
    lines = lines_of(one)
    assert any(line.startswith("~   pf.int.vf.[0-3] ") for line in lines)
    assert any(line.startswith("~   pf.int.vf.[4-5] ") for line in lines)


def test_macs_do_not_keep_vfs_apart_and_are_all_told() -> None:
    changes = [
        Change(
            f"pf.int.vf.{i}",
            "update",
            [
                FieldChange("mac", "00:00:00:00:00:00", f"52:54:00:00:00:0{i}"),
                FieldChange("trust", False, True),
            ],
            line=30 + i,
        )
        for i in range(3)
    ]
    lines = lines_of(samples.plan(changes=changes, actions=[samples.set_vf(0, trust=True)]))
    at = lines.index("~   pf.int.vf.[0-2] (3 VFs)  states/r620-01.toml:30-32")
    assert lines[at + 1 : at + 5] == [
        "      trust     off -> on",
        "      mac of 0  none -> 52:54:00:00:00:00",
        "      mac of 1  none -> 52:54:00:00:00:01",
        "      mac of 2  none -> 52:54:00:00:00:02",
    ]


def test_folded_vfs_name_every_guest() -> None:
    changes = [
        Change(
            f"pf.int.vf.{i}",
            "update",
            [FieldChange("mac", "x", "y")],
            impact=Impact("vf-traffic", [f"web{i}"], [f"web{i}: ua-rec-data on VF {i} of 0000:01:00.0"]),
        )
        for i in range(3)
    ]
    text = render_plan(samples.plan(changes=changes), color=False)
    assert all(f"guest web{i} (ua-rec-data on VF {i} of 0000:01:00.0)" in text for i in range(3))


def test_the_order_has_numbers_classes_and_what_is_final() -> None:
    lines = lines_of(samples.remade())
    at = lines.index("Order: (1 step can't be taken back)")
    assert lines[at + 3] == "     3.  pf.int: remove all VFs  [guest]"
    assert lines[at + 5] == "  5-19.  pf.int.vf.[0-7]: set spoofchk, max_tx_rate, mac on 8 VFs"
    assert "           can't be taken back: its XML names a VF that is not there" in lines


def test_the_short_list_is_last_before_the_hint() -> None:
    lines = lines_of(samples.remade())
    assert lines[-3:] == [
        "",
        "Nothing was changed. To carry it out:",
        "    reconciler apply states/r620-01.toml --allow guest",
    ]
    assert lines_of(samples.remade(), command="")[-1] == (
        "Plan: 9 to create, 1 to update, 1 to replace, 1 to delete; 23 actions, 2 disruptive."
    )
    at = lines.index("Summary:")
    assert lines[at + 1].split() == ["-/+", "pf.int", "vfs,", "autoprobe", "guest", "web1"]


def test_a_path_in_the_hint_can_be_pasted() -> None:
    document = samples.rates(1)
    document["source"]["path"] = "my states/a;b.toml"
    assert lines_of(document)[-1] == "    reconciler apply 'my states/a;b.toml'"


def test_a_blocked_plan_says_so_and_is_shown_in_full() -> None:
    error = Diagnostic(
        severity="error",
        code="pf-not-found",
        summary="A PF is not there.",
        detail="No netdev is named p9p9.\nThere are: eno1, enp1s0.",
        address="pf.dmz",
        line=60,
    )
    document = samples.rates(2)
    blocked = samples.plan(diagnostics=[error])
    document.update(verdict="blocked", diagnostics=blocked["diagnostics"])
    lines = lines_of(document)
    assert lines[0] == "Blocked on r620-01: 1 error. Nothing is applied until that is solved."
    at = lines.index("Error: A PF is not there. [pf-not-found]")
    assert lines[at + 1 : at + 4] == [
        "  pf.dmz  states/r620-01.toml:60",
        "  | No netdev is named p9p9.",
        "  | There are: eno1, enp1s0.",
    ]
    assert "  !    pf.dmz  A PF is not there." in lines
    assert any(line.startswith("~   pf.int.vf.[0-1]") for line in lines)
    assert not any("carry it out" in line for line in lines)


def test_errors_come_before_warnings_before_notes() -> None:
    found = [Diagnostic(severity=s, code="c", summary=f"A {s}.") for s in ("note", "error", "warning")]
    text = render_plan(samples.plan(diagnostics=found), color=False)
    assert text.index("A error.") < text.index("A warning.") < text.index("A note.")


def test_limits_are_told() -> None:
    dropped = [f"pf.int.vf.{i}" for i in range(40)]
    text = render_plan(samples.plan(targets=["pf.int"], dropped=[*dropped, "pool.x"]), color=False)
    assert "Limited to pf.int and what that depends on (--target)." in text
    assert "Left out because of an error (--partial): pf.int.vf.[0-39] and pool.x." in text


def test_colour_says_nothing_that_words_do_not() -> None:
    for document in (samples.remade(), samples.plan(), samples.rates(3)):
        for width in (0, 60):
            plain = render_plan(document, color=False, width=width)
            assert re.sub(r"\x1b\[[0-9;]*m", "", render_plan(document, color=True, width=width)) == plain
            assert "\x1b" not in plain


def test_a_width_keeps_sentences_within() -> None:
    document = samples.remade()
    document["diagnostics"][0]["detail"] = "many words " * 40
    quoted = [line for line in lines_of(document, width=80) if line.startswith("  |")]
    assert len(quoted) > 4
    assert max(map(len, quoted)) <= 80


ATTACK = "x\nPlan: 0 to create\x1b[2J\x1b]0;t\x07[bold]\u202e"


def test_names_from_outside_come_out_literally() -> None:
    impact = Impact("guest", [ATTACK], [f"{ATTACK}: {ATTACK}"], [ATTACK])
    document = samples.plan(
        changes=[Change(ATTACK, "update", [FieldChange(ATTACK, ATTACK, [ATTACK])], reason=ATTACK, impact=impact)],
        actions=[
            Action("a", ATTACK, ATTACK, {ATTACK: ATTACK}, impact=impact, undo=Undo(impossible=ATTACK)),
            Action("b", "pool.start", ATTACK, {"pool": ATTACK}),
        ],
        diagnostics=[
            Diagnostic(severity="warning", code=ATTACK, summary=ATTACK, detail=ATTACK, address=ATTACK, line=1)
        ],
        targets=[ATTACK],
    )
    document["host"]["name"] = document["source"]["path"] = ATTACK
    text = render_plan(document, color=False)
    assert all(char == "\n" or char.isprintable() for char in text)
    assert "[bold]" in text
    assert "\nPlan: 0 to create\\x1b" not in text


def test_a_huge_plan_is_quick_and_short() -> None:
    document = samples.rates(10_000)
    document["changes"] += [
        {
            **change,
            "address": change["address"].replace("int", "dmz"),
            "disruption": {"class": "none", "domains": [f"g{n}"]},
        }
        for n, change in enumerate(document["changes"])
    ]
    started = time.monotonic()
    text = render_plan(document, color=True)
    assert time.monotonic() - started < 2
    assert "pf.int.vf.[0-9999]" in text
    assert len(text.splitlines()) < 30


def test_a_saved_plan_renders_like_a_fresh_one(tmp_path: Any) -> None:
    import json

    from reconciler.plan.document import plan_to_json

    document = samples.remade()
    again = plan_to_json(load_plan(json.dumps(document).encode(), "plan.json"))
    assert render_plan(again, color=False) == render_plan(document, color=False)


@pytest.mark.parametrize(
    ("op", "args", "told"),
    [
        ("pf.set_numvfs", {"pf": "p", "vfs": 1}, "make 1 VF"),
        ("pf.set_autoprobe", {"pf": "p", "autoprobe": False}, "do not let the host's VF driver take new VFs"),
        ("pf.set_mtu", {"pf": "p", "mtu": 9000}, "set the MTU to 9000"),
        ("vf.bind", {"pf": "p", "vf": 1, "driver": "none"}, "unbind from its driver"),
        ("vf.set", {"domain": "d", "alias": "a", "set": {"trust": True}}, "set trust on on its VF"),
        ("modules.set_blacklist", {"modules": None}, "remove our blacklist file"),
        ("pool.define", {"pool": "x", "pf": "pci/0000:01:00.0"}, "define it with all VFs of 0000:01:00.0"),
        ("pool.set_autostart", {"pool": "x", "autostart": True}, "turn autostart on"),
        (
            "nic.attach",
            {"domain": "d", "nic": {"pool": "x"}, "live": False, "config": True},
            "attach a VF of pool x to the definition of d, for its next start",
        ),
        (
            "nic.detach",
            {"domain": "d", "match": {}, "live": True, "config": True},
            "detach from running guest d and its definition",
        ),
        ("service.set", {"name": "irqbalance", "running": True}, "service.set name=irqbalance running=on"),
        ("pf.set_numvfs", {}, "pf.set_numvfs"),
    ],
)
def test_sentences(op: str, args: dict[str, Any], told: str) -> None:
    assert sentence({"op": op, "address": "here", "args": args}) == f"here: {told}"
