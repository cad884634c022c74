"""The journal of systemd, in its own protocol: a service whose output goes there can add fields to what it says, by
which others find it (``journalctl -u reconciler-drift RECONCILER_VERDICT=drift``).

The protocol is a datagram of ``NAME=value`` lines: https://systemd.io/JOURNAL_NATIVE_PROTOCOL. That $JOURNAL_STREAM
names the stream of which a service's output is one end is in systemd.exec(5).
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable
from typing import TextIO

SOCKET = "/run/systemd/journal/socket"
_LIMIT = 100_000
"""Bytes. A datagram may have 200 KiB unless the host's administrator allows more; what is longer is told in lines."""
_SECONDS = 5.0
"""For a journal that is busy."""

Fields = Iterable[tuple[str, str]]


def is_journal(stream: TextIO) -> bool:
    """Whether what is written to this stream goes into the journal."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def send(fields: Fields) -> bool:
    """Adds one entry; a name may come several times. Whether the journal took it."""
    data = b"".join(_encoded(name, value) for name, value in fields)
    if len(data) > _LIMIT:
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
            journal.settimeout(_SECONDS)
            return journal.sendto(data, SOCKET) == len(data)
    except OSError:
        return False


def _encoded(name: str, value: str) -> bytes:
    """A value of several lines has its length before it."""
    data = value.encode(errors="backslashreplace")
    if b"\n" not in data:
        return name.encode() + b"=" + data + b"\n"
    return name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"
