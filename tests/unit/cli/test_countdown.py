"""``apply --confirm-within`` with a timer that is not systemd's: what is armed, when, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from reconciler.apply.confirm import Countdown, boot_seconds
from reconciler.cli import confirm as confirm_command
from reconciler.cli.interrupts import Interrupts
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.host.local import timer as systemd
from reconciler.host.protocol import HostError
from tests.unit.cli.inside import Inside
from tests.unit.cli.test_commands import Folder
from tests.unit.cli.test_history import FILE, facts, sim

APPLY = ("apply", "host.toml", "--yes", "--confirm-within", "60")


class Timers:
    """``refuse_after``: how many are armed before systemd refuses."""

    def __init__(self) -> None:
        self.armed: list[str] = []
        self.refuse_after = 9

    def arm(self, unit: str, seconds: int, argv: Sequence[str]) -> None:
        if not self.refuse_after:
            raise HostError("systemd refused.", "It has no time.")
        self.refuse_after -= 1
        self.armed.append(unit)

    def disarm(self, unit: str) -> None:
        self.armed = [other for other in self.armed if other != unit]


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> Timers:
    made = Timers()
    monkeypatch.setattr(
        confirm_command, "countdown", lambda _, seconds: Countdown(seconds, made.arm, made.disarm, lambda unit: [unit])
    )
    monkeypatch.setattr(systemd, "disarm", made.disarm)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Inside(tmp_path)
    made.write("host.toml", FILE)
    assert made.run("sim", "new", "host.sim", "--profile", "igb-lab").returncode == ExitCode.OK
    return made


def result(folder: Folder) -> str:
    return sim(folder, "history").stdout.splitlines()[1]


def test_a_run_waits_and_is_kept(folder: Folder, timers: Timers) -> None:
    done = sim(folder, *APPLY)
    assert done.returncode == ExitCode.OK, done.stderr
    assert "    reconciler --host sim:host.sim confirm\n" in done.stdout
    assert (len(timers.armed), "done, waits for its confirmation" in result(folder)) == (1, True)
    assert "waits for its confirmation" in sim(folder, "apply", "host.toml", "--yes").stderr
    assert len(timers.armed) == 1
    assert sim(folder, "confirm").returncode == ExitCode.OK
    assert timers.armed == []
    listed = sim(folder, "history").stdout
    assert "done, confirmed" in listed
    assert "confirmation of " in listed


def test_an_interrupt_takes_back_at_once_and_takes_the_timer_away(
    folder: Folder, timers: Timers, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = facts(folder)
    asked = iter([False, False])
    monkeypatch.setattr(Interrupts, "asked", lambda _: next(asked, True))
    done = sim(folder, *APPLY)
    assert done.returncode == ExitCode.ROLLED_BACK, done.stdout + done.stderr
    assert timers.armed == []
    assert facts(folder)["pfs"] == before["pfs"]
    assert "not completed, taken back" in result(folder)
    assert sim(folder, "confirm").returncode == ExitCode.FAILED


def test_an_interrupt_in_the_last_step_takes_back_too(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    before = facts(folder)
    asked = iter([False, False, False])
    monkeypatch.setattr(Interrupts, "asked", lambda _: next(asked, True))
    done = sim(folder, "apply", "host.toml", "--yes")
    assert done.returncode == ExitCode.ROLLED_BACK, done.stdout + done.stderr
    assert facts(folder)["pfs"] == before["pfs"]


def test_after_a_failure_the_timer_stays_and_says_when(folder: Folder, timers: Timers) -> None:
    folder.run("sim", "fault", "host.sim", "--at", "3", "--errno", "EIO")
    done = sim(folder, *APPLY)
    assert done.returncode == ExitCode.PARTIAL
    assert "The timer takes back what was done, at 20" in done.stderr
    assert len(timers.armed) == 1
    refused = sim(folder, "confirm")
    assert refused.returncode == ExitCode.PARTIAL
    assert "The run did not come to its end." in refused.stderr
    assert "failed part-way" in refused.stderr
    assert len(timers.armed) == 1
    assert "waits for its confirmation" in result(folder)


def test_a_countdown_that_cannot_begin_again_goes_on(folder: Folder, timers: Timers) -> None:
    timers.refuse_after = 1
    done = sim(folder, *APPLY)
    assert done.returncode == ExitCode.OK, done.stderr
    assert "Warning: The time may count from the beginning of the run on, so that all may be taken back" in done.stderr
    assert "already. systemd refused." in done.stderr
    assert len(timers.armed) == 1
    assert "waits for its confirmation" in result(folder)


def test_without_a_timer_nothing_is_changed(folder: Folder, timers: Timers) -> None:
    timers.refuse_after = 0
    before = facts(folder)
    done = sim(folder, *APPLY)
    assert done.returncode == ExitCode.FAILED
    assert facts(folder) == before
    assert "failed, nothing changed" in result(folder)


def test_the_timer_of_a_run_whose_record_is_lost_says_so(folder: Folder, timers: Timers) -> None:
    sim(folder, *APPLY)
    (run,) = (folder.path / "host.sim.state" / "runs").iterdir()
    (run / "journal.jsonl").write_bytes(b"\0" * 50 + b"\n{}\n")
    done = sim(folder, "rollback", "--yes", "--unconfirmed", f"reconciler-{run.name}-2")
    assert done.returncode == ExitCode.INVALID
    assert f"Run {run.name}: " in done.stderr


def test_a_disk_that_fills_up_leaves_both_timers_and_one_takes_back(
    folder: Folder, timers: Timers, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = facts(folder)

    def full(*_: object, **__: object) -> None:
        raise ReconcilerError("A file can't be written.", "The disk is full.", code=ExitCode.FAILED)

    with monkeypatch.context() as patch:
        patch.setattr("reconciler.apply.confirm.add_record", full)
        done = sim(folder, *APPLY)
    assert (done.returncode, len(timers.armed)) == (ExitCode.OK, 2)
    assert "The time may count from the beginning of the run on" in done.stderr
    first, second = timers.armed
    assert "nothing is taken back" in sim(folder, "rollback", "--yes", "--unconfirmed", second).stderr
    assert facts(folder)["pfs"] != before["pfs"]
    assert sim(folder, "rollback", "--yes", "--unconfirmed", first).returncode == ExitCode.OK
    assert facts(folder)["pfs"] == before["pfs"]


def test_the_timer_on_record_takes_back_at_once_whatever_the_clock_says(folder: Folder, timers: Timers) -> None:
    before = facts(folder)
    sim(folder, *APPLY)
    assert sim(folder, "rollback", "--yes", "--unconfirmed", "reconciler-x-1").returncode == ExitCode.OK
    assert facts(folder)["pfs"] != before["pfs"]
    (unit,) = timers.armed
    assert sim(folder, "rollback", "--yes", "--unconfirmed", unit).returncode == ExitCode.OK
    assert facts(folder)["pfs"] == before["pfs"]


def last_folder(folder: Folder) -> Path:
    return max((folder.path / "host.sim.state" / "runs").iterdir())


@pytest.mark.parametrize("by_timer", [False, True])
def test_a_run_that_has_nothing_to_take_back_yet_does_not_wait_for_ever(
    folder: Folder, timers: Timers, by_timer: bool
) -> None:
    pool = FILE + '[pool.data]\nvfs = ["int/0"]\n'
    folder.write("host.toml", pool)
    assert sim(folder, "apply", "host.toml", "--yes").returncode == ExitCode.OK
    folder.write("host.toml", pool + "autostart = true\n")
    before = facts(folder)
    done = sim(folder, *APPLY)
    assert (done.returncode, facts(folder)) == (ExitCode.OK, before), done.stderr
    assert "pool.set_autostart of pool.data" in done.stdout
    assert sim(folder, "apply", "host.toml", "--yes").returncode == ExitCode.LOCKED
    (unit,) = timers.armed
    done = sim(folder, "rollback", *(("--unconfirmed", unit) if by_timer else ()))
    assert (done.returncode, timers.armed) == (ExitCode.OK, []), done.stderr
    assert "had changed nothing yet" in done.stdout
    assert "later taken back" in result(folder)
    assert sim(folder, "confirm").returncode == ExitCode.FAILED
    assert sim(folder, "apply", "host.toml", "--yes").returncode == ExitCode.OK


@pytest.mark.parametrize("name", ["now.json", "before.json"])
def test_a_run_that_nothing_can_take_back_refuses_nothing_once_its_time_is_over(
    folder: Folder, timers: Timers, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    sim(folder, *APPLY)
    damaged = last_folder(folder) / name
    damaged.write_bytes(b"\0" * 100)
    folder.write("host.toml", FILE.replace("vfs = 3", "vfs = 2"))
    assert sim(folder, "apply", "host.toml", "--yes").returncode == ExitCode.LOCKED
    assert sim(folder, "rollback", "--unconfirmed", timers.armed[0]).returncode == ExitCode.INVALID
    later = boot_seconds() + 61
    monkeypatch.setattr("reconciler.apply.confirm.boot_seconds", lambda: later)
    done = sim(folder, "apply", "host.toml", "--yes")
    assert done.returncode == ExitCode.OK, done.stderr
    assert "was not confirmed in time, and could not be taken back. A run's record is damaged. " in done.stderr


def test_a_run_whose_time_is_over_and_can_be_taken_back_refuses_the_next(
    folder: Folder, timers: Timers, monkeypatch: pytest.MonkeyPatch
) -> None:
    sim(folder, *APPLY)
    folder.write("host.toml", FILE.replace("vfs = 3", "vfs = 2"))
    later = boot_seconds() + 61
    monkeypatch.setattr("reconciler.apply.confirm.boot_seconds", lambda: later)
    assert sim(folder, "apply", "host.toml", "--yes").returncode == ExitCode.LOCKED


def test_the_plan_as_a_whole_is_needed_for_neither_way(folder: Folder, timers: Timers) -> None:
    before = facts(folder)
    for command, code in (("rollback", ExitCode.OK), ("confirm", ExitCode.OK)):
        sim(folder, *APPLY)
        (last_folder(folder) / "plan.json").write_bytes(b"\0" * 100)
        assert sim(folder, command).returncode == code
        assert (facts(folder)["pfs"] == before["pfs"]) == (command == "rollback")


def test_a_run_that_was_killed_in_the_middle_is_not_kept(folder: Folder, timers: Timers) -> None:
    before = facts(folder)
    assert sim(folder, *APPLY).returncode == ExitCode.OK
    journal = last_folder(folder) / "journal.jsonl"
    journal.write_text("".join(line for line in journal.read_text().splitlines(keepends=True) if '"end"' not in line))
    refused = sim(folder, "confirm")
    assert (refused.returncode, "was interrupted" in refused.stderr) == (ExitCode.PARTIAL, True)
    assert "Its timer takes it back at 20" in refused.stderr
    (unit,) = timers.armed
    assert sim(folder, "rollback", "--unconfirmed", unit).returncode == ExitCode.OK
    assert facts(folder)["pfs"] == before["pfs"]


def test_the_commands_that_are_told_are_complete(folder: Folder, timers: Timers) -> None:
    given = ("--host", "sim:host.sim", "--libvirt", "test:///x y", "--state-dir", "records")
    command = f"reconciler --host sim:host.sim --libvirt 'test:///x y' --state-dir {folder.path / 'records'}"
    assert f"    {command} confirm\n" in folder.run(*given, *APPLY).stdout
    assert f"To keep it: {command} confirm\n" in folder.run(*given, "apply", "host.toml").stderr
    folder.write("host.toml", FILE.replace("vfs = 3", "vfs = 2"))
    refused = folder.run(*given, "apply", "host.toml", "--yes").stderr
    assert f"`{command} confirm`, or take it back with `{command} rollback`" in " ".join(refused.split())
    assert folder.run(*given, "confirm").returncode == ExitCode.OK
