"""Reads, writes and commands that the kernel may never answer, done in a child that can be left behind.

A write to ``sriov_numvfs`` or to a driver's ``unbind`` blocks for as long as a guest holds the VF
(drivers/vfio/vfio_main.c, vfio_unregister_group_dev), and while it blocks it holds the device's lock, for
which a read of ``sriov_numvfs`` or ``driver_override`` then waits as well. A driver that hangs while it holds the
RTNL lock blocks every reader and writer of network interfaces, inside of their sendmsg (net/core/rtnetlink.c,
rtnetlink_rcv_msg), where a socket's timeout doesn't count. Such a process can't be killed, so it must not be ours:
the parent returns at its deadline and the child ends whenever the kernel lets it. The child's name says what it is
for, and a file that it keeps open how long its parent waits, so that a later run can tell it from others
(`reconciler.host.local.processes`). What is asked of the network interfaces goes to a child that stays for the next
question (`reconciler.host.local.standing`).
"""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
import re
import select
import subprocess
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

WRITES, READS, NETWORK = "reconciler-set", "reconciler-get", "reconciler-net"
"""Names of the children, by what they are for: a write to sysfs or to the network interfaces, a read of sysfs, a read
of the network interfaces. The kernel keeps 15 characters (TASK_COMM_LEN)."""

WAITED_FOR = re.compile(r"/memfd:reconciler-(\d+)-since-([\d.]+)-until-([\d.]+) .*")
"""What /proc/PID/fd shows of a child's open file: its parent's process id, and since and until when that one waits for
it, by CLOCK_MONOTONIC."""

Send = Callable[[bytes], None]


class NoAnswer(Exception):
    """The deadline passed. What was asked for may still happen later. ``pid``: the process that waits for it."""

    def __init__(self, pid: int = 0) -> None:
        super().__init__(f"process {pid} waits for the kernel")
        self.pid = pid
        self.done = 0
        """Of several writes, how many came back."""


def write_file(path: Path | str, text: str, seconds: float, device: Path | str | None = None) -> None:
    """Writes to an existing (sysfs) file in one write. Raises OSError, or NoAnswer after so many seconds. ``device``:
    what the write is about, when the file doesn't say it (a driver's ``unbind``): its folder is kept open, so that
    /proc/PID/fd tells it to whoever finds the process."""

    def work(send: Send) -> None:
        try:
            if device is not None:
                os.open(device, os.O_PATH)
            target = os.open(path, os.O_WRONLY)
            os.write(target, text.encode())
        except OSError as error:
            send(str(error.errno).encode())
        else:
            send(b"0")

    answer = b"".join(_in_child(work, seconds, WRITES))
    code = int(answer) if answer else errno.EIO
    if code:
        raise OSError(code, os.strerror(code), str(path))


def write_files(writes: Sequence[tuple[Path, str]], seconds: float, device: Path) -> None:
    """Several such writes about a device, in order, until one is refused. Raises OSError with the path, or NoAnswer."""

    def work(send: Send) -> None:
        try:
            os.open(device, os.O_PATH)
            for path, text in writes:
                target = os.open(path, os.O_WRONLY)
                os.write(target, text.encode())
                os.close(target)
                send(b"0 ")
        except OSError as error:
            send(f"{error.errno} ".encode())

    received = bytearray()
    try:
        for part in _in_child(work, seconds, WRITES):
            received += part
    except NoAnswer as error:
        error.done = received.count(b" ")
        raise
    codes = [int(code) for code in received.split()]
    if len(codes) < len(writes) or codes[-1]:
        refused = bool(codes and codes[-1])
        code = codes[-1] if refused else errno.EIO  # It died at the write after those that it told of.
        raise OSError(code, os.strerror(code), str(writes[len(codes) - refused][0]))


@dataclass(slots=True)
class Reads:
    """What became of many reads."""

    texts: dict[str, str]
    """By path, without the newline; a file that is missing or refuses is not in it."""
    hangs: str | None = None
    """The file at which the kernel stopped answering; those after it were not read."""


def read_files(paths: Sequence[str], seconds: float) -> Reads:
    """Reads many small files, in order; the deadline is for all of them."""
    if not paths:
        return Reads({})

    def work(send: Send) -> None:
        for path in paths:
            send(json.dumps(_read(path)).encode() + b"\n")

    received = bytearray()
    complete = True
    try:
        for part in _in_child(work, seconds, READS):
            received += part
    except NoAnswer:
        complete = False
    lines = received.split(b"\n")[:-1]
    texts = {path: text for path, line in zip(paths, lines, strict=False) if (text := json.loads(line)) is not None}
    return Reads(texts, None if complete or len(lines) >= len(paths) else paths[len(lines)])


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().rstrip("\n")
    except OSError:
        return None


