"""``reset`` on a simulated host."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.exit_codes import ExitCode
from tests.unit.cli.inside import Inside
from tests.unit.cli.test_commands import Folder

FILE = """schema = 1
[pf.int]
match = { name = "enp1s0" }
link = "up"
vfs = 4
vf_driver = "none"
[pf.int.vf.1]
vlan = 7
[domain.web1.nic.data]
vf = "int/2"
mac = "52:54:00:00:00:07"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Inside(tmp_path)
    made.write("host.toml", FILE)
    assert made.run("sim", "new", "host.sim", "--profile", "igb-lab").returncode == ExitCode.OK
    assert sim(made, "apply", "host.toml", "--yes").returncode == ExitCode.OK
    return made


def sim(folder: Folder, *arguments: str, stdin: str = ""):  # type: ignore[no-untyped-def]
    return folder.run("--host", "sim:host.sim", *arguments, stdin=stdin)


def test_the_named_vf_is_as_new_and_drift_tells_so(folder: Folder) -> None:
    by_hand = ("ip", "link", "set", "enp1s0", "vf", "0", "trust", "on")
    assert folder.run("sim", "run", "host.sim", *by_hand).returncode == ExitCode.OK
    done = sim(folder, "reset", "enp1s0/0-1", "--yes")
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    assert "pf.enp1s0.vf.0" in done.stdout
    again = sim(folder, "reset", "enp1s0/0-1", "--yes")
    assert (again.returncode, again.stdout) == (ExitCode.OK, "At the driver's defaults already: enp1s0/0-1.\n")
    drift = sim(folder, "drift", "host.toml")
    assert drift.returncode == ExitCode.CHANGES
    assert "drift (1)" in drift.stdout
    assert "pf.int.vf.1.vlan" in drift.stdout
    assert "reset of enp1s0/0-1" in sim(folder, "history").stdout


def test_a_vf_that_a_guest_has_is_refused_and_nothing_is_written(folder: Folder) -> None:
    before = (folder.path / "host.sim").read_bytes()
    refused = sim(folder, "reset", "0000:01:00.0/2", "--yes")
    assert refused.returncode == ExitCode.REFUSED
    assert "guest web1 (ua-rec-data) has it" in refused.stderr
    assert (folder.path / "host.sim").read_bytes() == before
    assert sim(folder, "reset", "0000:01:00.0/2", "--yes", "--allow", "guest").returncode == ExitCode.OK


def test_what_is_not_there_is_said_all_at_once(folder: Folder) -> None:
    wrong = sim(folder, "reset", "enp1s0/9", "eth7/0", "enp1s0", "--yes")
    assert wrong.returncode == ExitCode.USAGE
    for part in ("has 4 VFs", "no PF 'eth7'", '"enp1s0" is no reference'):
        assert part in wrong.stderr


def test_it_asks_first(folder: Folder) -> None:
    assert sim(folder, "reset", "enp1s0/1").returncode == ExitCode.USAGE


def test_it_can_be_taken_back(folder: Folder) -> None:
    assert sim(folder, "reset", "enp1s0/1", "--yes").returncode == ExitCode.OK
    assert sim(folder, "rollback", "--yes").returncode == ExitCode.OK
    assert sim(folder, "drift", "host.toml").returncode == ExitCode.OK
