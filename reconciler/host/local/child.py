"""Reads, writes and commands that the kernel may never answer, done in a child that can be left behind.

A write to ``sriov_numvfs`` or to a driver's ``unbind`` blocks for as long as a guest holds the VF
(drivers/vfio/vfio_main.c, vfio_unregister_group_dev), and while it blocks it holds the device's lock, for
which a read of ``sriov_numvfs`` or ``driver_override`` then waits as well. Such a process can't be killed,
so it must not be ours: the parent returns at its deadline and the child ends whenever the kernel lets it.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
import select
import subprocess
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

Send = Callable[[bytes], None]


class NoAnswer(Exception):
    """The deadline passed. What was asked for may still happen later."""


def write_file(path: Path | str, text: str, seconds: float) -> None:
    """Writes to an existing (sysfs) file in one write. Raises OSError, or NoAnswer after so many seconds."""

    def work(send: Send) -> None:
        try:
            target = os.open(path, os.O_WRONLY)
            os.write(target, text.encode())
        except OSError as error:
            send(str(error.errno).encode())
        else:
            send(b"0")

    answer = b"".join(_in_child(work, seconds))
    code = int(answer) if answer else errno.EIO
    if code:
        raise OSError(code, os.strerror(code), str(path))


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
        for part in _in_child(work, seconds):
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


def _in_child(work: Callable[[Send], None], seconds: float) -> _Received:
    """Runs `work` in a child and iterates over what it sends until it ends."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Python warns about fork next to threads. The child touches nothing that another thread may have
        # locked.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        _be_child(work, writing)
    os.close(writing)
    return _Received(reading, pid, time.monotonic() + seconds)


def _be_child(work: Callable[[Send], None], writing: int) -> None:
    """Never returns. Everything inherited is closed first: a child that is left behind must hold neither the
    lock of the run nor the pipe that somebody reads our output from."""
    try:
        gc.disable()
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        for name in os.listdir("/proc/self/fd"):
            if int(name) > 2 and int(name) != writing:
                with contextlib.suppress(OSError):  # the listing's own descriptor is among them
                    os.close(int(name))

        def send(data: bytes) -> None:
            while data:
                data = data[os.write(writing, data) :]

        work(send)
    finally:
        os._exit(0)


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
            raise NoAnswer
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
        raise NoAnswer from None
    return subprocess.CompletedProcess(list(argv), process.returncode, out, err)
