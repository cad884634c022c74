"""``apply`` as a user calls it, on a host that is data."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path

import pytest

from reconciler.apply import lock as lock_module
from reconciler.apply.lock import locked
from reconciler.cli.main import run
from reconciler.exit_codes import ExitCode
from reconciler.host import open as open_module
from reconciler.host.model import Use
from reconciler.host.protocol import Scope
from tests.hosts import DataHost, Snapshot, host, igb

FILE = """schema = 1
[pf.int]
match = { name = "enp1s0" }
vfs = 4
[pf.int.vf.0]
trust = true
"""
PF = "pci/0000:01:00.0"


class Place:
    """A folder, a host, and the command."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        self.machine = DataHost(host(igb(1)))
        (folder / "host.toml").write_text(FILE)
        monkeypatch.chdir(folder)
        monkeypatch.setattr(open_module, "open_reader", lambda *_: self.machine)
        monkeypatch.setattr(open_module, "open_writer", lambda *_: self.machine)
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(lock_module, "LOCK", folder / "lock")
        monkeypatch.setattr("signal.signal", lambda *_: None)

    def run(self, *arguments: str) -> int:
        return run(["--state-dir", str(self.folder / "state"), *arguments])

    def last_record(self) -> dict[str, object]:
        runs = sorted((self.folder / "state" / "runs").iterdir())
        return json.loads((runs[-1] / "journal.jsonl").read_text().splitlines()[-1])  # type: ignore[no-any-return]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def test_applied_twice(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.run("apply", "host.toml", "--yes") == ExitCode.OK
    assert "Done: 2 actions on lab." in capsys.readouterr().out
    place.machine.calls.clear()
    assert place.run("apply", "host.toml", "--yes") == ExitCode.OK
    assert place.machine.calls == []
    assert "In sync" in capsys.readouterr().out


def test_a_saved_plan_that_is_refused_is_shown_in_full(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.machine = DataHost(host(igb(1, 2, up=True, carrier=True, uses=[Use("address", "192.0.2.1/24")])))
    assert place.run("plan", "host.toml", "-o", "p.json") == ExitCode.OK
    capsys.readouterr()
    assert place.run("apply", "p.json") == ExitCode.REFUSED
    told = capsys.readouterr()
    assert "pf.int: remove all VFs" in told.out
    assert "Refused." in told.err
    assert place.machine.calls == []


def test_a_target_that_is_reached(place: Place) -> None:
    place.machine = DataHost(host(igb(1, 4)))
    assert place.run("apply", "host.toml", "--yes", "--target", "pf.int.vf.0") == ExitCode.OK
    assert place.last_record()["code"] == ExitCode.OK


def test_the_record_of_what_is_right_waits_for_nobody(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    (place.folder / "host.toml").write_text(FILE.replace("trust = true", "trust = false"))
    place.machine = DataHost(host(igb(1, 4)))
    with locked("apply other.toml", "now", place.folder / "lock"):
        assert place.run("apply", "host.toml", "--yes") == ExitCode.OK
    assert "Note: What was found already right is not recorded." in capsys.readouterr().err
    assert not (place.folder / "state").exists()


def test_a_corrupt_ledger_is_set_aside(place: Place) -> None:
    (place.folder / "host.toml").write_text(FILE.replace("trust = true", "trust = false"))
    place.machine = DataHost(host(igb(1, 4)))
    (place.folder / "state").mkdir()
    (place.folder / "state" / "ledger.json").write_text("{broken")
    assert place.run("apply", "host.toml", "--yes") == ExitCode.OK
    assert sorted(os.listdir(place.folder / "state")) == ["ledger.json", "ledger.json.unusable"]


class Dead:
    """A stream whose terminal has gone, from some moment on."""

    def __init__(self, stream: object, alive: int, number: int) -> None:
        self.stream, self.alive, self.number = stream, alive, number

    def write(self, text: str) -> int:
        self.alive -= 1
        if self.alive < 0:
            raise OSError(self.number, os.strerror(self.number))
        return len(text)

    def flush(self) -> None:
        if self.alive < 0:
            raise OSError(self.number, os.strerror(self.number))

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        raise OSError(errno.EBADF, "none")


@pytest.mark.parametrize("number", [errno.EIO, errno.EPIPE, errno.ENOSPC])
def test_a_terminal_that_goes_away_does_not_touch_the_run(place: Place, number: int) -> None:
    place.monkeypatch.setattr(sys, "stdout", Dead(sys.stdout, 1, number))
    place.monkeypatch.setattr(sys, "stderr", Dead(sys.stderr, 1, number))
    assert place.run("apply", "host.toml", "--yes") == ExitCode.OK
    assert place.machine.calls == ["pf.set_numvfs", "vf.set"]
    assert place.last_record()["event"] == "end"


class Unwilling(DataHost):
    def refresh(self, snapshot: Snapshot, scope: Scope) -> None:
        super().refresh(snapshot, scope)
        if scope.kind == "pf" and self.calls:
            raise ValueError("flaw")


def test_a_fault_after_the_first_write_is_part_way(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.machine = Unwilling(host(igb(1)))
    assert place.run("apply", "host.toml", "--yes") == ExitCode.PARTIAL
    told = capsys.readouterr()
    assert "ValueError: flaw" in told.out
    assert "may have taken effect in part" in told.out
    assert place.last_record()["code"] == ExitCode.PARTIAL
