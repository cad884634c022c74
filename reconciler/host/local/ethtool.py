"""A PF's own statistics, by the ioctl that every kernel has (include/uapi/linux/ethtool.h, SIOCETHTOOL)."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import struct

_SIOCETHTOOL = 0x8946
_GSTRINGS, _GSTATS, _GSSET_INFO = 0x1B, 0x1D, 0x37
_SET_STATS = 1
_STRING = 32
_ROOM = 8192
"""More statistics than were announced have room: the kernel writes as many as the driver has by then, whatever was
asked for (net/ethtool/ioctl.c, ethtool_get_stats)."""


def statistics(netdev: str) -> tuple[list[str], list[int]]:
    """Names and values, in the driver's order; none where the driver has none. Raises OSError (ENODEV: there is no such
    interface). Of a driver whose statistics changed meanwhile there are none, either: names would not fit."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            count = _count(channel, netdev)
            names = _names(channel, netdev, count)
            values = _values(channel, netdev, count)
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY):
                return [], []
            raise
    return (names, values) if len(names) == len(values) else ([], [])


def _ask(channel: socket.socket, netdev: str, buffer: ctypes.Array[ctypes.c_char]) -> None:
    name = os.fsencode(netdev)
    if len(name) > 15:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
    fcntl.ioctl(channel.fileno(), _SIOCETHTOOL, struct.pack("16sP16x", name, ctypes.addressof(buffer)))


def _count(channel: socket.socket, netdev: str) -> int:
    buffer = ctypes.create_string_buffer(struct.pack("=IIQI", _GSSET_INFO, 0, 1 << _SET_STATS, 0), 32)
    _ask(channel, netdev, buffer)
    mask, count = struct.unpack_from("=QI", buffer.raw, 8)
    return int(count) if mask else 0


def _names(channel: socket.socket, netdev: str, count: int) -> list[str]:
    head = struct.pack("=III", _GSTRINGS, _SET_STATS, count)
    buffer = ctypes.create_string_buffer(head, 12 + _STRING * (2 * count + _ROOM))
    _ask(channel, netdev, buffer)
    found = int(struct.unpack_from("=I", buffer.raw, 8)[0])
    raw = buffer.raw
    return [
        raw[12 + _STRING * n : 12 + _STRING * (n + 1)].split(b"\0")[0].decode("utf-8", "replace") for n in range(found)
    ]


def _values(channel: socket.socket, netdev: str, count: int) -> list[int]:
    buffer = ctypes.create_string_buffer(struct.pack("=II", _GSTATS, count), 8 + 8 * (2 * count + _ROOM))
    _ask(channel, netdev, buffer)
    found = int(struct.unpack_from("=I", buffer.raw, 4)[0])
    return list(struct.unpack_from(f"={found}Q", buffer.raw, 8))
