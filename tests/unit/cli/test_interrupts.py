"""Signals while an apply is under way, on a simulated host whose seconds last."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.exit_codes import ExitCode
from tests.unit.cli.test_commands import Folder
from tests.unit.cli.test_history import FILE, facts, sim


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Making VFs takes about a second."""
    made = Folder(tmp_path)
    made.write("host.toml", FILE)
    made.run("sim", "new", "host.sim", "--profile", "igb-lab")
    twin = json.loads((tmp_path / "host.sim").read_text())
    twin["pace"] = 1.0
    made.write("host.sim", json.dumps(twin))
    return made


def interrupted(folder: Folder, *arguments: str, signals: int, number: int = signal.SIGINT) -> tuple[int, str]:
    """An apply that gets signals as soon as it has finished its first step: its exit code and all it said."""
    command = [sys.executable, "-u", "-m", "reconciler", "--host", "sim:host.sim", "apply", "host.toml", "--yes"]
    process = subprocess.Popen(
        [*command, *arguments],
        cwd=folder.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith("[1/") or (said.count("[1/") and "Interrupted:" in line and signals):
            process.send_signal(number)
            signals -= 1
        if signals == 0:
            break
    said += process.stdout.read()
    return process.wait(timeout=60), said


def test_the_first_interrupt_finishes_the_step_and_begins_no_other(folder: Folder) -> None:
    code, said = interrupted(folder, signals=1)
    assert code == ExitCode.PARTIAL, said
    assert "no other is begun" in said
    assert "not begun" in said
    assert sim(folder, "rollback").returncode == ExitCode.OK


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_with_rollback_it_takes_all_back(folder: Folder, number: int) -> None:
    before = facts(folder)
    code, said = interrupted(folder, "--on-error", "rollback", signals=1, number=number)
    assert code == ExitCode.ROLLED_BACK, said
    assert facts(folder)["pfs"] == before["pfs"]


def test_the_second_leaves_at_once_and_a_new_run_goes_on(folder: Folder) -> None:
    code, said = interrupted(folder, signals=2)
    assert code == ExitCode.PARTIAL, said
    assert "left at once" in said
    assert "interrupted" in sim(folder, "history").stdout
    again = sim(folder, "apply", "host.toml", "--yes")
    assert again.returncode == ExitCode.OK, again.stdout + again.stderr
    assert "was interrupted" in again.stderr
    assert sim(folder, "drift", "host.toml").returncode == ExitCode.OK


def test_a_lost_terminal_does_not_stop_it(folder: Folder) -> None:
    code, said = interrupted(folder, signals=1, number=signal.SIGHUP)
    assert code == ExitCode.OK, said
