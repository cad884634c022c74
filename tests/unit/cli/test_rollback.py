"""``rollback`` as a user calls it, on the lab's twin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.exit_codes import ExitCode
from tests.unit.cli.inside import Inside

FILE = """schema = 1
[pf.int]
match = { name = "enp1s0" }
link = "up"
vfs = 4
vf_driver = "none"
[pf.int.vf.0]
vlan = 5
[pool.data]
vfs = ["int/0-1"]
"""


@pytest.fixture
def inside(tmp_path: Path) -> Inside:
    """A host that is as the lab is when it is clean."""
    folder = Inside(tmp_path)
    (tmp_path / "host.toml").write_text(FILE)
    assert folder.run("sim", "new", "x.sim", "--profile", "igb-lab").returncode == ExitCode.OK
    return folder


def observed(inside: Inside) -> Any:
    found = json.loads(inside.run("--host", "sim:x.sim", "snapshot").stdout)
    return {key: found[key] for key in ("pfs", "modules", "libvirt", "vfio_open", "ledger")}


@pytest.mark.parametrize("trouble", [["--errno", "EIO"], ["--crash"]])
def test_what_a_rollback_left_is_taken_back_by_the_next(inside: Inside, trouble: list[str]) -> None:
    before = observed(inside)
    assert inside.run("--host", "sim:x.sim", "apply", "host.toml", "--yes").returncode == ExitCode.OK
    inside.run("sim", "fault", "x.sim", "--at", "3", *trouble)
    first = inside.run_killed("--host", "sim:x.sim", "rollback")
    assert first.returncode != ExitCode.OK
    assert observed(inside) != before
    told = inside.run("--host", "sim:x.sim", "confirm").stderr
    assert "reconciler rollback goes on with it" in told
    second = inside.run("--host", "sim:x.sim", "rollback")
    assert second.returncode == ExitCode.OK, second.stdout + second.stderr
    assert observed(inside) == before
    third = inside.run("--host", "sim:x.sim", "rollback")
    assert third.returncode == ExitCode.FAILED
    assert "There is nothing to take back." in third.stderr
