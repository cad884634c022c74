"""What an interrupted run owes: told by its record, and never in the way of a command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.apply import owed
from reconciler.exit_codes import ExitCode
from tests.unit.cli.inside import Inside

FILE = """schema = 1
[pf.int]
match = { name = "enp1s0" }
link = "up"
vfs = 3
[pool.late]
vfs = ["int/1-2"]
"""
COMMANDS = {
    "inspect": ("inspect",),
    "plan": ("plan", "host.toml"),
    "drift": ("drift", "host.toml"),
    "apply": ("apply", "host.toml", "--yes"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Inside:
    """A host with a pool that a run has made, which was killed right after."""
    made = Inside(tmp_path)
    made.write("host.toml", FILE)
    assert made.run("sim", "new", "host.sim", "--profile", "igb-lab").returncode == ExitCode.OK
    assert made.run("--host", "sim:host.sim", "apply", "host.toml", "--yes").returncode == ExitCode.OK
    return made


def interrupt(folder: Inside, outcomes: dict[str, str]) -> None:
    """Makes the run one that did not come to its end, with these outcomes of some actions."""
    (journal,) = folder.path.glob("host.sim.state/runs/*/journal.jsonl")
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    for record in records:
        for name, outcome in record.get("outcomes", {}).items():
            outcome["outcome"] = outcomes.get(name, outcome["outcome"])
    kept = [json.dumps(record) for record in records if record["event"] != "end"]
    journal.write_text("\n".join([*kept, ""]))
    known = {name for record in records for name in record.get("outcomes", {})}
    assert known >= set(outcomes), known


@pytest.mark.parametrize("command", COMMANDS)
def test_a_step_on_top_of_one_that_was_found_done(folder: Inside, command: str) -> None:
    interrupt(folder, {"pool.define pool.late": "unchanged"})
    done = folder.run("--host", "sim:host.sim", *COMMANDS[command])
    assert done.returncode == ExitCode.OK, done.stderr
    assert "does not fit together" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_record_by_which_a_step_could_not_be_done_is_told_and_stops_nothing(folder: Inside, command: str) -> None:
    interrupt(folder, {"pool.define pool.late": "skipped"})
    done = folder.run("--host", "sim:host.sim", *COMMANDS[command])
    assert done.returncode == ExitCode.OK, done.stderr
    assert "A run's record does not fit together." in done.stderr
    assert "pool.start of pool.late was done on a host where it can't be done." in " ".join(done.stderr.split())


def test_a_fault_of_that_reading_costs_no_command(folder: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(owed, "last_run", fail)
    done = folder.run("--host", "sim:host.sim", "inspect")
    assert (done.returncode, "enp1s0" in done.stdout) == (ExitCode.OK, True)
    assert "can't be used (RuntimeError: unforeseen). This is a fault in reconciler" in " ".join(done.stderr.split())
