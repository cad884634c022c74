"""Signals and kills while a host is being changed, sent to processes on a simulated host whose seconds last."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.exit_codes import ExitCode
from tests.unit.cli.inside import Inside
from tests.unit.cli.running import COMMAND, ENVIRONMENT, Running, pace, paced
from tests.unit.cli.test_history import facts, sim

APPLY = ("apply", "host.toml", "--yes")


@pytest.fixture
def folder(tmp_path: Path) -> Inside:
    return paced(tmp_path)


def converges(folder: Inside) -> str:
    """What the next run says, which brings the host to where it should be."""
    pace(folder, 0)
    again = sim(folder, *APPLY)
    assert again.returncode == ExitCode.OK, again.stdout + again.stderr
    assert sim(folder, "plan", "host.toml", "--detailed-exitcode").returncode == ExitCode.OK
    assert sim(folder, "drift", "host.toml").returncode == ExitCode.OK
    return again.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_interrupt_finishes_the_step_and_takes_back_what_was_done(folder: Inside, number: int) -> None:
    before = facts(folder)
    running = Running(folder, *APPLY)
    running.until("[1/")
    running.send(number)
    assert running.end() == ExitCode.ROLLED_BACK, running.said
    assert "Interrupted: the step under way is finished, and what was done is taken back." in running.said
    assert "Stopped, and taken back" in running.said
    assert facts(folder)["pfs"] == before["pfs"]
    assert "not completed, taken back" in sim(folder, "history").stdout


def test_it_stops_there_when_it_is_told_to(folder: Inside) -> None:
    running = Running(folder, *APPLY, "--on-error", "stop")
    running.until("[1/")
    running.send(signal.SIGINT)
    assert running.end() == ExitCode.PARTIAL, running.said
    assert "no other is begun" in running.said
    assert "not begun" in running.said
    pace(folder, 0)
    assert sim(folder, "rollback").returncode == ExitCode.OK


def test_without_an_option_a_failure_stops(folder: Inside) -> None:
    pace(folder, 0)
    folder.run("sim", "fault", "host.sim", "--at", "3", "--errno", "EIO")
    assert sim(folder, *APPLY).returncode == ExitCode.PARTIAL
    assert facts(folder)["pfs"]["pci/0000:01:00.0"]["num_vfs"] == 3


def test_the_second_leaves_at_once_and_a_new_run_says_so_and_goes_on(folder: Inside) -> None:
    pace(folder, 10.0)  # The step lasts until the second signal has come, however busy this machine is.
    running = Running(folder, *APPLY)
    running.until("[1/")
    running.send(signal.SIGINT)
    running.until("Once more leaves at once")
    running.send(signal.SIGTERM)
    assert running.end() == ExitCode.PARTIAL, running.said
    assert "left at once" in running.said
    pace(folder, 0)
    assert "interrupted" in sim(folder, "history").stdout  # In a step, or right between two.
    assert re.search(
        r"was interrupted( during (pf.int: |taking back pf.).*)?\. The host was read again.", converges(folder)
    )


def test_a_rollback_comes_to_its_end_unless_it_is_interrupted_twice(folder: Inside) -> None:
    pace(folder, 0)
    before = facts(folder)
    sim(folder, *APPLY)
    pace(folder, 1.0)
    twice = Running(folder, "rollback")
    twice.until("Taking back: 2 actions.")
    twice.send(signal.SIGINT)
    twice.until("what is being taken back is taken back to its end")
    twice.send(signal.SIGINT)
    assert twice.end() == ExitCode.PARTIAL, twice.said
    assert "interrupted" in sim(folder, "history").stdout.splitlines()[1]
    once = Running(folder, "rollback")
    once.until("Taking back: ")
    once.send(signal.SIGTERM)
    assert once.end() == ExitCode.OK, once.said
    assert facts(folder)["pfs"] == before["pfs"]


def test_an_armed_timer_is_named_by_who_leaves_at_once() -> None:
    program = (
        "import os, signal\n"
        "from reconciler.cli.interrupts import Interrupts\n"
        "from reconciler.apply.confirm import Countdown\n"
        "timer = Countdown(60, lambda *_: None, lambda _: None, lambda unit: [unit])\n"
        "interrupts = Interrupts('what was done is taken back', armed=lambda: timer.told)\n"
        "record = timer.start('r')\n"
        "print(record['at'], flush=True)\n"
        "for _ in range(2):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == ExitCode.PARTIAL
    assert f"The timer takes back what was done, at {done.stdout.strip()}, unless it is confirmed." in done.stderr


def test_a_lost_terminal_does_not_stop_it(folder: Inside) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder.path)
        os.execve(sys.executable, [*COMMAND, *APPLY], ENVIRONMENT)
    said = b""
    while b"/3" not in said:  # The live view, which is drawn when the first step is begun.
        said += os.read(terminal, 4096)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == ExitCode.OK
    assert sim(folder, "drift", "host.toml").returncode == ExitCode.OK
    assert "done" in sim(folder, "history").stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_before_the_first_change_it_just_ends(folder: Inside, number: int) -> None:
    terminal, inner = pty.openpty()  # Somebody who is asked, and thinks it over.
    asking = subprocess.Popen(
        [*COMMAND, "apply", "host.toml"],
        cwd=folder.path,
        stdin=inner,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert asking.stderr is not None
    said = ""
    while not said.endswith("answer: "):
        said += asking.stderr.read(1)
    asking.send_signal(number)
    said += asking.stderr.read()
    asking.stderr.close()
    os.close(terminal)
    os.close(inner)
    assert asking.wait(timeout=60) == ExitCode.INTERRUPTED
    assert said.endswith("Error: Interrupted. Nothing was changed.\n")
    assert sim(folder, "history").stdout == "Nothing was applied here yet.\n"


def test_a_hangup_alone_does_not_stop_it(folder: Inside) -> None:
    running = Running(folder, *APPLY)
    running.until("[1/")
    running.send(signal.SIGHUP)
    assert running.end() == ExitCode.OK, running.said


@pytest.mark.parametrize("point", ["Applying", "[1/", "[2/"])
def test_a_kill_at_any_point_is_said_and_made_good_by_the_next_run(folder: Inside, point: str) -> None:
    running = Running(folder, *APPLY)
    running.until(point)
    running.send(signal.SIGKILL)
    assert running.end() == -signal.SIGKILL
    assert "interrupted" in sim(folder, "history").stdout
    assert "was interrupted" in converges(folder)
