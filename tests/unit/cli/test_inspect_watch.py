"""``inspect --watch``, as scripts and people use it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from reconciler.exit_codes import ExitCode
from tests.hosts import host, igb
from tests.unit.cli.inside import Inside
from tests.unit.cli.running import COMMAND, ENVIRONMENT, Running
from tests.unit.cli.test_history import FILE, sim

WATCH = ("inspect", "--watch", "--interval", "0.2")


@pytest.fixture
def folder(tmp_path: Path) -> Inside:
    made = Inside(tmp_path)
    made.write("host.toml", FILE)
    assert made.run("sim", "new", "host.sim", "--profile", "igb-lab").returncode == ExitCode.OK
    assert sim(made, "apply", "host.toml", "--yes").returncode == ExitCode.OK
    return made


def test_it_shows_so_many_blocks_and_ends(folder: Inside) -> None:
    sim(folder, "inspect")  # Once, so that nothing is under way any more.
    before = (folder.path / "host.sim").read_bytes()
    done = sim(folder, *WATCH, "--count", "2")
    assert done.returncode == ExitCode.OK, done.stderr
    blocks = done.stdout.split("\n\n")
    assert len(blocks) == 2
    assert all("per second, over" in block and "(igb): this driver reports none" in block for block in blocks)
    assert (folder.path / "host.sim").read_bytes() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_how_it_ends(folder: Inside, number: int) -> None:
    running = Running(folder, *WATCH)
    running.until("per second")
    running.send(number)
    assert running.end() == ExitCode.OK


def test_it_ends_when_nobody_reads_any_more(folder: Inside) -> None:
    with subprocess.Popen(
        [*COMMAND, *WATCH], cwd=folder.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=30) == ExitCode.OK
        assert process.stderr.read() == ""


def test_on_a_terminal_the_table_stays_in_its_place(folder: Inside) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder.path)
        os.execve(COMMAND[0], [*COMMAND, *WATCH, "--count", "3"], {**ENVIRONMENT, "TERM": "xterm"})
    said = b""
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # EIO: it has ended.
            break
        if not data:
            break
        said += data
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == ExitCode.OK
    assert said.count(b"per second, over") >= 3
    assert b"\x1b[1A" in said, "the cursor goes up again"
    assert b"\x1b[?25h" in said, "the cursor is back"


def test_a_recorded_host_has_no_traffic(folder: Inside) -> None:
    folder.record(host(igb(1, 2)))
    done = folder.recorded(*WATCH)
    assert done.returncode == ExitCode.USAGE
    assert "A recorded host has no live counters." in done.stderr


@pytest.mark.parametrize(
    "options",
    [
        "--watch --json",
        "--watch --format svg",
        "--watch -o file",
        "--interval 1",
        "--count 1",
        "--watch --interval 0",
        "--watch --interval nan",
        "--watch --count 0",
        "--watch --interval 4000",
    ],
)
def test_options_that_do_not_fit_are_refused(folder: Inside, options: str) -> None:
    done = sim(folder, "inspect", *options.split())
    assert done.returncode == ExitCode.USAGE
    assert done.stdout == ""
