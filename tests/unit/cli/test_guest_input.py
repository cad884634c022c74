"""Guests that are renamed or undefined between a plan and its apply, or in the middle of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.exit_codes import ExitCode
from tests.unit.cli.inside import Inside
from tests.unit.cli.test_commands import Folder
from tests.unit.cli.test_history import facts, sim

PF = """schema = 1
[pf.int]
match = { name = "enp1s0" }
link = "up"
vfs = 4
vf_driver = "none"
"""
FILE = (
    PF
    + """[domain.db1.nic.data]
vf = "int/1"
mac = "52:54:00:6d:99:01"
"""
)
GONE = {"virsh domrename db1 db2": "Did you mean 'db2'?", "virsh undefine db1": "Domains here: idle1, web1."}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A host with VFs, and a plan that gives db1 one."""
    made = Inside(tmp_path)
    made.write("pf.toml", PF)
    made.write("host.toml", FILE)
    made.run("sim", "new", "host.sim", "--profile", "igb-lab")
    assert sim(made, "apply", "pf.toml", "--yes").returncode == ExitCode.OK
    assert sim(made, "plan", "host.toml", "-o", "p.json").returncode == ExitCode.OK
    return made


@pytest.mark.parametrize("command", GONE)
def test_between_plan_and_apply(folder: Folder, command: str) -> None:
    assert folder.run("sim", "run", "host.sim", *command.split()).returncode == ExitCode.OK
    before = facts(folder)
    stale = sim(folder, "apply", "p.json")
    assert stale.returncode == ExitCode.STALE
    for text in ("domain.db1: libvirt doesn't know this guest.", "Nothing was changed", "reconciler plan host.toml"):
        assert text in stale.stderr
    blocked = sim(folder, "apply", "host.toml", "--yes")
    assert blocked.returncode == ExitCode.FAILED
    for text in ("There is no domain 'db1'.", GONE[command], "Define it, correct the name"):
        assert text in blocked.stdout
    assert facts(folder) == before


@pytest.mark.parametrize("command", GONE)
def test_between_plan_and_step(folder: Folder, command: str) -> None:
    folder.write("host.toml", FILE + "[pf.int.vf.0]\nvlan = 7\n")
    assert folder.run("sim", "fault", "host.sim", "--at", "1", "--after", "--do", command).returncode == ExitCode.OK
    failed = sim(folder, "apply", "host.toml", "--yes")
    assert failed.returncode == ExitCode.PARTIAL
    said = failed.stdout + failed.stderr
    assert "domain.db1.nic.data" in said
    assert "no domain with matching name 'db1'" in said
    twin = json.loads((folder.path / "host.sim").read_text())
    assert twin["pfs"]["pci/0000:01:00.0"]["vfs"][0]["attributes"]["vlan"] == 7
    assert all(domain["config"] == [] for domain in twin["libvirt"]["domains"].values())


def test_a_guest_with_our_nics_that_was_renamed_is_named(folder: Folder) -> None:
    assert sim(folder, "apply", "p.json").returncode == ExitCode.OK
    assert folder.run("sim", "run", "host.sim", "virsh", "domrename", "db1", "payments").returncode == ExitCode.OK
    blocked = sim(folder, "apply", "host.toml", "--yes")
    assert blocked.returncode == ExitCode.FAILED
    assert "Did you mean 'payments'?" in blocked.stdout
    folder.write("host.toml", FILE.replace("db1", "payments"))
    assert sim(folder, "plan", "host.toml", "--detailed-exitcode").returncode == ExitCode.OK
    assert sim(folder, "drift", "host.toml").returncode == ExitCode.OK
