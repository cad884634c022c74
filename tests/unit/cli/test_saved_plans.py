"""Saved plans against a host that has moved since: what goes through, what doesn't, and how that is told."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from reconciler.exit_codes import ExitCode
from tests.unit.cli.inside import Inside
from tests.unit.cli.test_commands import Folder
from tests.unit.cli.test_history import facts, sim

FILE = """schema = 1
[pf.int]
match = { name = "enp1s0" }
link = "up"
vfs = 4
[pf.int.vf.0]
vlan = 100
[pf.int.vf.1]
vlan = 101
[domain.web1.nic.mgmt]
vf = "int/3"
mac = "52:54:00:6d:90:03"
"""
RATE = FILE.replace("vlan = 101", "vlan = 101\nmax_tx_rate = 500")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A host to which the file was applied, and a plan that sets one rate more."""
    made = Inside(tmp_path)
    made.write("host.toml", FILE)
    made.run("sim", "new", "host.sim", "--profile", "igb-lab")
    assert sim(made, "apply", "host.toml", "--yes").returncode == ExitCode.OK
    made.write("host.toml", RATE)
    assert sim(made, "plan", "host.toml", "-o", "p.json").returncode == ExitCode.OK
    return made


def by_hand(folder: Folder, *command: str) -> None:
    assert folder.run("sim", "run", "host.sim", *command).returncode == ExitCode.OK


def test_an_unmoved_host_gets_exactly_the_plan(folder: Folder) -> None:
    done = sim(folder, "apply", "p.json")
    assert done.returncode == ExitCode.OK, done.stderr
    assert "Note" not in done.stderr
    assert sim(folder, "plan", "host.toml", "--detailed-exitcode").returncode == ExitCode.OK


def test_a_change_by_hand_that_makes_more_work_is_refused_with_the_fields_that_moved(folder: Folder) -> None:
    by_hand(folder, "ip", "link", "set", "enp1s0", "vf", "0", "vlan", "9")
    before = facts(folder)
    done = sim(folder, "apply", "p.json")
    assert done.returncode == ExitCode.STALE
    assert done.stderr.splitlines() == [
        "Error: The plan no longer fits the host. Nothing was changed.",
        "  What would be done now beyond it:",
        "    pf.int.vf.0: set vlan 100: not in the plan",
        "  Since the plan was made:",
        "    pf.int.vf.0: vlan was 100, as declared, and is 9",
        "  Look at the host, and make a new plan: reconciler plan host.toml -o PLAN",
    ]
    assert facts(folder) == before


def test_a_change_by_hand_that_helps_goes_through(folder: Folder) -> None:
    by_hand(folder, "ip", "link", "set", "enp1s0", "vf", "1", "max_tx_rate", "500")
    done = sim(folder, "apply", "p.json")
    assert (done.returncode, done.stderr) == (ExitCode.OK, "")


def test_another_value_before_is_a_note(folder: Folder) -> None:
    by_hand(folder, "ip", "link", "set", "enp1s0", "vf", "1", "max_tx_rate", "70")
    done = sim(folder, "apply", "p.json")
    assert done.returncode == ExitCode.OK
    moved = "Note: since the plan was made, pf.int.vf.1: max_tx_rate was 0 (no limit) and is 70 Mbit/s."
    assert done.stderr.count(moved) == 1


@pytest.fixture
def count(folder: Folder) -> Folder:
    """Beside it a plan for another count, made while the guest was off."""
    by_hand(folder, "virsh", "destroy", "web1")
    folder.write("host.toml", FILE.replace("vfs = 4", "vfs = 5"))
    assert sim(folder, "plan", "host.toml", "-o", "p.json").returncode == ExitCode.OK
    return folder


def test_a_guest_that_came_since_makes_it_another_plan(count: Folder) -> None:
    by_hand(count, "virsh", "start", "web1")
    before = facts(count)
    done = sim(count, "apply", "p.json", "--allow", "guest")
    assert done.returncode == ExitCode.STALE
    assert "domain.web1.nic.mgmt: detach from running guest web1: not in the plan" in done.stderr
    assert "pf.int: remove all VFs: now of class guest, and was vf-reset" in done.stderr
    assert "now touches guest web1 (ua-rec-mgmt on VF 3 of 0000:01:00.0) too" in done.stderr
    assert facts(count) == before


