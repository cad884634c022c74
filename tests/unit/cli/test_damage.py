"""Records that are cut off, corrupt or of another version: said by every command, and in the way of none that can do
without them."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.apply.files import cannot_write
from reconciler.exit_codes import ExitCode
from tests.unit.cli.inside import Inside
from tests.unit.cli.test_commands import Folder
from tests.unit.cli.test_history import FILE, facts, sim

OTHER = FILE.replace("vlan = 7", "vlan = 8")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A host to which the file was applied once."""
    made = Inside(tmp_path)
    made.write("host.toml", FILE)
    made.run("sim", "new", "host.sim", "--profile", "igb-lab")
    assert sim(made, "apply", "host.toml", "--yes").returncode == ExitCode.OK
    return made


def state(folder: Folder) -> Path:
    return folder.path / "host.sim.state"


def record(folder: Folder, name: str) -> Path:
    (path,) = state(folder).glob(f"runs/*/{name}")
    return path


def journal(folder: Folder, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path = record(folder, "journal.jsonl")
    path.write_bytes(b"\n".join(change(path.read_bytes().split(b"\n"))))


def line_with(number: int, line: bytes) -> Callable[[list[bytes]], list[bytes]]:
    return lambda lines: [*lines[:number], line, *lines[number + 1 :]]


def record_line(**fields: object) -> bytes:
    return json.dumps(fields).encode()


NO_HEADER = {
    "binary": lambda lines: [b"\x7fELF\x00\xff\xfe", b"\x01"],
    "zeros where it began": line_with(0, b"\0" * 200),
    "another format": line_with(0, record_line(event="run", format="reconciler-run/2", at="later")),
    "wrong types": line_with(0, record_line(event="run", at=3, by=["root"])),
    "a list": line_with(0, b"[1, 2]"),
}
A_LINE_OF_IT = {
    "zeros": line_with(2, b"\0" * 100),
    "cut off, and written on": lambda lines: [*lines[:2], lines[2][:30], *lines[3:]],
    "actions that are no list": line_with(1, record_line(event="begin", actions=7)),
    "numbers for names": line_with(2, record_line(event="done", actions=[1, 2], outcomes={})),
    "outcomes of another type": line_with(2, record_line(event="done", actions=["x"], outcomes={"x": [1]})),
    "nested without end": line_with(2, b"[" * 5000),
    "an end of another type": line_with(-2, record_line(event="end", code="fine", at=[])),
    "no event": line_with(2, b'{"actions": []}'),
}


@pytest.mark.parametrize("damage", NO_HEADER)
def test_a_journal_without_its_beginning_stops_nothing_but_its_rollback(folder: Folder, damage: str) -> None:
    journal(folder, NO_HEADER[damage])
    kept = record(folder, "journal.jsonl").read_bytes()
    listed = sim(folder, "history")
    assert listed.returncode == ExitCode.OK
    assert "damaged: " in listed.stdout
    shown = sim(folder, "history", listed.stdout.splitlines()[1].split()[0])
    assert (shown.returncode, "Damaged: " in shown.stdout) == (ExitCode.OK, True)
    before = facts(folder)
    back = sim(folder, "rollback")
    assert back.returncode == ExitCode.INVALID
    assert "neither it nor a run before it can be taken back" in back.stderr
    assert facts(folder) == before
    kept_waiting = sim(folder, "confirm")
    assert kept_waiting.returncode == ExitCode.FAILED
    assert "Its record is damaged" in kept_waiting.stderr
    folder.write("host.toml", OTHER)
    again = sim(folder, "apply", "host.toml", "--yes")
    assert again.returncode == ExitCode.OK, again.stderr
    assert "is damaged, and left as it is" in again.stderr
    assert sorted(state(folder).glob("runs/*/journal.jsonl"))[0].read_bytes() == kept
    assert sim(folder, "rollback").returncode == ExitCode.OK


@pytest.mark.parametrize("damage", A_LINE_OF_IT)
def test_a_line_that_is_lost_is_told_and_what_it_was_about_taken_back_all_the_same(folder: Folder, damage: str) -> None:
    journal(folder, A_LINE_OF_IT[damage])
    assert "damaged: line " in sim(folder, "history").stdout
    done = sim(folder, "rollback")
    assert done.returncode == ExitCode.OK, done.stderr
    assert "Each of its steps may have been done" in done.stderr
    assert facts(folder)["pfs"]["pci/0000:01:00.0"]["num_vfs"] == 0


def test_a_record_of_an_older_version_is_read(folder: Folder) -> None:
    """Before it had a format of its own."""

    def older(lines: list[bytes]) -> list[bytes]:
        header = json.loads(lines[0])
        del header["format"], header["tool"]
        return [json.dumps(header).encode(), *lines[1:]]

    journal(folder, older)
    listed = sim(folder, "history").stdout
    assert "damaged" not in listed
    assert sim(folder, "history", listed.splitlines()[1].split()[0]).returncode == ExitCode.OK
    assert sim(folder, "rollback").returncode == ExitCode.OK


def test_an_end_that_a_crash_cut_off_is_an_interruption_and_no_damage(folder: Folder) -> None:
    path = record(folder, "journal.jsonl")
    path.write_bytes(path.read_bytes()[:-20])
    listed = sim(folder, "history").stdout
    assert "interrupted" in listed
    assert "damaged" not in listed
    assert sim(folder, "rollback").returncode == ExitCode.OK
    listed = sim(folder, "history").stdout.splitlines()
    assert "later taken back" in listed[2]  # What was appended behind the torn line is read.


@pytest.mark.parametrize("content", [None, b""])
def test_a_run_that_was_killed_before_it_began_is_listed_and_changes_nothing(
    folder: Folder, content: bytes | None
) -> None:
    later = state(folder) / "runs" / "29990101T000000.000000-1"
    later.mkdir()
    (later / "plan.json").write_text("{}")
    if content is not None:
        (later / "journal.jsonl").write_bytes(content)
    assert "killed before it began" in sim(folder, "history").stdout
    assert sim(folder, "history", later.name).returncode == ExitCode.OK
    assert sim(folder, "rollback").returncode == ExitCode.OK


BAD_FILES = [b"", b"{", b"\0" * 300, b"\xff\xfe", b"[]", b'{"format": "reconciler-plan/9"}', b"[" * 9000]


@pytest.mark.parametrize("name", ["plan.json", "before.json"])
@pytest.mark.parametrize("content", BAD_FILES, ids=range(len(BAD_FILES)))
def test_a_file_of_a_run_that_is_damaged_stops_only_its_rollback(folder: Folder, name: str, content: bytes) -> None:
    record(folder, name).write_bytes(content)
    before = facts(folder)
    back = sim(folder, "rollback")
    assert back.returncode == ExitCode.INVALID
    assert f"A run's record is damaged. Run {record(folder, name).parent.name}, {name}: " in back.stderr
    assert "Make one with" not in back.stderr
    assert facts(folder) == before
    shown = sim(folder, "history", record(folder, name).parent.name)
    assert (shown.returncode, name in shown.stderr) == (ExitCode.OK, True)
    folder.write("host.toml", OTHER)
    assert sim(folder, "apply", "host.toml", "--yes").returncode == ExitCode.OK


def a_folder(path: Path) -> None:
    path.mkdir()
    (path / "in it").write_text("x")


def huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 200 * 1024 * 1024)


