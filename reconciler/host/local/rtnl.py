"""rtnetlink over a plain socket: many small changes, each with its own acknowledgement; single answers; and dumps.

Our own packing and parsing: of what is needed here there is little, and a library's import alone takes longer than all
of a run's requests. Layouts: include/uapi/linux/netlink.h and rtnetlink.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from collections.abc import Container, Iterator, Sequence
from typing import NamedTuple

RTM_NEWLINK = 16
RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE = 18, 22, 26
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_IFLA_EXT_MASK = 29
_REQUEST = 0x1
_REQUEST_ACK = 0x1 | 0x4
_REQUEST_DUMP = 0x1 | 0x300
_F_DUMP_INTR = 0x10
_F_CAPPED, _F_ACK_TLVS = 0x100, 0x200
_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11
_EXT_ACK_MESSAGE = 1
_HEADER = struct.Struct("=LHHLL")
IFINFO = struct.Struct("=BxHiII")
"""struct ifinfomsg: family, type, interface, flags, which flags to change."""
_ATTRIBUTE = struct.Struct("=HH")
_ACK = struct.Struct("=LHHLLi16x")
"""struct nlmsgerr behind its header, with no more of the request than that one's header (NLM_F_CAPPED)."""
_TYPE_MASK = 0x3FFF
_PER_SEND = 64
_SO_RCVBUFFORCE = 33
_RECEIVE_BUFFER = 1 << 20
_ANSWER_SECONDS = 10.0
_DUMP_SECONDS = 2.0
"""For which a dump is begun again that something changed under."""
RETRY = {errno.EAGAIN, errno.EBUSY}
"""The VF is being reset, or the driver works on another one (i40e, ice, octeontx2): asked again a little
later."""


class Request(NamedTuple):
    """The body of one change. `group`: requests of one group must take effect in the order in which they
    stand."""

    body: bytes
    group: int = 0


class Answer(NamedTuple):
    """`code` is 0 or a positive errno; `text` is what the kernel's extended acknowledgement says, or ""."""

    code: int
    text: str = ""


TAKEN = Answer(0)


def ifinfo(ifindex: int, *, flags: int = 0, change: int = 0) -> bytes:
    """struct ifinfomsg (16 bytes)."""
    return IFINFO.pack(socket.AF_UNSPEC, 0, ifindex, flags, change)


def attribute(kind: int, payload: bytes) -> bytes:
    """struct nlattr with its payload, padded to 4 bytes; the length counts header and payload only."""
    return _ATTRIBUTE.pack(4 + len(payload), kind) + payload + b"\0" * (-len(payload) % 4)


def ext_mask(mask: int) -> bytes:
    """IFLA_EXT_MASK: which parts of a link are asked for."""
    return attribute(_IFLA_EXT_MASK, struct.pack("=I", mask))


def attributes(data: bytes, offset: int = 0, kinds: Container[int] | None = None) -> Iterator[tuple[int, bytes]]:
    """Type and payload of each attribute from there on, or of those of these kinds; what is cut short is left out."""
    end = len(data)
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4 or offset + length > end:
            return
        kind &= _TYPE_MASK
        if kinds is None or kind in kinds:
            yield kind, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def text(value: bytes) -> str:
    """A string attribute, which ends at its NUL."""
    return value.partition(b"\0")[0].decode("utf-8", "replace")


