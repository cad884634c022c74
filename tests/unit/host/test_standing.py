"""A child that stays: it answers, hangs, dies, and ends with its parent."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.host.local import standing
from reconciler.host.local.child import NETWORK, WAITED_FOR, NoAnswer
from reconciler.host.local.processes import look
from tests.lab.machinery.basics import wait_until

PARENT = f"""
import os, sys, time
from reconciler.host.local import standing
from tests.unit.host.test_standing import process, slow
print(standing.ask(process, seconds=5, name={NETWORK!r}), flush=True)
if sys.argv[1] == "busy":
    standing.ask(slow, 3.0, seconds=60, name={NETWORK!r})
if sys.argv[1] == "idle":
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def children(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[standing._Child]]:
    """They stay, until the test is over."""
    staying: list[standing._Child] = []
    monkeypatch.setattr(standing, "_idle", staying)
    yield staying
    for child in staying:
        child.end()


def process() -> int:
    return os.getpid()


def twice(number: int) -> int:
    return 2 * number


def slow(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def note(path: Path, then: str) -> None:
    with path.open("a") as file:
        file.write("asked\n")
    if then == "die":
        os._exit(0)
    if then == "refuse":
        raise PermissionError(errno.EPERM, "not you")
    raise LookupError("no such thing")


def wait_for(path: Path) -> str:
    return path.read_text()


def big(data: bytes) -> bytes:
    return data + data


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def ends(pid: int) -> bool:
    """Whether a process ends soon."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.02)
                continue
        return True
    return False


def ask_process(seconds: float = 10) -> int:
    return standing.ask(process, seconds=seconds, name=NETWORK)


def test_the_next_question_goes_to_the_same_child() -> None:
    pid = ask_process()
    assert pid != os.getpid()
    assert standing.ask(twice, 4, seconds=10, name="reconciler-set") == 8
    assert ask_process() == pid
    assert name_of(pid) == standing.IDLE
    data = os.urandom(1 << 20)
    assert standing.ask(big, data, seconds=30, name=NETWORK) == data + data


def test_as_many_children_as_ask_at_the_same_time(children: list[standing._Child]) -> None:
    found: list[int] = []
    ask = [
        threading.Thread(target=lambda: found.append(standing.ask(slow, 0.5, seconds=20, name=NETWORK)))
        for _ in range(3)
    ]
    for thread in ask:
        thread.start()
    for thread in ask:
        thread.join()
    assert len(set(found)) == 3
    assert {child.pid for child in children} == set(found)
    assert ask_process() in found


@pytest.mark.parametrize(("then", "kind"), [("refuse", PermissionError), ("else", RuntimeError)])
def test_what_it_raises_is_raised_here_and_it_stays(tmp_path: Path, then: str, kind: type[Exception]) -> None:
    pid = ask_process()
    with pytest.raises(kind, match=r"not you|LookupError: no such thing"):
        standing.ask(note, tmp_path / "asked", then, seconds=10, name=NETWORK)
    assert ask_process() == pid


def test_one_that_hangs_is_left_behind_and_not_used_again(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    pid, began = ask_process(), time.monotonic()
    with pytest.raises(NoAnswer) as caught:
        standing.ask(wait_for, tmp_path / "pipe", seconds=0.3, name=NETWORK)
    assert caught.value.pid == pid
    assert time.monotonic() - began < 3
    assert name_of(pid) == NETWORK
    assert pid in look(Path("/"), []).waiting[NETWORK], "a later run knows it"
    assert ask_process() != pid
    (tmp_path / "pipe").write_text("")  # Now it goes on by itself, and finds nobody who waits.
    assert ends(pid)
    standing._Child().end()
    assert not Path(f"/proc/{pid}").exists(), "it was buried"


def test_it_tells_who_waits_for_it_now_and_until_when(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    pid = standing.ask(slow, 0.2, seconds=5, name=NETWORK)
    began = time.monotonic()
    thread = threading.Thread(target=lambda: standing.ask(wait_for, tmp_path / "pipe", seconds=40, name=NETWORK))
    thread.start()
    wait_until(lambda: name_of(pid) == NETWORK, "it is at it", 10)
    files = Path(f"/proc/{pid}/fd").iterdir()
    (told,) = [match for file in files if (match := WAITED_FOR.fullmatch(os.readlink(file)))]
    waiting = look(Path("/"), []).waiting
    (tmp_path / "pipe").write_text("")
    thread.join()
    assert int(told[1]) == os.getpid()
    assert began <= float(told[2]) <= time.monotonic()
    assert float(told[3]) - float(told[2]) == pytest.approx(40, abs=1e-5)
    assert pid not in waiting.get(NETWORK, []), "it is waited for"


def test_one_that_died_while_it_had_nothing_to_do_is_replaced() -> None:
    pid = ask_process()
    os.kill(pid, signal.SIGKILL)
    assert ends(pid)
    assert ask_process() != pid
    assert not Path(f"/proc/{pid}").exists(), "it was buried"


def test_one_that_dies_at_it_is_an_error_and_the_question_is_not_put_again(tmp_path: Path) -> None:
    pid = ask_process()
    with pytest.raises(OSError, match="died") as caught:
        standing.ask(note, tmp_path / "asked", "die", seconds=10, name=NETWORK)
    assert caught.value.errno == errno.EIO
    assert (tmp_path / "asked").read_text() == "asked\n"
    assert not Path(f"/proc/{pid}").exists()
    assert ask_process() != pid


def test_an_interrupt_of_the_asker_leaves_no_answer_for_the_next_question(monkeypatch: pytest.MonkeyPatch) -> None:
    pid = ask_process()
    receive = standing._receive

    def interrupted(*_: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(standing, "_receive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        standing.ask(twice, 1, seconds=10, name=NETWORK)
    monkeypatch.setattr(standing, "_receive", receive)
    assert ask_process() != pid
    assert ends(pid)
    standing._Child().end()
    assert not Path(f"/proc/{pid}").exists(), "it was buried"


def test_one_that_can_not_tell_since_when_it_is_waited_for_gets_no_other_question(
    children: list[standing._Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then all that is known of it is the age of its process."""

    def refuse(*_: object) -> int:
        raise PermissionError(errno.EPERM, "not in this sandbox")

    monkeypatch.setattr(os, "memfd_create", refuse)
    pid = ask_process()
    assert children == []
    assert not Path(f"/proc/{pid}").exists(), "it was buried"
    assert standing.ask(twice, 4, seconds=10, name=NETWORK) == 8


def test_a_signal_to_the_whole_service_does_not_end_it() -> None:
    pid = ask_process()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(pid, number)
    assert ask_process() == pid


def test_it_holds_no_lock_of_ours(tmp_path: Path) -> None:
    with open(tmp_path / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ask_process()
    with open(tmp_path / "lock") as again:
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_copy_of_this_process_has_children_of_its_own() -> None:
    pid = ask_process()
    reading, writing = os.pipe()
    copy = os.fork()
    if copy == 0:
        try:
            os.write(writing, str(ask_process()).encode())
        finally:
            os._exit(0)
    os.waitpid(copy, 0)
    theirs = int(os.read(reading, 100))
    os.close(reading)
    os.close(writing)
    assert theirs != pid
    assert ends(theirs), "the copy is gone"
    assert ask_process() == pid


@pytest.mark.parametrize(("state", "how"), [("ends", 0), ("idle", signal.SIGKILL), ("busy", signal.SIGKILL)])
def test_it_ends_with_its_parent(state: str, how: int) -> None:
    """``busy``: after what it is at."""
    with subprocess.Popen([sys.executable, "-c", PARENT, state], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        if state == "busy":
            wait_until(lambda: name_of(pid) == NETWORK, "it is at it", 10)
        if how:
            parent.kill()
        parent.wait()
        assert ends(pid)
