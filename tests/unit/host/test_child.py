"""Reads, writes and commands with deadlines."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

import pytest

from reconciler.host.local import child


def test_a_write_that_succeeds(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.touch()
    child.write_file(target, "4\n", 5)
    assert target.read_text() == "4\n"


def test_a_refusal_keeps_its_error_number(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        child.write_file(tmp_path / "missing", "4", 5)
    assert caught.value.errno == errno.ENOENT
    with pytest.raises(OSError, match="No space left"):
        child.write_file("/dev/full", "4", 5)


def test_of_two_writes_the_one_at_which_the_child_dies_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, parent = os.write, os.getpid()

    def die(number: int, data: bytes) -> int:
        if os.getpid() != parent and data == b"2":
            os._exit(0)
        return write(number, data)

    for name in ("a", "b"):
        (tmp_path / name).touch()
    monkeypatch.setattr(os, "write", die)
    for writes, blamed in (([("a", "1"), ("b", "2")], "b"), ([("a", "2"), ("b", "1")], "a")):
        with pytest.raises(OSError, match="Input/output") as caught:
            child.write_files([(tmp_path / name, text) for name, text in writes], 5, tmp_path)
        assert (caught.value.errno, caught.value.filename) == (errno.EIO, str(tmp_path / blamed))


def test_of_two_writes_the_one_that_is_refused_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    for name, writes in (("none", ["none", "a"]), ("none", ["a", "none"])):
        with pytest.raises(FileNotFoundError) as caught:
            child.write_files([(tmp_path / item, "1") for item in writes], 5, tmp_path)
        assert caught.value.filename == str(tmp_path / name)


def test_a_write_that_hangs_is_left_behind(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # opening it for writing waits for a reader
    started = time.monotonic()
    with pytest.raises(child.NoAnswer):
        child.write_file(pipe, "0", 0.1)
    assert time.monotonic() - started < 2
    with open(os.open(pipe, os.O_RDONLY)) as reader:  # now it goes on by itself
        assert reader.read() == "0"


def test_a_child_tells_by_its_open_files_who_waits_for_it_and_until_when(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    began = time.monotonic()
    with pytest.raises(child.NoAnswer) as caught:
        child.write_file(tmp_path / "pipe", "0", 0.5)
    files = Path(f"/proc/{caught.value.pid}/fd").iterdir()
    (found,) = [match for file in files if (match := child.WAITED_FOR.fullmatch(os.readlink(file)))]
    os.close(os.open(tmp_path / "pipe", os.O_RDONLY))
    assert int(found[1]) == os.getpid()
    assert began < float(found[2]) < time.monotonic() - 0.5
    assert float(found[3]) - float(found[2]) == pytest.approx(0.5, abs=1e-5)


def test_a_child_left_behind_is_buried_when_the_next_is_made(tmp_path: Path) -> None:
    """One that is only left to its parent's end would be seen as one that waits."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(child.NoAnswer) as caught:
        child.write_file(tmp_path / "pipe", "0", 0.2)
    assert child.read_files(["/proc/self/comm"], 5).hangs is None
    os.kill(caught.value.pid, 0)
    os.close(os.open(tmp_path / "pipe", os.O_RDONLY))
    os.waitid(os.P_PID, caught.value.pid, os.WEXITED | os.WNOWAIT)
    assert child.read_files(["/proc/self/comm"], 5).hangs is None
    with pytest.raises(ProcessLookupError):
        os.kill(caught.value.pid, 0)
    assert caught.value.pid not in child._left_behind


def test_somebody_else_may_bury_a_child_left_behind(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(child.NoAnswer) as caught:
        child.write_file(tmp_path / "pipe", "0", 0.2)
    os.close(os.open(tmp_path / "pipe", os.O_RDONLY))
    os.waitpid(caught.value.pid, 0)
    assert child.read_files(["/proc/self/comm"], 5).hangs is None
    assert caught.value.pid not in child._left_behind


def test_a_child_left_behind_holds_no_lock_of_ours(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    lock = open(tmp_path / "lock", "w")  # noqa: SIM115 (closed before the child ends, which is the point)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(child.NoAnswer):
        child.write_file(tmp_path / "pipe", "0", 0.2)
    lock.close()
    with open(tmp_path / "lock") as again:
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with open(tmp_path / "pipe") as reader:
        reader.read()


def test_reads(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one\n")
    (tmp_path / "b").write_text("(null)\n")
    paths = [str(tmp_path / name) for name in ("a", "missing", "b")]
    assert child.read_files(paths, 5) == child.Reads({paths[0]: "one", paths[2]: "(null)"})
    assert child.read_files([], 5) == child.Reads({})


def test_a_read_that_hangs_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one\n")
    os.mkfifo(tmp_path / "pipe")
    paths = [str(tmp_path / name) for name in ("a", "pipe", "a2")]
    reads = child.read_files(paths, 1)
    assert reads == child.Reads({paths[0]: "one"}, paths[1])
    os.close(os.open(tmp_path / "pipe", os.O_WRONLY))


def test_many_reads_outgrow_the_pipe(tmp_path: Path) -> None:
    (tmp_path / "long").write_text("x" * 5000)
    paths = [str(tmp_path / "long")] * 40
    assert child.read_files(paths, 5).hangs is None


def test_commands() -> None:
    done = child.run(["sh", "-c", "echo out; echo err >&2; exit 3"], 5)
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")
    with pytest.raises(child.NoAnswer):
        child.run(["sleep", "30"], 0.1)
    with pytest.raises(FileNotFoundError):
        child.run(["no-such-command-anywhere"], 1)
