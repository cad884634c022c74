"""One run at a time: real processes on one simulated host."""

from __future__ import annotations

import signal
from pathlib import Path

from reconciler.exit_codes import ExitCode
from tests.unit.cli.running import Running, pace, paced
from tests.unit.cli.test_history import FILE, sim


def test_while_one_runs_every_other_is_told_who_it_is(tmp_path: Path) -> None:
    folder = paced(tmp_path)
    folder.write("host.toml", FILE.replace('link = "up"\n', ""))  # Making the VFs is the first step, and takes a while.
    folder.write("other.toml", FILE.replace("vfs = 3", "vfs = 5"))
    pace(folder, 10.0)
    first = Running(folder, "apply", "host.toml", "--yes")
    first.until("Applying")
    for command in (("apply", "other.toml", "--yes"), ("rollback",), ("confirm",)):
        second = sim(folder, *command)
        assert second.returncode == ExitCode.LOCKED, (command, second.stderr)
        assert f"apply host.toml (pid {first.pid}) has it since 20" in second.stderr
        assert "Nothing was changed." in second.stderr
    assert first.end() == ExitCode.OK, first.said
    assert len(list((tmp_path / "host.sim.state" / "runs").iterdir())) == 1
    pace(folder, 0)
    assert sim(folder, "plan", "host.toml", "--detailed-exitcode").returncode == ExitCode.OK


def test_a_holder_that_is_killed_holds_nothing(tmp_path: Path) -> None:
    folder = paced(tmp_path)
    first = Running(folder, "apply", "host.toml", "--yes")
    first.until("[1/")
    first.send(signal.SIGKILL)
    assert first.end() == -signal.SIGKILL
    pace(folder, 0)
    assert sim(folder, "apply", "host.toml", "--yes").returncode == ExitCode.OK


def test_a_lock_file_with_anything_in_it_is_as_good_as_any(tmp_path: Path) -> None:
    folder = paced(tmp_path)
    pace(folder, 0)
    (tmp_path / "host.sim.state").mkdir()
    (tmp_path / "host.sim.state" / "lock").write_bytes(b"\xff[1, 2]")
    assert sim(folder, "apply", "host.toml", "--yes").returncode == ExitCode.OK
