"""Many recorded hosts planned in one call: each as if it were planned by itself, in order, whatever else fails."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from reconciler.cli import fleet
from reconciler.cli.fleet import _Host, sharing
from reconciler.exit_codes import ExitCode
from tests.unit.cli.inside import Inside
from tests.unit.cli.test_commands import Folder

NAMES = [f"h{number}" for number in range(7)]
FLEET = ("--host", "snapshot:snapshots", "plan")


def state(name: str, vlan: int) -> str:
    return (
        f'schema = 1\n[host]\nname = "{name}"\n[pf.int]\nmatch = {{ name = "enp1s0" }}\nlink = "up"\nvfs = 4\n'
        f"[pf.int.vf.0]\nvlan = {vlan}\n"
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """Seven recorded hosts, on three cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2})
    made = Inside(tmp_path)
    (tmp_path / "snapshots").mkdir()
    made.run("sim", "new", "host.sim", "--profile", "igb-lab")
    recorded = json.loads(made.run("--host", "sim:host.sim", "snapshot").stdout)
    for number, name in enumerate(NAMES):
        recorded["host"] |= {"name": name, "machine_id": f"machine-{number}"}
        made.write(f"snapshots/{name}.json", json.dumps(recorded))
        made.write(f"{name}.toml", state(name, 10 + number))
    return made


def files() -> list[str]:
    return [f"{name}.toml" for name in NAMES]


def documents(stdout: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stdout.splitlines()]


def timeless(text: str) -> list[str]:
    return [line for line in text.splitlines() if "planned 20" not in line]


def test_each_is_as_if_it_were_planned_by_itself_and_in_order(folder: Folder) -> None:
    together = folder.run(*FLEET, *files())
    alone = [folder.run(*FLEET, name) for name in files()]
    assert (together.returncode, together.stderr) == (ExitCode.OK, "")
    assert timeless(together.stdout) == timeless("".join(done.stdout for done in alone))
    assert "vlan" in together.stdout


def test_json_is_a_document_per_line(folder: Folder) -> None:
    done = folder.run(*FLEET, *files(), "--json", "--detailed-exitcode")
    assert done.returncode == ExitCode.CHANGES
    assert [(d["host"]["name"], d["source"]["path"]) for d in documents(done.stdout)] == list(
        zip(NAMES, files(), strict=True)
    )


def test_what_is_wrong_with_one_is_told_with_its_name_and_the_others_go_on(folder: Folder) -> None:
    folder.write("h1.toml", "schema = 1\n[pf.int]\nvfs = 9\nmtv = 1\n")
    folder.write("snapshots/h3.json", '{"format": "reconciler-snapshot/1", "pfs": 3}')
    (folder.path / "snapshots/h4.json").unlink()
    folder.write("h5.toml", state("h5", 10).replace('[host]\nname = "h5"\n', ""))
    done = folder.run(*FLEET, *files(), "nowhere.toml", "--json")
    assert done.returncode == ExitCode.INVALID, "the worst of all"
    assert [d["host"]["name"] for d in documents(done.stdout)] == ["h0", "h2", "h6"]
    told = done.stderr.splitlines()
    for place in (
        "h1.toml:4:",
        "h3.toml: snapshots/h3.json",
        "h4.toml: snapshots/h4.json",
        "h5.toml: ",
        "nowhere.toml",
    ):
        assert any(place in line for line in told), place
    first = [next(i for i, line in enumerate(told) if f"{name}.toml" in line) for name in ("h1", "h3", "h4", "h5")]
    assert first == sorted(first)


def test_what_is_no_file_costs_only_itself(folder: Folder) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder.path / "socket"))
    long = "x" * 300
    done = folder.run(*FLEET, "h0.toml", long, "socket", "snapshots", "h1.toml", "--json")
    assert done.returncode == ExitCode.USAGE
    assert [d["host"]["name"] for d in documents(done.stdout)] == ["h0", "h1"]
    for place in (f"{long}: File name too long.", "socket: No such device", "snapshots: Is a directory."):
        assert place in done.stderr, done.stderr


