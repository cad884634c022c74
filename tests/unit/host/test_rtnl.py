"""Single answers and dumps over a netlink socket: of this machine's kernel, and scripted ones."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Sequence

import pytest

from reconciler.host.local import netlink, rtnl
from reconciler.host.local.link_reports import ANY_LINK
from reconciler.host.local.rtnl import RTM_GETLINK, RTM_NEWLINK, Request, RtnlSocket, ifinfo

NLMSG_ERROR, NLMSG_DONE = 2, 3
DUMP_INTR = 0x10


def answer(kind: int, sequence: int, body: bytes = b"", flags: int = 2) -> bytes:
    return struct.pack("=LHHLL", 16 + len(body), kind, flags, sequence, 0) + body


def done(sequence: int, code: int = 0, flags: int = 2) -> bytes:
    return answer(NLMSG_DONE, sequence, struct.pack("=i", code), flags)


class Kernel:
    """In place of a socket: gives out these datagrams, whatever is asked."""

    def __init__(self, datagrams: Sequence[bytes], flags: int = 0) -> None:
        self.datagrams = list(datagrams)
        self.flags = flags
        self.asked = 0

    def send(self, data: bytes) -> None:
        self.asked += 1

    def recvmsg(self, size: int) -> tuple[bytes, list[bytes], int, None]:
        if not self.datagrams:
            raise TimeoutError
        return self.datagrams.pop(0), [], self.flags, None


class Scripted(RtnlSocket):
    def __init__(self, *datagrams: bytes, flags: int = 0) -> None:
        self.kernel = Kernel(datagrams, flags)
        self.socket = self.kernel  # type: ignore[assignment]
        self.sequence = 0


class Channel:
    """In place of a socket whose answers come when they come: each is what it gives, or raises, and how many seconds
    after the one before. Its clock is what its timeouts wait for."""

    def __init__(self, *answers: tuple[float, bytes | Exception]) -> None:
        self.answers = list(answers)
        self.timeout = 99.0
        self.waited = 0.0
        self.calls = 0

    def settimeout(self, seconds: float) -> None:
        self.timeout = seconds

    def send(self, data: bytes) -> None:
        pass

    def recv(self, size: int) -> bytes:
        self.calls += 1
        assert self.calls < 20, "it asks again and again"
        after, found = self.answers[0] if self.answers else (999.0, b"")
        if after > self.timeout:
            self.waited += self.timeout
            self.answers[:1] = [(after - self.timeout, found)]
            raise TimeoutError if self.timeout else BlockingIOError(errno.EAGAIN, "nothing there")
        self.waited += after
        self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


def taken(sequence: int, code: int = 0) -> bytes:
    return answer(NLMSG_ERROR, sequence, struct.pack("=i", -code) + answer(RTM_NEWLINK, sequence))


LOST = OSError(errno.ENOBUFS, "No buffer space available")


@pytest.mark.parametrize(
    ("answers", "codes", "waited"),
    [
        ([(0, taken(1)), (0, taken(2)), (0, taken(3))], [0, 0, 0], 0),
        ([(0, taken(1)), (3, taken(2, errno.EBUSY)), (4, taken(3))], [0, errno.EBUSY, 0], 7),  # late
        ([(0, taken(1)), (0, LOST), (0, taken(3))], [0, errno.ENOBUFS, 0], 0.2),  # one was dropped
        ([(3, taken(1)), (0, LOST), (0.1, taken(3))], [0, errno.ENOBUFS, 0], 3.3),
        ([(0, taken(1))], [0, errno.ETIMEDOUT, errno.ETIMEDOUT], 10),
        ([], [errno.ETIMEDOUT] * 3, 10),
    ],
)
def test_acknowledgements_are_waited_for(
    answers: list[tuple[float, bytes | Exception]], codes: list[int], waited: float
) -> None:
    kernel = Scripted()
    channel = Channel(*answers)
    kernel.socket = channel  # type: ignore[assignment]
    assert [found.code for found in kernel._exchange([Request(ifinfo(1))] * 3)] == codes
    assert channel.waited == pytest.approx(waited)
    assert channel.timeout == 10, "the next request waits for its answer"


def test_a_socket_that_fails_is_an_error() -> None:
    kernel = Scripted()
    kernel.socket = Channel((0, taken(1)), (0, OSError(errno.ENETDOWN, "down")))  # type: ignore[assignment]
    with pytest.raises(OSError, match="down"):
        kernel._exchange([Request(ifinfo(1))] * 3)


def test_this_machines_interfaces() -> None:
    names = dict(socket.if_nameindex())
    links = netlink.read_links()
    assert {index: link.name for index, link in links.by_index.items()} == names
    with RtnlSocket() as found:
        assert found.get_link(1, 1)[4:8] == struct.pack("=i", 1)
        assert len(found.dump(RTM_GETLINK, ANY_LINK)) == len(names)
        with pytest.raises(OSError, match="No such device") as refused:
            found.get_link(2**31 - 1, 1)
    assert refused.value.errno == errno.ENODEV


def test_a_dump_comes_in_parts() -> None:
    kernel = Scripted(
        answer(RTM_NEWLINK, 1, b"one0") + answer(RTM_NEWLINK, 1, b"two0"),
        answer(RTM_NEWLINK, 0, b"left over"),
        answer(RTM_NEWLINK, 1, b"last") + done(1),
    )
    assert kernel.dump(RTM_GETLINK, ifinfo(0)) == [b"one0", b"two0", b"last"]


def test_a_dump_that_something_changed_under_is_begun_again() -> None:
    kernel = Scripted(
        answer(RTM_NEWLINK, 1, b"one0", flags=2 | DUMP_INTR) + done(1),
        answer(RTM_NEWLINK, 2, b"one0") + done(2, flags=2 | DUMP_INTR),
        answer(RTM_NEWLINK, 3, b"one0") + answer(RTM_NEWLINK, 3, b"two0") + done(3),
    )
    assert kernel.dump(RTM_GETLINK, ifinfo(0)) == [b"one0", b"two0"]
    assert kernel.kernel.asked == 3


def test_a_dump_that_never_stays_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtnl, "_DUMP_SECONDS", -1.0)
    with pytest.raises(OSError, match="faster than the kernel lists them"):
        Scripted(done(1, flags=DUMP_INTR)).dump(RTM_GETLINK, ifinfo(0))


@pytest.mark.parametrize("refusal", [done(1, -errno.EPERM), answer(NLMSG_ERROR, 1, struct.pack("=i", -errno.EPERM))])
def test_a_dump_that_is_refused(refusal: bytes) -> None:
    with pytest.raises(PermissionError):
        Scripted(answer(RTM_NEWLINK, 1, b"one0") + refusal).dump(RTM_GETLINK, ifinfo(0))


def test_an_answer_that_is_too_long_is_told() -> None:
    with pytest.raises(OSError, match="longer than 1048576 bytes") as told:
        Scripted(b"\0" * 16, flags=socket.MSG_TRUNC).get_link(1, 1)
    assert told.value.errno == errno.EMSGSIZE


def test_no_answer_ends_in_a_timeout() -> None:
    with pytest.raises(TimeoutError):
        Scripted(answer(RTM_NEWLINK, 9, b"late")).get_link(1, 1)
