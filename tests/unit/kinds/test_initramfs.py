"""A blacklist and the initramfs: made anew where it has the module, and only there."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.host.model import Modules, Snapshot
from reconciler.plan.confirm import halves_of
from reconciler.plan.drift import find_drift
from reconciler.plan.planner import make_plan
from reconciler.report.actions import sentence
from tests.hosts import DataHost, desired, host
from tests.unit.kinds.test_services import execute

WANTED = desired('[modules]\nblacklist = ["igbvf"]')


def having(**changed: object) -> Snapshot:
    snapshot = host()
    snapshot.modules = Modules(**{"loaded": [], "blacklist": [], **changed})  # type: ignore[arg-type]
    return snapshot


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, ["set_blacklist"]),
        ({"initramfs": ["igbvf"]}, ["set_blacklist", "rebuild_initramfs"]),
        ({"initramfs": ["igbvf"], "loaded": ["igbvf"]}, ["set_blacklist", "unload", "rebuild_initramfs"]),
        ({"initramfs": ["ixgbevf"], "initramfs_old": ["ixgbevf"]}, ["set_blacklist"]),
        ({"initramfs": ["igbvf"], "initramfs_old": ["igbvf"], "own": ["igbvf"]}, ["rebuild_initramfs"]),
        ({"initramfs": ["igbvf", "ixgbevf"], "initramfs_old": ["ixgbevf"], "own": ["igbvf"]}, []),
        ({"initramfs": ["igbvf"], "own": ["igbvf"]}, []),
    ],
)
def test_what_is_done(changed: dict[str, object], expected: list[str]) -> None:
    found = make_plan(WANTED, having(**changed))
    assert [action.op.removeprefix("modules.") for action in found.actions] == expected
    assert found.verdict == ("changes" if expected else "in-sync")


def test_there_and_back(tmp_path: Path) -> None:
    machine = DataHost(having(initramfs=["igbvf"]))
    found = make_plan(WANTED, machine.observe())
    assert execute(machine, found, tmp_path) == []
    assert machine.observe().modules.initramfs_old == []
    assert make_plan(WANTED, machine.observe()).verdict == "in-sync"
    assert [(step.op, step.args) for action in found.actions for step in action.undo.steps] == [
        ("modules.set_blacklist", {"modules": None}),
        ("modules.rebuild_initramfs", {"modules": ["igbvf"]}),
    ]
    assert sentence(
        {"op": "modules.rebuild_initramfs", "address": "modules.blacklist", "args": {"modules": ["igbvf"]}}
    ) == ("modules.blacklist: rebuild the initramfs, which has igbvf")


def test_it_is_drift_when_it_lacks_the_list() -> None:
    found = find_drift(WANTED, having(own=["igbvf"], initramfs=["igbvf"], initramfs_old=["igbvf"]))
    assert [(field.field, field.label, field.observed) for field in found.fields] == [
        ("initramfs", "unrecorded", ["igbvf"])
    ]


def test_what_can_not_be_read_is_not_in_sync() -> None:
    found = make_plan(WANTED, having(own=["igbvf"], initramfs=None))
    assert (found.verdict, found.unobserved) == ("blocked", ["modules.blacklist"])


def test_it_waits_for_the_confirmation() -> None:
    halves = halves_of(make_plan(WANTED, having(initramfs=["igbvf"])).actions)
    assert [action.op for action in halves.now] == ["modules.set_blacklist"]
    assert [action.op for action in halves.later][-1] == "modules.rebuild_initramfs"
