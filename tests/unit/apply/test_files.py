"""Where records are kept: whose they are, who may read them, what is not followed, and a disk that is full."""

from __future__ import annotations

import errno
import json
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler import files as plain_files
from reconciler.apply.files import append_synced, check_folder, own_folder
from reconciler.apply.journal import Journal, add_record, read_journal, read_records
from reconciler.apply.ledger import write_ledger
from reconciler.apply.lock import locked
from reconciler.apply.runs import recorded_runs
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.files import read_regular, replace_file

ROOT = os.geteuid() == 0


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o277], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.usefixtures("umask")
def test_whatever_the_umask_runs_are_their_owners_and_the_ledger_is_everybodys(tmp_path: Path) -> None:
    state = tmp_path / "a" / "b" / "state"
    with locked("me", "now", state / "lock"):
        journal = Journal(state, "r", {"plan.json": "{}", "before.json": "{}"}, {})
        journal.close()
        write_ledger(state, {})
    assert {mode(path) for path in (state, state.parent, state.parent.parent)} == {0o755}
    assert {mode(path) for path in (state / "runs", state / "runs" / "r")} == {0o700}
    assert {path.name: mode(path) for path in (state / "runs" / "r").iterdir()} == dict.fromkeys(
        ("plan.json", "before.json", "journal.jsonl"), 0o600
    )
    assert mode(state / "ledger.json") == 0o644


def test_runs_that_others_could_read_are_closed(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir(0o755)
    Journal(tmp_path, "r", {}, {}).close()
    assert mode(tmp_path / "runs") == 0o700


def refused(state: Path) -> str:
    """What is said; nothing may be written there, nor read as an order."""
    with pytest.raises(ReconcilerError) as writing:
        Journal(state, "r", {}, {})
    with pytest.raises(ReconcilerError) as reading:
        recorded_runs(state)
    assert (writing.value.code, reading.value.code) == (ExitCode.NOT_PERMITTED, ExitCode.NOT_PERMITTED)
    assert writing.value.detail == reading.value.detail
    return writing.value.detail


@pytest.mark.parametrize("wide", [0o775, 0o757, 0o777, 0o1777])
@pytest.mark.parametrize("name", ["state", "state/runs"])
def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path, name: str, wide: int) -> None:
    (tmp_path / "state" / "runs").mkdir(parents=True)
    (tmp_path / name).chmod(wide)
    assert f"others may write to it (mode {wide:04o})" in refused(tmp_path / "state")
    assert list((tmp_path / "state" / "runs").iterdir()) == []


@pytest.mark.parametrize("name", ["state", "state/runs"])
def test_a_folder_that_is_a_symlink_is_refused_and_what_it_points_to_left_alone(tmp_path: Path, name: str) -> None:
    theirs = tmp_path / "theirs"
    (theirs / "runs").mkdir(parents=True)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).symlink_to(theirs if name == "state" else theirs / "runs")
    assert "it is a symbolic link" in refused(tmp_path / "state")
    assert list((theirs / "runs").iterdir()) == []


def test_a_parent_may_be_a_symlink(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "lib").symlink_to("disk")
    Journal(tmp_path / "lib" / "state", "r", {}, {}).close()
    assert [run.name for run in recorded_runs(tmp_path / "lib" / "state")] == ["r"]


