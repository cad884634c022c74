"""Two state files for one host: contradictions are told, and what one takes over from the other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.exit_codes import ExitCode
from tests.unit.cli.inside import Inside
from tests.unit.cli.test_commands import Folder
from tests.unit.cli.test_history import sim

A = """schema = 1
[pf.int]
match = { name = "enp1s0" }
link = "up"
vfs = 4
vf_driver = "none"
[pf.int.vf.0]
vlan = 10
max_tx_rate = 100
[domain.db1.nic.data]
vf = "int/3"
"""
B = """schema = 1
[pf.card]
match = { address = "0000:01:00.0" }
vfs = 4
[pf.card.vf.0]
vlan = 20
[domain.idle1.nic.data]
vf = "card/3"
"""
APART = """schema = 1
[pf.card]
match = { address = "0000:01:00.0" }
link = "up"
[pf.card.vf.1]
vlan = 21
[domain.db1.nic.data]
vf = "card/3"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A host with A applied."""
    made = Inside(tmp_path)
    made.write("a.toml", A)
    made.write("b.toml", B)
    made.write("apart.toml", APART)
    made.run("sim", "new", "host.sim", "--profile", "igb-lab")
    assert sim(made, "apply", "a.toml", "--yes").returncode == ExitCode.OK
    return made


def test_two_files_that_contradict_one_another_are_told_field_by_field(folder: Folder) -> None:
    done = sim(folder, "plan", "a.toml", "b.toml")
    assert done.returncode == ExitCode.FAILED
    assert done.stderr.splitlines() == [
        "Error: Two files for one host contradict one another. a.toml and b.toml are for lab, where applying one takes "
        "back what the other declares. Put all that is for one host into one file.",
        "  pf.int.vf.0.vlan is 10 in a.toml:8, and pf.card.vf.0.vlan is 20 in b.toml:6",
        "  domain.db1.nic.data.vf is int/3 in a.toml:11, and domain.idle1.nic.data.vf is card/3 in b.toml:8",
    ]
    assert "In sync: lab is as a.toml declares." in done.stdout


@pytest.mark.parametrize("other", ["apart.toml", "a.toml"])
def test_files_that_share_a_host_and_nothing_else_are_fine(folder: Folder, other: str) -> None:
    done = sim(folder, "plan", "a.toml", other)
    assert (done.returncode, done.stderr) == (ExitCode.OK, "")


def test_files_for_different_hosts_are_not_compared(folder: Folder) -> None:
    folder.write("a.toml", A + '[host]\nname = "lab"\n')
    folder.write("b.toml", B + '[host]\nname = "other"\n')
    assert "contradict" not in sim(folder, "plan", "a.toml", "b.toml").stderr


def test_many_contradictions_are_counted(folder: Folder) -> None:
    vfs = 'schema = 1\n[pf.x]\nmatch.name = "enp1s0"\n[pf.x.vf."0-3"]\n'
    folder.write("b.toml", f"{vfs}spoofchk = false\ntrust = true\nmin_tx_rate = 1\nqos = 1\n")
    folder.write("c.toml", f"{vfs}spoofchk = true\ntrust = false\nmin_tx_rate = 0\nqos = 0\n")
    said = sim(folder, "plan", "b.toml", "c.toml").stderr.splitlines()
    assert (len(said), said[-1]) == (12, "  and 6 more")


def test_what_another_file_takes_over_is_noted(folder: Folder) -> None:
    folder.write("b.toml", B.partition("[domain")[0])
    done = sim(folder, "apply", "b.toml", "--yes")
    assert done.returncode == ExitCode.OK
    assert (
        "Note: pf.card.vf.0.vlan was last applied from a.toml, and b.toml declares otherwise. If both files are for "
        "this host, each apply takes back the other's: put all into one."
    ) in done.stderr.splitlines()
    drift = sim(folder, "drift", "a.toml", "--json")
    assert drift.returncode == ExitCode.OK
    assert [(item["address"], item["label"]) for item in json.loads(drift.stdout)["fields"]] == [
        ("pf.int.vf.0", "pending")
    ]


def test_a_file_that_was_changed_or_is_called_otherwise_is_not_another_one(folder: Folder) -> None:
    folder.write("a.toml", A.replace("vlan = 10", "vlan = 30"))
    done = sim(folder, "apply", "a.toml", "--yes")
    assert (done.returncode, "Note" in done.stderr) == (ExitCode.OK, False)
    folder.write("a.toml", A)
    done = sim(folder, "apply", str(folder.path / "a.toml"), "--yes")
    assert (done.returncode, "Note" in done.stderr) == (ExitCode.OK, False)


def test_also_of_a_saved_plan(folder: Folder) -> None:
    folder.write("b.toml", B.partition("[domain")[0])
    assert sim(folder, "plan", "b.toml", "-o", "p.json").returncode == ExitCode.OK
    assert "pf.card.vf.0.vlan was last applied from a.toml" in sim(folder, "apply", "p.json").stderr
