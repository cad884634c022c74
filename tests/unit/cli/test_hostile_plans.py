"""A saved plan that was changed by hand and can still be read: it does no more than what it declares takes, found out
on the host as it is now."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.exit_codes import ExitCode
from tests.unit.cli.test_commands import Folder
from tests.unit.cli.test_history import facts, sim

FILE = """schema = 1
[pf.int]
match = { name = "enp1s0" }
link = "up"
vfs = 3
[pf.int.vf.1]
vlan = 7
max_tx_rate = 100
[domain.web1.nic.a]
vf = "int/2"
mac = "52:54:00:00:01:02"
"""
Plan = dict[str, Any]
OTHER = "pci/0000:02:00.0"
NASTY: list[Plan] = [
    {"op": "pf.set_numvfs", "address": "pf.int", "args": {"pf": OTHER, "vfs": 7}},
    {"op": "pf.set_link", "address": "pf.int", "args": {"pf": OTHER, "link": "up"}},
    {"op": "modules.set_blacklist", "address": "modules.blacklist", "args": {"modules": ["igbvf"]}},
    {"op": "pool.undefine", "address": "pool.default", "args": {"pool": "default"}},
    {
        "op": "nic.detach",
        "address": "domain.db1.nic.x",
        "args": {"domain": "db1", "match": {"mac": "52:54:00:6d:90:12"}, "live": True, "config": True},
    },
]
"""Steps that are well-formed, and that nothing in the file asks for."""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A simulated host, and a plan for it."""
    made = Folder(tmp_path)
    made.write("host.toml", FILE)
    assert sim(made, "--version").returncode == ExitCode.OK
    assert made.run("sim", "new", "host.sim", "--profile", "igb-lab").returncode == ExitCode.OK
    assert sim(made, "plan", "host.toml", "-o", "p.json").returncode == ExitCode.OK
    return made


def change(folder: Folder, by: Callable[[Plan], None]) -> None:
    plan = json.loads((folder.path / "p.json").read_text())
    by(plan)
    folder.write("p.json", json.dumps(plan))


def apply(folder: Folder, *options: str) -> tuple[int, str]:
    done = sim(folder, "apply", "p.json", *options)
    return done.returncode, done.stdout + done.stderr


def _more_actions(plan: Plan) -> None:
    for number, step in enumerate(NASTY):
        plan["actions"].insert(number, {"id": f"nasty {number}", "needs": [], "undo": {}, "disruption": "none"} | step)


def test_actions_that_the_declaration_does_not_take_are_not_carried_out(folder: Folder) -> None:
    change(folder, _more_actions)
    assert apply(folder)[0] == ExitCode.OK
    changed = facts(folder)
    (folder.path / "host.sim").unlink()
    (folder.path / "host.sim.state" / "ledger.json").unlink()
    assert folder.run("sim", "new", "host.sim", "--profile", "igb-lab").returncode == ExitCode.OK
    assert sim(folder, "apply", "host.toml", "--yes").returncode == ExitCode.OK
    assert changed == facts(folder)


def test_a_way_back_that_was_written_by_hand_is_not_taken(folder: Folder) -> None:
    """The undo is computed anew: here the fifth write fails, and all before it is taken back."""

    def by(plan: Plan) -> None:
        for action in plan["actions"]:
            action["undo"] = {"steps": NASTY[:3]}

    before = facts(folder)
    change(folder, by)
    assert folder.run("sim", "fault", "host.sim", "--at", "5", "--errno", "EIO").returncode == ExitCode.OK
    code, said = apply(folder, "--on-error", "rollback")
    assert code == ExitCode.ROLLED_BACK, said
    after = facts(folder)
    assert after["pfs"][OTHER] == before["pfs"][OTHER]
    assert after["modules"]["own"] is None


def _count(value: int) -> Callable[[Plan], None]:
    def by(plan: Plan) -> None:
        for action in plan["actions"]:
            if action["op"] == "pf.set_numvfs":
                action["args"]["vfs"] = value

    return by


def _without_actions(plan: Plan) -> None:
    plan["actions"] = []


def _another_declaration(plan: Plan) -> None:
    plan["desired"]["pfs"]["int"]["vfs"] = 5


def _another_card(plan: Plan) -> None:
    plan["desired"]["pfs"]["int"]["match"] = {"name": "enp2s0"}


def _not_blocked(plan: Plan) -> None:
    plan["desired"]["pfs"]["int"]["vfs"] = 60000


@pytest.mark.parametrize(
    "by", [_count(2), _count(0), _without_actions, _another_declaration, _another_card, _not_blocked]
)
def test_what_is_carried_out_is_in_the_plan_and_in_what_it_declares(folder: Folder, by: Callable[[Plan], None]) -> None:
    before = facts(folder)
    change(folder, by)
    code, said = apply(folder, "--allow", "management")
    assert code == ExitCode.STALE, said
    assert "Nothing was changed." in said
    assert facts(folder) == before


def test_a_class_that_was_made_milder_is_found_out(folder: Folder) -> None:
    assert sim(folder, "apply", "host.toml", "--yes").returncode == ExitCode.OK
    folder.write("host.toml", FILE.replace("vfs = 3", "vfs = 4"))
    assert sim(folder, "plan", "host.toml", "-o", "p.json").returncode == ExitCode.OK

    def by(plan: Plan) -> None:
        for action in plan["actions"]:
            action["disruption"], action["impact"] = "none", {}

    before = facts(folder)
    change(folder, by)
    code, said = apply(folder, "--allow", "guest")
    assert code == ExitCode.STALE, said
    assert "web1" in said
    assert facts(folder) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [("pci/0000:01:00.0", "pci/../../../../tmp/x"), ("web1", "web1/../x"), ("52:54:00:00:01:02", "01:54:00:00:01:02")],
)
def test_a_name_that_is_a_path_is_refused_before_the_host_is_asked(folder: Folder, old: str, new: str) -> None:
    text = (folder.path / "p.json").read_text()
    assert old in text
    folder.write("p.json", text.replace(old, new))
    before = facts(folder)
    code, said = apply(folder)
    assert code == ExitCode.INVALID
    assert "at actions." in said
    assert facts(folder) == before
    assert not (folder.path / "host.sim.state" / "runs").exists()
