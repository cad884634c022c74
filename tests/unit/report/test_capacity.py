"""The lines on capacity: when they are shown, and what they say."""

from __future__ import annotations

from typing import Any

from reconciler.report.capacity import capacity_rows
from reconciler.report.plan_markdown import render_plan_markdown
from reconciler.report.plan_text import render_plan
from tests.unit.report.samples import plan

NONE = dict.fromkeys(("pooled", "running", "off", "other", "declared", "free"), 0)


def document(*ops: str, pools: list[dict[str, Any]] | None = None, **pf: int) -> dict[str, Any]:
    told = plan()
    told["actions"] = [
        {"id": op, "op": op, "address": "x", "args": {}, "needs": [], "disruption": "none"} for op in ops
    ]
    told["capacity"] = {"pfs": [{"address": "pf.int", "vfs": 7, **NONE, **pf}], "pools": pools or []}
    return told


def pool(vfs: int, *names: str, off: tuple[str, ...] = (), other: int = 0) -> dict[str, Any]:
    free = max(0, vfs - other - len(names) - len(off))
    return {"address": "pool.p", "vfs": vfs, "running": [*names], "off": [*off], "other": other, "free": free}


def test_a_plan_that_is_about_something_else_does_not_tell() -> None:
    assert capacity_rows(document(free=7)) == []
    assert capacity_rows(document("vf.set", free=5, running=2, pools=[pool(4, "web")])) == []
    assert capacity_rows(document("pf.set_numvfs", free=7)) == []
    assert capacity_rows({}) == []


def test_a_plan_about_guests_pools_or_their_vfs_tells() -> None:
    for op in ("nic.attach", "pool.define", "pf.set_numvfs"):
        assert capacity_rows(document(op, running=2, pooled=3, free=2)) == [
            ["pf.int", "7 VFs: 3 in pools, 2 with guests that run, 2 free"]
        ]


def test_a_pool_that_is_too_small_is_always_told() -> None:
    rows = capacity_rows(document(free=3, pooled=4, pools=[pool(4, "web", "db", off=("idle", "old"), other=1)]))
    assert rows[1] == ["pool.p", "4 VFs: 4 wanted (web, db, idle (off), old (off)), 1 in use by others, 1 too few"]


def test_a_guest_with_several_nics_is_named_once() -> None:
    rows = capacity_rows(document("nic.attach", pools=[pool(7, "web", "web", off=("db", "db", "db", "web"))]))
    assert rows[1][1] == "7 VFs: 6 wanted (web (2 NICs), db (3 NICs, off), web (off)), 1 free"


def test_a_long_list_is_cut() -> None:
    rows = capacity_rows(document("pool.start", pools=[pool(63, *(f"g{number}" for number in range(40)))]))
    assert rows[1][1].endswith("g11 and 28 more), 23 free")


def test_it_stands_in_text_and_markdown() -> None:
    told = document("nic.attach", free=6, running=1, pools=[pool(4, "a|b")])
    assert "\nVFs after this plan:\n  pf.int  7 VFs: 1 with guests that run, 6 free\n" in render_plan(told, color=False)
    assert "a\\|b" in render_plan_markdown(told) or "a&#124;b" in render_plan_markdown(told)
