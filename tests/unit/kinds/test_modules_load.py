"""Modules that the host has to load."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.host.model import Applied, BlacklistEntry, LoadEntry, Modules, Snapshot
from reconciler.kinds.operations import OPERATIONS
from reconciler.plan.confirm import halves_of
from reconciler.plan.difference import differences
from reconciler.plan.document import plan_to_json
from reconciler.plan.drift import find_drift
from reconciler.plan.planner import make_plan
from reconciler.report.actions import sentence
from tests.hosts import DataHost, desired, host
from tests.unit.kinds.test_services import execute

OTHERS = [LoadEntry("vfio_pci", "/etc/modules-load.d/x.conf", 1)]


def having(**changed: object) -> Snapshot:
    snapshot = host()
    snapshot.modules = Modules(**{"loaded": [], "blacklist": [], "load": [], **changed})  # type: ignore[arg-type]
    return snapshot


def steps(text: str, snapshot: Snapshot) -> list[tuple[str, object]]:
    found = make_plan(desired(f"[modules]\nload = {text}"), snapshot)
    assert found.verdict == ("changes" if found.actions else "in-sync")
    return [(action.op.removeprefix("modules."), next(iter(action.args.values()))) for action in found.actions]


@pytest.mark.parametrize(
    ("text", "changed", "expected"),
    [
        ("['vfio-pci']", {}, [("set_load", ["vfio_pci"]), ("load", "vfio_pci")]),
        ("['vfio-pci']", {"own_load": ["vfio_pci"], "loaded": ["vfio_pci"]}, []),
        ("['vfio-pci']", {"loaded": ["vfio_pci"]}, [("set_load", ["vfio_pci"])]),
        ("['vfio-pci']", {"load": OTHERS, "loaded": ["vfio_pci"]}, []),
        ("['vfio-pci']", {"load": OTHERS, "own_load": ["vfio_pci"]}, [("load", "vfio_pci")]),
        ("['vfio-pci']", {"builtin": ["vfio_pci"]}, []),
        ("['a', 'b']", {"own_load": ["a", "c"], "loaded": ["a", "b"]}, [("set_load", ["a", "b"])]),
        ("[]", {"own_load": ["a"], "loaded": ["a"]}, [("set_load", None)]),
        ("[]", {}, []),
    ],
)
def test_what_is_done(text: str, changed: dict[str, object], expected: list[tuple[str, object]]) -> None:
    assert steps(text, having(**changed)) == expected


@pytest.mark.parametrize(
    ("changed", "code", "says"),
    [
        ({"missing": {"vfio_pci": ""}}, "module-missing", "install the package"),
        ({"missing": {"vfio_pci": "vfio_pic"}}, "module-missing", 'did you mean "vfio_pic"?'),
        (
            {"blacklist": [BlacklistEntry("vfio_pci", "/etc/modprobe.d/x.conf", 3)]},
            "module-is-blacklisted",
            "(/etc/modprobe.d/x.conf:3)",
        ),
        ({"blacklist": [BlacklistEntry("vfio_pci", "/proc/cmdline")]}, "module-is-blacklisted", "(/proc/cmdline)"),
    ],
)
def test_what_can_not_be_had(changed: dict[str, object], code: str, says: str) -> None:
    found = make_plan(desired("[modules]\nload = ['vfio-pci']"), having(**changed))
    assert found.verdict == "blocked"
    (error,) = found.diagnostics
    assert (error.code, error.address, error.line) == (code, "modules.load", 3)
    assert says in error.detail


@pytest.mark.parametrize("changed", [{"load": None}, {"loaded": None}, {"undecided": ["vfio_pci"]}])
def test_what_could_not_be_read_is_not_in_sync(changed: dict[str, object]) -> None:
    found = make_plan(desired("[modules]\nload = ['vfio-pci']"), having(**changed))
    assert (found.verdict, found.unobserved) == ("blocked", ["modules.load"])


def test_there_and_back(tmp_path: Path) -> None:
    before = having(own_load=["a"], loaded=["a"])
    machine, wanted = DataHost(before), desired("[modules]\nload = ['vfio-pci', 'loop']")
    found = make_plan(wanted, before)
    assert execute(machine, found, tmp_path) == []
    assert make_plan(wanted, machine.observe()).verdict == "in-sync"
    assert [sentence(action) for action in plan_to_json(found)["actions"]] == [
        "modules.load: have loop and vfio_pci loaded at boot",
        "modules.load: load loop",
        "modules.load: load vfio_pci",
    ]
    for action in reversed(found.actions):
        for step in action.undo.steps:
            OPERATIONS[step.op].simulate(machine.state, step.args)
    assert differences(before, machine.observe(), found.actions) == []


def test_what_outlasts_a_reboot_waits_for_the_confirmation() -> None:
    halves = halves_of(make_plan(desired("[modules]\nload = ['vfio-pci']"), having()).actions)
    assert [action.op for action in halves.now] == ["modules.load"]
    assert [action.op for action in halves.later] == ["modules.set_load"]


@pytest.mark.parametrize("edited", ["['a', 'c']", "['b', 'c']", "['c']", "['a', 'b', 'c']"])
def test_an_edit_of_the_file_is_pending(edited: str) -> None:
    """Whatever it takes out, as long as the host has what was applied."""
    snapshot = having(own_load=["a"], load=[LoadEntry("b", "/etc/modules-load.d/x.conf", 1)], loaded=["a", "b"])
    snapshot.ledger["modules.load"] = {name: Applied(["a", "b"]) for name in ("entries", "loaded")}
    wanted = desired(f"[modules]\nload = {edited}")
    labels = {item.field: item.label for item in find_drift(wanted, snapshot).fields}
    assert labels == {"entries": "pending", "loaded": "pending"}
    snapshot.modules.loaded = ["b"]
    assert {item.field: item.label for item in find_drift(wanted, snapshot).fields}["loaded"] == "conflict"


def test_a_driver_that_is_newly_blacklisted_is_no_drift() -> None:
    snapshot = having(own=["a"], loaded=["b"])
    snapshot.ledger["modules.blacklist"] = {"entries": Applied(["a"]), "loaded": Applied([])}
    edited = find_drift(desired("[modules]\nblacklist = ['a', 'b']"), snapshot)
    assert {item.field: item.label for item in edited.fields if item.field != "initramfs"} == {
        "entries": "pending",
        "loaded": "pending",
    }
    snapshot.modules.loaded = ["a"]
    moved = find_drift(desired("[modules]\nblacklist = ['a']"), snapshot)
    assert {item.field: item.label for item in moved.fields}["loaded"] == "drift"
