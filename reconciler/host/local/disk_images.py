"""Which files an image of a disk needs beside itself, by its own header; the definition need not name them."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

_MAGIC = b"QFI\xfb"
_DATA_FILE, _FORMAT, _END = 0x44415441, 0xE2792ACA, 0
"""Header extensions (docs/interop/qcow2.rst of QEMU)."""
_EXTERNAL_DATA = 1 << 2
"""Incompatible feature: the data is in another file."""
_MOST = 64
"""Images below one another; more are taken for a circle."""
_HEADER = 64 * 1024
"""Bytes: header and extensions lie in the first cluster, and the smallest that is in use has 512."""


@dataclass(slots=True)
class Below:
    """What an image is made of beside itself."""

    files: list[str] = field(default_factory=list)
    """Backing and data files, in order."""
    unread: list[str] = field(default_factory=list)
    """Of what it is not known, and why, in words."""


def below(path: str) -> Below:
    """The files below an image of a disk. A file that isn't there or can't be read is told, and no error."""
    found = Below()
    todo, seen = [path], {os.path.realpath(path)}
    while todo and len(seen) < _MOST:
        image = todo.pop()
        try:
            for name, is_image in _named(image):
                if name.startswith(("json:", "rbd:")) or "://" in name:
                    found.unread.append(f"{name}, which {image} is based on")
                    continue
                other = os.path.join(os.path.dirname(image), name)
                if os.path.realpath(other) not in seen:
                    seen.add(os.path.realpath(other))
                    found.files.append(other)
                    todo += [other] if is_image else []
        except OSError as error:
            found.unread.append(f"{image} ({error.strerror or error})")
        except (ValueError, struct.error):
            found.unread.append(f"{image} (its qcow2 header is damaged)")
    return found


def _named(path: str) -> Iterator[tuple[str, bool]]:
    """Files that a qcow2 image names, and whether each may be an image itself. Raises OSError, ValueError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return
        data = os.read(descriptor, _HEADER)
    finally:
        os.close(descriptor)
    if data[:4] != _MAGIC:
        return
    version, offset, size = struct.unpack_from(">IQI", data, 4)
    features, length = (0, 72)
    if version >= 3:
        features, length = struct.unpack_from(">Q", data, 72)[0], struct.unpack_from(">I", data, 100)[0]
    extensions = dict(_extensions(data, length))
    if offset:
        if offset + size > len(data) or not size:
            raise ValueError("the backing file's name lies outside")
        yield os.fsdecode(data[offset : offset + size]), extensions.get(_FORMAT) != b"raw"
    if features & _EXTERNAL_DATA:
        if _DATA_FILE not in extensions:
            raise ValueError("the data file has no name")
        yield os.fsdecode(extensions[_DATA_FILE]), False


def _extensions(data: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(">II", data, at)
        if kind == _END:
            return
        if at + 8 + size > len(data):
            raise ValueError("a header extension is cut off")
        yield kind, data[at + 8 : at + 8 + size]
        at += 8 + (size + 7) // 8 * 8
