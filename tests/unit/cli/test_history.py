"""``rollback`` and ``history``, after applies to a simulated host."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from reconciler.apply.journal import add_record
from reconciler.exit_codes import ExitCode
from tests.unit.cli.inside import Inside
from tests.unit.cli.test_commands import Folder

FILE = """schema = 1
[pf.int]
match = { name = "enp1s0" }
link = "up"
vfs = 3

[pf.int.vf.1]
vlan = 7
"""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Inside(tmp_path)
    made.write("host.toml", FILE)
    assert made.run("sim", "new", "host.sim", "--profile", "igb-lab").returncode == ExitCode.OK
    return made


def sim(folder: Folder, *arguments: str, stdin: str = ""):  # type: ignore[no-untyped-def]
    return folder.run("--host", "sim:host.sim", *arguments, stdin=stdin)


def facts(folder: Folder) -> dict:  # type: ignore[type-arg]
    """What can be seen of the host, but for when it was."""
    found = json.loads(sim(folder, "snapshot").stdout)
    return {key: found[key] for key in ("pfs", "libvirt", "modules")}


def test_the_last_run_is_taken_back_to_the_values_before(folder: Folder) -> None:
    before = facts(folder)
    assert sim(folder, "apply", "host.toml", "--yes").returncode == ExitCode.OK
    assert facts(folder)["pfs"] != before["pfs"]
    folder.write("host.toml", FILE.replace("vlan = 7", "vlan = 8"))
    assert sim(folder, "apply", "host.toml", "--yes").returncode == ExitCode.OK
    done = sim(folder, "rollback")
    assert done.returncode == ExitCode.OK, done.stderr
    assert "what they touched is as before" in done.stdout
    assert facts(folder)["pfs"]["pci/0000:01:00.0"]["vfs"][1]["attributes"]["vlan"] == 7
    again = sim(folder, "rollback")
    assert again.returncode == ExitCode.FAILED
    assert "There is nothing to take back." in again.stderr
    lines = sim(folder, "history").stdout.splitlines()
    assert [line.split()[3] for line in lines[1:]] == ["rollback", "apply", "apply"]


def test_the_first_run_is_taken_back_to_no_vfs(folder: Folder) -> None:
    before = facts(folder)
    sim(folder, "apply", "host.toml", "--yes")
    assert sim(folder, "rollback").returncode == ExitCode.OK
    assert facts(folder)["pfs"] == before["pfs"]
    folder.write("host.toml", FILE)
    assert sim(folder, "drift", "host.toml").returncode == ExitCode.CHANGES  # What was taken back is not on record.


def test_a_failure_in_the_middle_is_taken_back(folder: Folder) -> None:
    before = facts(folder)
    assert folder.run("sim", "fault", "host.sim", "--at", "3", "--errno", "EIO").returncode == ExitCode.OK
    done = sim(folder, "apply", "host.toml", "--yes", "--on-error", "rollback")
    assert done.returncode == ExitCode.ROLLED_BACK, done.stdout + done.stderr
    assert "and taken back" in done.stdout
    assert facts(folder)["pfs"] == before["pfs"]
    assert "not completed, taken back" in sim(folder, "history").stdout


SHRINKING = """schema = 1
[pf.int]
match = { name = "enp1s0" }
vfs = 4
[pool.p]
vfs = ["int/0-3"]
"""


@pytest.mark.parametrize("number", range(1, 9))
def test_a_pool_gets_its_old_list_back_after_its_vfs(folder: Folder, number: int) -> None:
    """libvirt defines a pool only with VFs that are there."""
    folder.write("host.toml", SHRINKING)
    assert sim(folder, "apply", "host.toml", "--yes").returncode == ExitCode.OK
    before = facts(folder)
    folder.write("host.toml", SHRINKING.replace("vfs = 4", "vfs = 2").replace("0-3", "0-1"))
    folder.run("sim", "fault", "host.sim", "--at", str(number), "--errno", "EIO")
    done = sim(folder, "apply", "host.toml", "--yes", "--on-error", "rollback")
    if done.returncode != ExitCode.OK:  # There are fewer writes than that.
        assert done.returncode in (ExitCode.ROLLED_BACK, ExitCode.FAILED), done.stdout + done.stderr
        assert facts(folder) == before


def last_name(folder: Folder) -> str:
    return sim(folder, "history").stdout.splitlines()[1].split()[0]


def steps_of(folder: Folder) -> list[tuple[str, ...]]:
    """Of the last run: where, what, values, what came of it; without the seconds."""
    shown = sim(folder, "history", last_name(folder)).stdout
    lines = [re.sub(r" \([0-9.]+ s\)$", "", line) for line in shown.splitlines()]
    return [tuple(re.split(r"  +", line.strip())) for line in lines if re.match(r"  pf\.\S+ +(pf|vf)\.", line)]


def test_a_run_step_by_step_with_the_values_before_and_after(folder: Folder) -> None:
    sim(folder, "apply", "host.toml", "--yes")
    shown = sim(folder, "history", last_name(folder)).stdout
    assert re.search(r"vfs 0 -> 3 +done \([0-9.]+ s\)", shown)
    assert "host.toml" in shown
    assert steps_of(folder) == [
        ("pf.int", "pf.set_link", "link down -> up", "done"),
        ("pf.int", "pf.set_numvfs", "vfs 0 -> 3", "done"),
        ("pf.int.vf.1", "vf.set", "vlan 7", "done"),
    ]
    folder.write("host.toml", FILE.replace("vlan = 7", "vlan = 8\nmax_tx_rate = 100"))
    sim(folder, "apply", "host.toml", "--yes")
    assert steps_of(folder) == [
        ("pf.int.vf.1", "vf.set", "vlan 7 -> 8", "done"),
        ("pf.int.vf.1", "vf.set", "max_tx_rate 0 (no limit) -> 100 Mbit/s", "done"),
    ]
    sim(folder, "rollback")
    assert steps_of(folder) == [
        ("pf.int.vf.1", "vf.set", "max_tx_rate 100 Mbit/s -> 0 (no limit)", "done"),
        ("pf.int.vf.1", "vf.set", "vlan 8 -> 7", "done"),
    ]
    assert "later taken back" in sim(folder, "history").stdout


def test_vfs_that_were_made_again_tell_what_they_had(folder: Folder) -> None:
    sim(folder, "apply", "host.toml", "--yes")
    folder.write("host.toml", FILE.replace("vfs = 3", "vfs = 4").replace("vlan = 7", "vlan = 8"))
    assert sim(folder, "apply", "host.toml", "--yes").returncode == ExitCode.OK
    told = {values for _, _, values, _ in steps_of(folder)}
    assert {"vfs 3 -> 0", "vfs 0 -> 4", "vlan 7 -> 8"} <= told


def test_what_was_taken_back_or_left_is_told(folder: Folder) -> None:
    folder.run("sim", "fault", "host.sim", "--at", "3", "--errno", "EIO")
    done = sim(folder, "apply", "host.toml", "--yes", "--on-error", "rollback")
    assert done.returncode == ExitCode.ROLLED_BACK
    assert re.search(r" 2 +not completed, taken back", sim(folder, "history").stdout)  # Two were done.
    shown = sim(folder, "history", last_name(folder)).stdout
    steps, _, back = shown.partition("Taken back:")
    assert re.search(r"vfs 0 -> 3 +done, and taken back", steps)
    assert re.search(r"vlan 7 +FAILED", steps)
    assert "Input/output error" in steps
    assert re.search(r"vfs 3 -> 0 +done", back)


def test_a_run_that_was_killed_is_interrupted_and_can_be_taken_back(folder: Folder) -> None:
    before = facts(folder)
    folder.run("sim", "fault", "host.sim", "--at", "3", "--crash")
    killed = folder.run_killed("--host", "sim:host.sim", "apply", "host.toml", "--yes")
    assert killed.returncode < 0
    assert "interrupted" in sim(folder, "history").stdout
    done = sim(folder, "rollback")
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    assert facts(folder)["pfs"] == before["pfs"]


@pytest.mark.parametrize("name", ["nothing", "../runs", ""])
def test_a_run_that_is_not_on_record(folder: Folder, name: str) -> None:
    done = sim(folder, "history", name)
    assert done.returncode == ExitCode.USAGE
    assert "There is no such run." in done.stderr


def test_without_runs(folder: Folder) -> None:
    assert sim(folder, "history").stdout == "Nothing was applied here yet.\n"
    assert sim(folder, "rollback").returncode == ExitCode.FAILED


def test_nothing_is_applied_on_top_of_a_run_that_waits_for_its_confirmation(folder: Folder) -> None:
    sim(folder, "apply", "host.toml", "--yes")
    (run,) = (folder.path / "host.sim.state" / "runs").iterdir()
    add_record(run, "armed", unit="reconciler-test", until=1e12)
    folder.write("host.toml", FILE.replace("vlan = 7", "vlan = 8"))
    before = facts(folder)
    done = sim(folder, "apply", "host.toml", "--yes")
    assert done.returncode == ExitCode.LOCKED, done.stdout + done.stderr
    assert f"First keep run {run.name} with `reconciler --host sim:host.sim confirm`" in done.stderr
    assert facts(folder) == before
    assert folder.run("sim", "run", "host.sim", "reboot").returncode == ExitCode.OK
    assert sim(folder, "apply", "host.toml", "--yes").returncode == ExitCode.OK


def test_that_a_run_was_interrupted_and_left_nothing_is_told_once(folder: Folder) -> None:
    sim(folder, "apply", "host.toml", "--yes")
    (run,) = (folder.path / "host.sim.state" / "runs").iterdir()
    journal = run / "journal.jsonl"
    journal.write_text("".join(line for line in journal.read_text().splitlines(keepends=True) if '"end"' not in line))
    told = f"Note: run {run.name} was interrupted. All is as declared now."
    assert told in sim(folder, "apply", "host.toml", "--yes", "--target", "pf.int").stderr
    assert told in sim(folder, "apply", "host.toml", "--yes").stderr
    assert "interrupted" not in sim(folder, "apply", "host.toml", "--yes").stderr


def test_a_ledger_that_is_set_aside_is_told_when_all_is_right_too(folder: Folder) -> None:
    sim(folder, "apply", "host.toml", "--yes")
    (folder.path / "host.sim.state" / "ledger.json").write_text("{broken")
    done = sim(folder, "apply", "host.toml", "--yes")
    assert done.returncode == ExitCode.OK
    assert "The ledger that could not be used is now ledger.json.unusable." in done.stderr
