"""A child that asks the kernel's network interfaces, and stays for the next question: to make a process, and to copy
what it touches, takes longer than what it is asked.

It is given a function by its name and the arguments, by a socket, and sends back what that returns: one question at a
time, and as many children as there are askers at the same time. Like every other child (`reconciler.host.local.child`)
it is left behind at the deadline, and is not used again then. A question is never put twice, whatever becomes of the
child. It ends as soon as nobody holds the other end of its socket.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import signal
import socket
import struct
import time
from collections.abc import Callable
from typing import TypeVar

from reconciler.host.local.child import NoAnswer, fork, leave_behind, say_what_for, take_name

IDLE = "reconciler"
"""The name of a child that has nothing to do."""
_LENGTH = struct.Struct("=Q")
_AT_ONCE = 1 << 16
T = TypeVar("T")


def ask(function: Callable[..., T], *arguments: object, seconds: float, name: str) -> T:
    """What a module's function returns for these arguments, or raises, in a child of this name. Raises NoAnswer after
    so many seconds, and OSError (EIO) when the child died: what was asked for may have been done then."""
    child = _idle_child() or _Child()
    since = time.monotonic()
    question = pickle.dumps((os.getpid(), since, since + seconds, name, function, arguments))
    good, value, may_stay = pickle.loads(child.exchange(question, since + seconds))
    if may_stay:
        _idle.append(child)
    else:
        child.end()
    if not good:
        raise value
    result: T = value
    return result


def _idle_child() -> _Child | None:
    """One that has been asked before, and has answered."""
    while True:
        try:
            child = _idle.pop()
        except IndexError:
            return None
        if child.lives():
            return child


class _Child:
    """The parent's end. What goes wrong ends it: an answer that comes too late must not be taken for that of the next
    question."""

    def __init__(self) -> None:
        self._asker = os.getpid()
        self._socket, theirs = socket.socketpair()
        with theirs:
            self.pid = fork(lambda: _serve(theirs), theirs.fileno())

    def lives(self) -> bool:
        """Whether it waits for a question of this process; buries it when it has died."""
        if self._asker != os.getpid():  # This process is a copy of the one that it belongs to.
            self._socket.close()
            return False
        self._socket.settimeout(0)
        with contextlib.suppress(ConnectionError):
            try:
                self._socket.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                return True
        self.end()  # It is dead: there is an end to read, or not even that.
        return False

    def exchange(self, question: bytes, until: float) -> bytes:
        """The answer. Raises NoAnswer and leaves the child behind, or OSError (EIO) when it died."""
        try:
            self._socket.settimeout(_left(until))
            self._socket.sendall(_LENGTH.pack(len(question)) + question)
            answer = _receive(self._socket, until)
        except TimeoutError:
            self._leave_behind()
            raise NoAnswer(self.pid) from None
        except OSError:
            answer = None
        except BaseException:
            self._leave_behind()
            raise
        if answer is None:
            self.end()
            raise OSError(errno.EIO, "the process that asked for it died")
        return answer

    def _leave_behind(self) -> None:
        self._socket.close()
        leave_behind(self.pid)

    def end(self) -> None:
        """Waits for its end, which nothing keeps it from: it has nothing to do, or is dead."""
        self._socket.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


_idle: list[_Child] = []


def _left(until: float) -> float:
    """Seconds for a socket's timeout, of which 0 would mean none."""
    return max(1e-6, until - time.monotonic())


def _receive(channel: socket.socket, until: float | None = None) -> bytes | None:
    """The next message; ``None`` when the other end is closed. Raises TimeoutError."""
    data = bytearray()
    while len(data) < _LENGTH.size or len(data) < _LENGTH.size + _LENGTH.unpack_from(data)[0]:
        if until is not None:
            channel.settimeout(_left(until))
        part = channel.recv(_AT_ONCE)
        if not part:
            return None
        data += part
    return bytes(data[_LENGTH.size :])


def _serve(channel: socket.socket) -> None:
    """In the child: answers one question after the other. Whoever ends the parent ends it too, after what it is at; a
    signal to all of a service or a terminal is no reason to leave the parent without its answer."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    take_name(IDLE)
    said = -1
    while (question := _receive(channel)) is not None:
        parent, since, until, name, function, arguments = pickle.loads(question)
        said = say_what_for(name, parent, since, until, said)
        # Where no file tells when a question began, the process's age has to: such a child must not get another one.
        answer = pickle.dumps((*_answer(function, arguments), said >= 0))
        take_name(IDLE)
        channel.sendall(_LENGTH.pack(len(answer)) + answer)


def _answer(function: Callable[..., object], arguments: tuple[object, ...]) -> tuple[bool, object]:
    """Whether it returned, and what it returned or raised."""
    try:
        return True, function(*arguments)
    except OSError as error:
        return False, OSError(error.errno, error.strerror or str(error))
    except Exception as error:  # noqa: BLE001 (raised again in the parent)
        return False, RuntimeError(f"{type(error).__name__}: {error}")
