"""rtnetlink over a plain socket: many small changes, each with its own acknowledgement, and one link read."""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

RTM_NEWLINK = 16
_NLMSG_ERROR = 2
_RTM_GETLINK = 18
_IFLA_EXT_MASK = 29
_REQUEST = 0x1
_REQUEST_ACK = 0x1 | 0x4
_F_CAPPED, _F_ACK_TLVS = 0x100, 0x200
_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11
_EXT_ACK_MESSAGE = 1
_HEADER = struct.Struct("=LHHLL")
_IFINFO = struct.Struct("=BxHiII")
_ATTRIBUTE = struct.Struct("=HH")
_PER_SEND = 64
_RECEIVE_BUFFER = 1 << 20
_ANSWER_SECONDS = 10.0
RETRY = {errno.EAGAIN, errno.EBUSY}
"""The VF is being reset, or the driver works on another one (i40e, ice, octeontx2): asked again a little
later."""


@dataclass(frozen=True, slots=True)
class Request:
    """The body of one change. `group`: requests of one group must take effect in the order in which they
    stand."""

    body: bytes
    group: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """`code` is 0 or a positive errno; `text` is what the kernel's extended acknowledgement says, or ""."""

    code: int
    text: str = ""


def ifinfo(ifindex: int, *, flags: int = 0, change: int = 0) -> bytes:
    """struct ifinfomsg (16 bytes)."""
    return _IFINFO.pack(socket.AF_UNSPEC, 0, ifindex, flags, change)


def attribute(kind: int, payload: bytes) -> bytes:
    """struct nlattr with its payload, padded to 4 bytes; the length counts header and payload only."""
    return _ATTRIBUTE.pack(4 + len(payload), kind) + payload + b"\0" * (-len(payload) % 4)


class RtnlSocket:
    """A NETLINK_ROUTE socket for changes; a context manager."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self.socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        self.socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
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

    def get_link(self, ifindex: int, ext_mask: int) -> bytes:
        """The link message of one interface, from its struct ifinfomsg on. Raises OSError for a refusal
        and for no answer in time."""
        self.sequence += 1
        body = ifinfo(ifindex) + attribute(_IFLA_EXT_MASK, struct.pack("=I", ext_mask))
        header = _HEADER.pack(_HEADER.size + len(body), _RTM_GETLINK, _REQUEST, self.sequence, 0)
        self.socket.send(header + body)
        while True:
            data = self.socket.recv(_RECEIVE_BUFFER)
            length, kind, _, sequence, _ = _HEADER.unpack_from(data)
            if sequence != self.sequence:
                continue  # a late acknowledgement of something else
            if kind == RTM_NEWLINK:
                return data[_HEADER.size : length]
            code = decode_answers(data).get(sequence, Answer(errno.EPROTO)).code
            raise OSError(code, os.strerror(code))

    def _exchange(self, requests: Sequence[Request]) -> list[Answer]:
        """One send, one acknowledgement per request. One that doesn't come is ETIMEDOUT, or ENOBUFS."""
        first = self.sequence + 1
        self.sequence += len(requests)
        self.socket.send(b"".join(message(r.body, first + n) for n, r in enumerate(requests)))
        answers: dict[int, Answer] = {}
        lost = errno.ETIMEDOUT
        while len(answers) < len(requests):
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                # Acknowledgements were dropped. What is still in the buffer is read, then no more will come.
                lost = errno.ENOBUFS
                self.socket.settimeout(0.2)
                continue
            answers.update((n, a) for n, a in decode_answers(data).items() if n >= first)
        self.socket.settimeout(_ANSWER_SECONDS)
        return [answers.get(first + n, Answer(lost)) for n in range(len(requests))]


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


def decode_answers(data: bytes) -> dict[int, Answer]:
    """Acknowledgements in one datagram, by sequence number; anything else and anything cut short is
    skipped."""
    found = {}
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        end = offset + length
        if length < _HEADER.size or end > len(data):
            break
        body = data[offset + _HEADER.size : end]
        if kind == _NLMSG_ERROR and len(body) >= 4 + _HEADER.size:
            code = -struct.unpack_from("=i", body)[0]
            found[sequence] = Answer(code, _extended(body, flags))
        offset += (length + 3) & ~3
    return found


def _extended(body: bytes, flags: int) -> str:
    """NLMSGERR_ATTR_MSG of an acknowledgement. It follows the header of the request, and the request's
    body too unless that was left out (NLM_F_CAPPED)."""
    if not flags & _F_ACK_TLVS:
        return ""
    request_length = _HEADER.unpack_from(body, 4)[0]
    offset = 4 + (_HEADER.size if flags & _F_CAPPED else (request_length + 3) & ~3)
    while offset + 4 <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, offset)
        if length < 4:
            break
        if kind & 0x3FFF == _EXT_ACK_MESSAGE:
            return body[offset + 4 : offset + length].split(b"\0")[0].decode("utf-8", "replace")
        offset += (length + 3) & ~3
    return ""