class RtnlSocket:
    """A NETLINK_ROUTE socket; a context manager."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self.socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        self.socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        except PermissionError:  # Without CAP_NET_ADMIN it has to do with less than net.core.rmem_max.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self.socket.settimeout(_ANSWER_SECONDS)
        self.socket.bind((0, 0))
        self.sequence = 0

    def __enter__(self) -> RtnlSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def change(self, requests: Sequence[Request], seconds: float = 5.0) -> list[Answer]:
        """Sends RTM_NEWLINK requests and returns one answer for each, in order. Those answered with EAGAIN or
        EBUSY, or not answered because the buffer was full, are sent again until so many seconds have passed;
        with one, also the later ones of its group, so that the last one asked for is the one in force."""
        answers = [Answer(errno.ETIMEDOUT)] * len(requests)
        pending = list(range(len(requests)))
        until = time.monotonic() + seconds
        pause = 0.05
        while True:
            for start in range(0, len(pending), _PER_SEND):
                batch = pending[start : start + _PER_SEND]
                for number, answer in zip(batch, self._exchange([requests[n] for n in batch]), strict=True):
                    answers[number] = answer
            pending = again(requests, answers, pending)
            if not pending or time.monotonic() + pause > until:
                return answers
            time.sleep(pause)
            pause = min(2 * pause, 0.5)

    def get_link(self, ifindex: int, mask: int) -> bytes:
        """The link message of one interface, as `get` returns it."""
        return self.get(RTM_GETLINK, ifinfo(ifindex) + ext_mask(mask))

    def get(self, kind: int, body: bytes) -> bytes:
        """The one message that answers a request, from behind its header on. Raises OSError for a refusal and for no
        answer in time."""
        self._ask(kind, _REQUEST, body)
        while True:
            for answered, _, sequence, found in messages(self._receive()):
                if sequence != self.sequence:
                    continue  # a late acknowledgement of something else
                if answered == _NLMSG_ERROR:
                    raise _refused(found)
                return found

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """All messages that answer a dump request, each from behind its header on. Raises OSError for a refusal, for no
        answer in time, and when what is listed never stays the same for long enough to be listed."""
        until = time.monotonic() + _DUMP_SECONDS
        while True:
            found, whole = self._dump(kind, body)
            if whole:
                return found
            if time.monotonic() > until:
                raise OSError(errno.EAGAIN, "they change faster than the kernel lists them")

    def _dump(self, kind: int, body: bytes) -> tuple[list[bytes], bool]:
        """One try. False: something changed meanwhile, so that an entry may be missing (NLM_F_DUMP_INTR)."""
        self._ask(kind, _REQUEST_DUMP, body)
        listed: list[bytes] = []
        whole = True
        while True:
            for answered, flags, sequence, found in messages(self._receive()):
                if sequence != self.sequence:
                    continue
                whole = whole and not flags & _F_DUMP_INTR
                if answered == _NLMSG_ERROR or (answered == _NLMSG_DONE and any(found[:4])):
                    raise _refused(found)
                if answered == _NLMSG_DONE:
                    return listed, whole
                listed.append(found)

    def _receive(self) -> bytes:
        data, _, flags, _ = self.socket.recvmsg(_RECEIVE_BUFFER)
        if flags & socket.MSG_TRUNC:
            raise OSError(errno.EMSGSIZE, f"an answer of the kernel is longer than {_RECEIVE_BUFFER} bytes")
        return data

    def _ask(self, kind: int, flags: int, body: bytes) -> None:
        self.sequence += 1
        self.socket.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, self.sequence, 0) + body)

    def _exchange(self, requests: Sequence[Request]) -> list[Answer]:
        """One send, one acknowledgement per request. One that doesn't come is ETIMEDOUT, or ENOBUFS."""
        first = self.sequence + 1
        self.sequence += len(requests)
        self.socket.send(b"".join(message(r.body, first + n) for n, r in enumerate(requests)))
        answers: dict[int, Answer] = {}
        lost = errno.ETIMEDOUT
        # The kernel has answered when it has taken them: to wait first is a call more for each.
        self.socket.settimeout(0)
        while len(answers) < len(requests):
            try:
                data = self.socket.recv(65536)
            except BlockingIOError:
                self.socket.settimeout(_ANSWER_SECONDS)
                continue
            except TimeoutError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                # Acknowledgements were dropped. What is still in the buffer is read, then no more will come.
                lost = errno.ENOBUFS
                self.socket.settimeout(0.2)
                continue
            sequence = taken(data)
            if sequence is not None and sequence >= first:
                answers[sequence] = TAKEN
            else:
                answers.update((n, a) for n, a in decode_answers(data).items() if n >= first)
        self.socket.settimeout(_ANSWER_SECONDS)
        return [answers.get(first + n, Answer(lost)) for n in range(len(requests))]


def change(bodies: Sequence[bytes], groups: Sequence[int]) -> list[Answer]:
    """`RtnlSocket.change` with a socket of its own; given in plain types, which are copied from process to process in a
    tenth of the time."""
    with RtnlSocket() as channel:
        return channel.change(list(map(Request, bodies, groups)))


def message(body: bytes, sequence: int) -> bytes:
    """A whole RTM_NEWLINK message (the kernel changes an existing link on it) that asks for an
    acknowledgement."""
    return _HEADER.pack(_HEADER.size + len(body), RTM_NEWLINK, _REQUEST_ACK, sequence, 0) + body


def again(requests: Sequence[Request], answers: Sequence[Answer], sent: Sequence[int]) -> list[int]:
    """Which of the requests just sent are to be sent again: see `RtnlSocket.change`."""
    groups: set[int] = set()
    pending = []
    for number in sent:
        if answers[number].code in RETRY | {errno.ENOBUFS}:
            groups.add(requests[number].group)
        if requests[number].group in groups:
            pending.append(number)
    return pending


def messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Type, flags, sequence number and body of the messages in one datagram; what is cut short is left out."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or offset + length > len(data):
            return
        yield kind, flags, sequence, data[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3


def _refused(error: bytes) -> OSError:
    """What struct nlmsgerr says, and the end of a dump that failed."""
    code = -int(struct.unpack_from("=i", error)[0]) if len(error) >= 4 else errno.EPROTO
    return OSError(code, os.strerror(code))


def taken(data: bytes) -> int | None:
    """The sequence number of the request that a datagram acknowledges, if it says nothing else. Nearly all are of that
    kind, and this takes a tenth of the time of `decode_answers`."""
    if len(data) != _ACK.size:
        return None
    length, kind, flags, sequence, _, code = _ACK.unpack(data)
    plain = length == _ACK.size and kind == _NLMSG_ERROR and not code and not flags & _F_ACK_TLVS
    return int(sequence) if plain else None


def decode_answers(data: bytes) -> dict[int, Answer]:
    """Acknowledgements in one datagram, by sequence number; anything else and anything cut short is
    skipped."""
    found = {}
    for kind, flags, sequence, body in messages(data):
        if kind == _NLMSG_ERROR and len(body) >= 4 + _HEADER.size:
            code = -struct.unpack_from("=i", body)[0]
            found[sequence] = Answer(code, _extended(body, flags)) if code or flags & _F_ACK_TLVS else TAKEN
    return found


def _extended(body: bytes, flags: int) -> str:
    """NLMSGERR_ATTR_MSG of an acknowledgement. It follows the header of the request, and the request's
    body too unless that was left out (NLM_F_CAPPED)."""
    if not flags & _F_ACK_TLVS:
        return ""
    request_length = _HEADER.unpack_from(body, 4)[0]
    offset = 4 + (_HEADER.size if flags & _F_CAPPED else (request_length + 3) & ~3)
    return next((text(value) for _, value in attributes(body, offset, {_EXT_ACK_MESSAGE})), "")