def _in_child(work: Callable[[Send], None], seconds: float, name: str) -> _Received:
    """Runs `work` in a child and iterates over what it sends until it ends."""
    reading, writing = os.pipe()
    parent, since = os.getpid(), time.monotonic()

    def child() -> None:
        say_what_for(name, parent, since, since + seconds)

        def send(data: bytes) -> None:
            while data:
                data = data[os.write(writing, data) :]

        work(send)

    pid = fork(child, writing)
    os.close(writing)
    return _Received(reading, pid, since + seconds)


def fork(work: Callable[[], None], keep: int) -> int:
    """The process id of a child that does this and ends. Of what it inherits it keeps this one descriptor: one that is
    left behind must hold neither the lock of the run nor the pipe that somebody reads our output from."""
    _bury()
    with warnings.catch_warnings():
        # Python warns about fork next to threads. The child touches nothing that another thread may have
        # locked.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    try:
        gc.disable()
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        for number in os.listdir("/proc/self/fd"):
            if int(number) > 2 and int(number) != keep:
                with contextlib.suppress(OSError):  # the listing's own descriptor is among them
                    os.close(int(number))
        work()
    finally:
        os._exit(0)


_left_behind: set[int] = set()
"""Children of this process that nobody waits for any more."""


def leave_behind(pid: int) -> None:
    """Nobody waits for this child any more. When it has come back it is buried as soon as another one is made: of a
    zombie nobody can tell what it was at."""
    _bury()
    _left_behind.add(pid)


def still_waits(pid: int) -> bool:
    """Whether a child that was left behind has not come back: what is asked next would wait behind it."""
    _bury()
    return pid in _left_behind


def _bury() -> None:
    """Those left behind that have come back by now."""
    for pid in list(_left_behind):  # Another thread may do the same.
        with contextlib.suppress(ChildProcessError):  # Somebody else has buried it, or this process is a copy.
            if os.waitpid(pid, os.WNOHANG) == (0, 0):
                continue
        _left_behind.discard(pid)


def say_what_for(name: str, parent: int, since: float, until: float, instead_of: int = -1) -> int:
    """In a child: tells by its name what it is at, and by an open file who waits for that, from when and until when, by
    CLOCK_MONOTONIC. Returns that file, which takes the place of another; -1 for none."""
    said = -1
    with contextlib.suppress(OSError, AttributeError):  # A sandbox may forbid it, an old C library not have it.
        said = os.memfd_create(f"reconciler-{parent}-since-{since:f}-until-{until:f}")
    if instead_of >= 0:
        os.close(instead_of)
    take_name(name)
    return said


def take_name(name: str) -> None:
    """In a child: the name that others see."""
    with contextlib.suppress(OSError), open("/proc/self/comm", "wb", buffering=0) as comm:  # A sandbox may forbid it.
        comm.write(name.encode())


class _Received:
    """Iterates over what a child sends; raises NoAnswer at the deadline."""

    def __init__(self, reading: int, pid: int, until: float) -> None:
        self.reading = reading
        self.pid = pid
        self.until = until

    def __iter__(self) -> _Received:
        return self

    def __next__(self) -> bytes:
        ready, _, _ = select.select([self.reading], [], [], max(0.0, self.until - time.monotonic()))
        if not ready:
            os.close(self.reading)
            leave_behind(self.pid)
            raise NoAnswer(self.pid)
        data = os.read(self.reading, 65536)
        if not data:
            os.close(self.reading)
            os.waitpid(self.pid, 0)
            raise StopIteration
        return data


def run(argv: Sequence[str], seconds: float) -> subprocess.CompletedProcess[str]:
    """Runs a command with its output captured. Raises FileNotFoundError, or NoAnswer: then it was told to
    end, which a process that hangs in the kernel doesn't do at once."""
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, "LC_ALL": "C"},
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=max(0.0, seconds))
    except subprocess.TimeoutExpired:
        process.kill()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        raise NoAnswer(process.pid) from None
    return subprocess.CompletedProcess(list(argv), process.returncode, out, err)