def test_a_short_name_is_told_too(folder: Folder) -> None:
    (folder.path / "h2.toml").rename(folder.path / "s")
    (folder.path / "snapshots/h2.json").unlink()
    assert "s: snapshots/h2.json" in folder.run(*FLEET, "s", "h1.toml", "--json").stderr


def test_a_process_that_dies_and_a_fault_of_our_own_cost_their_file(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fleet.plan_one

    def plan_one(options: Any, path: str, *rest: Any) -> Any:
        if path == "h2.toml":
            os.kill(os.getpid(), signal.SIGKILL)
        if path == "h5.toml":
            raise ZeroDivisionError("by zero")
        return real(options, path, *rest)

    monkeypatch.setattr(fleet, "plan_one", plan_one)
    with pytest.raises(AssertionError, match="Something unexpected happened"):
        folder.run(*FLEET, *files(), "--json")  # The folder's own check of whatever is run in it.
    with mock.patch.object(fleet, "_unexpected", lambda error, path, verbose: fleet.say(f"{path}: {error}") or 1):
        done = folder.run(*FLEET, *files(), "--json")
    assert done.returncode == ExitCode.FAILED
    assert [d["host"]["name"] for d in documents(done.stdout)] == ["h0", "h1", "h3", "h4", "h6"]
    assert done.stderr.splitlines() == [
        "Error: This file was not planned. h2.toml: its process was ended (signal 9). Plan it by itself to see why.",
        "h5.toml: by zero",
    ]


def test_two_files_for_one_host_of_the_fleet_are_compared(folder: Folder) -> None:
    folder.write("again.toml", state("h3", 99))
    done = folder.run(*FLEET, *files(), "again.toml")
    assert done.returncode == ExitCode.FAILED
    assert "h3.toml and again.toml are for h3" in done.stderr
    assert "pf.int.vf.0.vlan is 13 in h3.toml:9, and pf.int.vf.0.vlan is 99 in again.toml:9" in done.stderr


def test_only_files_that_may_be_for_one_host_are_compared() -> None:
    hosts = [
        _Host("a", "1", "x"),
        _Host("b", "2", ""),
        _Host("c", "1", "x"),
        _Host("d", "1", "y"),
        _Host("e", "2", "z"),
        _Host("f", "3", ""),
    ]
    assert [[host.path for host in group] for group in sharing(hosts)] == [["a", "c"], ["b", "e"]]


def test_a_pipe_is_read_once(folder: Folder) -> None:
    script = f'reconciler() {{ {sys.executable} -m reconciler "$@"; }}\n'
    script += f"reconciler {' '.join(FLEET)} h0.toml h1.toml <(cat h2.toml) <(sed s/12/99/ h2.toml) --json"
    done = subprocess.run(["bash", "-c", script], cwd=folder.path, capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.FAILED
    assert [d["host"]["name"] for d in documents(done.stdout)] == ["h0", "h1", "h2", "h2"]
    assert "Two files for one host contradict one another." in done.stderr


def test_a_reader_that_goes_away_ends_it(folder: Folder) -> None:
    many = " ".join(files() * 30)
    script = f"{sys.executable} -m reconciler {' '.join(FLEET)} {many} --json | head -n 1"
    done = subprocess.run(["bash", "-c", script], cwd=folder.path, capture_output=True, text=True, check=False)
    assert (len(done.stdout.splitlines()), done.stderr) == (1, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_it_ends_its_processes(folder: Folder, number: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "reconciler", *FLEET, *files() * 100, "--json"],
        cwd=folder.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    for _ in range(3):
        assert process.stdout.readline()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)  # Both ends when the last process has closed them.
    assert len(out.splitlines()) < 600
    if number != signal.SIGKILL:
        assert process.returncode == ExitCode.INTERRUPTED
        assert err == "Error: Interrupted. Nothing was changed.\n"
    else:
        assert (process.returncode, err) == (-number, "")
    deadline = time.monotonic() + 20
    while _members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _members(process.pid) == []


def _members(session: int) -> list[str]:
    """Processes of a session that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(stat.parent.name)
    return found