UNUSABLE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "binary": lambda path: path.write_bytes(b"\x80\x00\xff"),
    "zeros": lambda path: path.write_bytes(b"\0" * 4096),
    "another format": lambda path: path.write_text('{"format": "reconciler-ledger/2", "entries": {}}'),
    "no entries": lambda path: path.write_text('{"format": "reconciler-ledger/1"}'),
    "wrong types": lambda path: path.write_text('{"format": "reconciler-ledger/1", "entries": {"pf": {"vfs": 7}}}'),
    "a list": lambda path: path.write_text("[]"),
    "nested": lambda path: path.write_text("[" * 9000),
    "huge": huge,
    "a folder": a_folder,
    "a symlink": lambda path: path.symlink_to("/etc/hostname"),
    "a symlink to nothing": lambda path: path.symlink_to("nothing"),
    "a FIFO": os.mkfifo,
}


@pytest.mark.parametrize("how", UNUSABLE)
def test_a_ledger_that_cannot_be_used_costs_its_labels_and_is_set_aside(folder: Folder, how: str) -> None:
    ledger = state(folder) / "ledger.json"
    (state(folder) / "ledger.json.unusable").write_text("an earlier one")
    ledger.unlink()
    UNUSABLE[how](ledger)
    for command in (("plan", "host.toml"), ("drift", "host.toml"), ("inspect",)):
        read = sim(folder, *command)
        assert read.returncode == ExitCode.OK, read.stderr
        assert "values applied so far are not known" in read.stderr
    folder.write("host.toml", OTHER)
    done = sim(folder, "apply", "host.toml", "--yes")
    assert done.returncode == ExitCode.OK, done.stderr
    assert "The ledger that could not be used is now ledger.json.unusable-2." in done.stderr
    assert os.path.lexists(state(folder) / "ledger.json.unusable-2")
    assert (state(folder) / "ledger.json.unusable").read_text() == "an earlier one"
    assert json.loads(ledger.read_text())["entries"]["pci/0000:01:00.0/1"]["vlan"]["value"] == 8
    assert sim(folder, "drift", "host.toml").stderr == ""


def test_a_rollback_does_not_write_over_a_ledger_that_cannot_be_used(folder: Folder) -> None:
    (state(folder) / "ledger.json").write_text("{mine")
    assert sim(folder, "rollback").returncode == ExitCode.OK
    assert (state(folder) / "ledger.json.unusable").read_text() == "{mine"


def test_a_rollback_needs_no_room(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full must not keep a change that nobody wants."""

    def full(path: Path, text: str, *, mode: int = 0o644) -> None:
        raise cannot_write(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    with monkeypatch.context() as patched:
        patched.setattr("reconciler.apply.journal.write_atomically", full)
        patched.setattr("reconciler.apply.ledger.write_atomically", full)
        done = sim(folder, "rollback")
    assert done.returncode == ExitCode.OK, done.stderr
    assert "Warning: This is not on record as it should be." in done.stderr
    assert "No space left on device" in done.stderr
    assert facts(folder)["pfs"]["pci/0000:01:00.0"]["num_vfs"] == 0
    assert [path.name for path in (state(folder) / "runs").iterdir()] == [record(folder, "plan.json").parent.name]