@pytest.mark.skipif(not ROOT, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state"
    (state / "runs").mkdir(parents=True)
    os.chown(state / "runs", 12345, -1)
    assert "it belongs to user 12345" in refused(state)


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(ReconcilerError) as caught:
        own_folder(tmp_path / "state", 0o755)
    assert "Not a directory" in caught.value.detail
    with pytest.raises(OSError, match="Not a directory"):
        check_folder(tmp_path / "state")


def test_a_run_never_writes_into_a_folder_that_is_there(tmp_path: Path) -> None:
    Journal(tmp_path, "r", {}, {}).close()
    with pytest.raises(ReconcilerError) as caught:
        Journal(tmp_path, "r", {"plan.json": "{}"}, {})
    assert "File exists" in caught.value.detail
    assert [path.name for path in (tmp_path / "runs" / "r").iterdir()] == ["journal.jsonl"]


def test_a_symlink_in_place_of_a_record_is_not_followed(tmp_path: Path) -> None:
    Journal(tmp_path, "r", {}, {}).close()
    record = tmp_path / "runs" / "r" / "journal.jsonl"
    record.replace(tmp_path / "theirs")
    before = (tmp_path / "theirs").read_bytes()
    record.symlink_to(tmp_path / "theirs")
    with pytest.raises(ReconcilerError):
        add_record(record.parent, "end", code=0)
    assert (tmp_path / "theirs").read_bytes() == before
    assert read_journal(record.parent) == []
    assert "symbolic link" in read_records(record.parent).damage[0]
    (tmp_path / "lock").symlink_to(tmp_path / "theirs")
    with pytest.raises(ReconcilerError), locked("me", "now", tmp_path / "lock"):
        pass
    assert (tmp_path / "theirs").read_bytes() == before


def test_a_symlink_is_replaced_itself(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "f").symlink_to("theirs")
    replace_file(tmp_path / "f", "ours", 0o600)
    assert ((tmp_path / "f").read_text(), mode(tmp_path / "f")) == ("ours", 0o600)
    assert (tmp_path / "theirs").read_text() == "theirs"


@pytest.mark.parametrize("what", ["folder", "fifo", "link", "large"])
def test_what_is_no_regular_file_is_not_read(tmp_path: Path, what: str) -> None:
    path = tmp_path / "f"
    if what == "folder":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "link":
        path.symlink_to("/etc/hostname")
    else:
        path.write_text("12345")
    with pytest.raises(OSError, match=r"regular|symbolic|more than 4"):
        read_regular(path, 4)


def test_file_and_folder_are_synced_before_and_after_the_name_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    did: list[str] = []

    def synced(descriptor: int) -> None:
        did.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")

    renamed = os.replace
    monkeypatch.setattr(plain_files.os, "fsync", synced)
    monkeypatch.setattr(plain_files.os, "replace", lambda old, new: (did.append("named"), renamed(old, new)))
    replace_file(tmp_path / "f", "x")
    assert did == ["file", "named", "folder"]


def test_a_record_is_on_disk_when_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path, "r", {}, {})
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    journal.write("begin", actions=["a"])
    assert synced == [(journal.folder / "journal.jsonl").stat().st_size]
    journal.close()


def test_what_follows_a_line_that_was_cut_off_is_a_line_of_its_own(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    append_synced(descriptor, '{"a": 1}\n')
    os.write(descriptor, b'{"b": ')
    append_synced(descriptor, '{"c": 3}\n')
    os.close(descriptor)
    assert (tmp_path / "f").read_text().splitlines() == ['{"a": 1}', '{"b": ', '{"c": 3}']


PROGRAM = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
from reconciler.cli.main import main
main(["--host", "sim:host.sim", "--state-dir", sys.argv[2], "apply", "host.toml", "--yes"])
"""
FILE = 'schema = 1\n[pf.int]\nmatch = { name = "enp1s0" }\nvfs = 3\n'


def sim(folder: Path) -> bytes:
    (folder / "host.toml").write_text(FILE)
    new = [sys.executable, "-m", "reconciler", "sim", "new", "host.sim", "--profile", "igb-lab"]
    subprocess.run(new, cwd=folder, check=True, capture_output=True)
    return (folder / "host.sim").read_bytes()


def apply(folder: Path, limit: int, state: str) -> subprocess.CompletedProcess[str]:
    """With files of at most so many bytes."""
    command = [sys.executable, "-c", PROGRAM, str(limit), state]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def test_without_room_for_its_records_nothing_is_changed(tmp_path: Path) -> None:
    before = sim(tmp_path)
    done = apply(tmp_path, 1500, "state")
    assert done.returncode == ExitCode.FAILED, done.stderr
    assert "A file can't be written. state/runs/" in done.stderr
    assert os.strerror(errno.EFBIG) in done.stderr
    assert (tmp_path / "host.sim").read_bytes() == before
    assert list((tmp_path / "state" / "runs").iterdir()) == []
    assert apply(tmp_path, resource.RLIM_INFINITY, "state").returncode == ExitCode.OK


@pytest.mark.skipif(not ROOT, reason="mounting takes root")
def test_on_a_full_disk_nothing_is_changed(tmp_path: Path) -> None:
    before = sim(tmp_path)
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k,mode=755", "none", disk], check=False)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        (disk / "theirs").write_bytes(b"x" * 8192)
        done = apply(tmp_path, resource.RLIM_INFINITY, "disk/state")
        assert done.returncode == ExitCode.FAILED, done.stderr
        assert "No space left on device. Make room there" in done.stderr
        assert (tmp_path / "host.sim").read_bytes() == before
        assert list((disk / "state" / "runs").iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def test_what_a_run_writes_of_itself_says_its_format(tmp_path: Path) -> None:
    Journal(tmp_path, "r", {}, {"at": "now"}).close()
    header = json.loads((tmp_path / "runs" / "r" / "journal.jsonl").read_text())
    assert header["format"] == "reconciler-run/1"
    assert header["tool"]