def test_a_guest_that_went_since_is_no_obstacle(count: Folder) -> None:
    by_hand(count, "virsh", "start", "web1")
    assert sim(count, "plan", "host.toml", "-o", "p.json").returncode == ExitCode.OK
    by_hand(count, "virsh", "destroy", "web1")
    done = sim(count, "apply", "p.json", "--allow", "guest")
    assert done.returncode == ExitCode.OK, done.stderr


def test_what_blocks_a_new_plan_is_the_difference(count: Folder) -> None:
    by_hand(count, "pull", "enp1s0")
    done = sim(count, "apply", "p.json")
    assert done.returncode == ExitCode.STALE
    assert "A new plan is blocked:\n    pf.int: " in done.stderr


def test_a_reboot_is_a_note_and_more_work_the_obstacle(folder: Folder) -> None:
    by_hand(folder, "reboot")
    done = sim(folder, "apply", "p.json")
    assert done.returncode == ExitCode.STALE
    assert "Note: the host was rebooted since the plan was made." in done.stderr
    assert "pf.int: vfs was 4, as declared, and is 0" in done.stderr
    assert sim(folder, "plan", "host.toml", "-o", "p.json").returncode == ExitCode.OK
    by_hand(folder, "reboot")
    done = sim(folder, "apply", "p.json")
    assert done.returncode == ExitCode.OK, done.stderr
    assert "Note: the host was rebooted since the plan was made." in done.stderr


def test_a_plan_for_another_machine_is_refused(folder: Folder) -> None:
    folder.run("sim", "new", "other.sim", "--profile", "r620-x520")
    done = folder.run("--host", "sim:other.sim", "apply", "p.json")
    assert done.returncode == ExitCode.STALE
    assert "The plan is for another machine." in done.stderr


def edited(folder: Folder, **changes: object) -> None:
    document = json.loads((folder.path / "p.json").read_text())
    folder.write("p.json", json.dumps({**document, **changes}))


def test_another_version_of_the_tool_is_a_note_and_another_format_an_error(folder: Folder) -> None:
    edited(folder, tool={"name": "reconciler", "version": "0.0.9"})
    done = sim(folder, "apply", "p.json")
    assert done.returncode == ExitCode.OK
    assert "Note: the plan was made by reconciler 0.0.9, and this is " in done.stderr
    edited(folder, format="reconciler-plan/2")
    assert sim(folder, "apply", "p.json").returncode == ExitCode.INVALID


def test_a_state_file_that_has_changed_since_is_a_note(folder: Folder) -> None:
    folder.write("host.toml", FILE)
    done = sim(folder, "apply", "p.json")
    assert done.returncode == ExitCode.OK
    assert "Note: host.toml has changed since the plan was made. What is carried out is the plan" in done.stderr
    assert facts(folder)["pfs"]["pci/0000:01:00.0"]["vfs"][1]["attributes"]["max_tx_rate"] == 500


@pytest.mark.parametrize("path", ["gone.toml", "/dev/zero", "", "a\0b", "."])
def test_a_state_file_that_is_not_there_is_none_of_its_business(folder: Folder, path: str) -> None:
    edited(folder, source={"path": path, "sha256": "0" * 64})
    done = sim(folder, "apply", "p.json")
    assert done.returncode == ExitCode.OK
    assert "Note" not in done.stderr


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o022])
def test_a_plan_is_its_owners_alone(folder: Folder, umask: int) -> None:
    (folder.path / "elsewhere").write_text("theirs")
    (folder.path / "link.json").symlink_to("elsewhere")
    (folder.path / "wide.json").touch(0o666)
    before = os.umask(umask)
    try:
        for name in ("q.json", "link.json", "wide.json"):
            assert sim(folder, "plan", "host.toml", "-o", name).returncode == ExitCode.OK
            found = (folder.path / name).lstat()
            assert (stat.S_ISREG(found.st_mode), stat.S_IMODE(found.st_mode)) == (True, 0o600)
    finally:
        os.umask(before)
    assert (folder.path / "elsewhere").read_text() == "theirs"


def test_a_plan_can_be_saved_to_what_is_no_file(folder: Folder) -> None:
    assert sim(folder, "plan", "host.toml", "-o", "/dev/null").returncode == ExitCode.OK
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
