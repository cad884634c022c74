"""Is a file on storage that other hosts have, too? By the kind of file system that it is mounted from."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from reconciler.host.local.disk_images import Below, below

SHARED = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "fuse.ceph", "glusterfs", "fuse.glusterfs"),
        *("gfs2", "ocfs2", "lustre", "gpfs", "beegfs", "acfs", "fuse.quobyte", "fuse.moosefs"),
    }
)
"""File systems that several hosts can mount (virFileIsSharedFSType in libvirt's src/util/virfile.c, and some more). Not
9p, which is a folder of the machine that this host itself is a guest of."""


@dataclass(frozen=True, slots=True)
class Storage:
    """What is asked about the files of disks."""

    shared_at: Callable[[str], tuple[bool, str]]
    """Whether a path is on storage that other hosts have, too, and why."""
    real: Callable[[str], str] = lambda path: path
    """The path without symbolic links."""
    below: Callable[[str], Below] = lambda path: Below()
    """The files below an image."""


def local_storage(root: Path) -> Storage:
    """That of this host."""
    mounts = read_mountinfo(root)
    return Storage(lambda path: shared_at(path, mounts), os.path.realpath, below)


def device_of(path: str) -> str | None:
    """The number (``8:1``) of what a path is on; ``None``: there is no such file."""
    try:
        device = os.stat(path).st_dev
    except OSError:
        return None
    return f"{os.major(device)}:{os.minor(device)}"


def shared_at(path: str, mountinfo: str, device: Callable[[str], str | None] = device_of) -> tuple[bool, str]:
    """Whether a path is on shared storage, and what it is on; ``mountinfo``: the content of /proc/self/mountinfo. A
    mount that others lie over is told by the device's number."""
    if not path:
        return False, "it has no path"
    place = os.path.realpath(path)
    on = device(place)
    best, kind, number = "", "", ""
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split()
        if not separator or len(fields) < 5 or not after.split():
            continue
        mounted = _unescape(fields[4])
        inside = place == mounted or place.startswith(mounted.rstrip("/") + "/")
        better = (fields[2] == on, len(mounted)) >= (number == on, len(best))
        if inside and better:  # Of two mounted at one place the later one is seen.
            best, kind, number = mounted, after.split()[0], fields[2]
    if not best:
        return False, "its file system is not known"
    if kind in SHARED and on is not None and number != on:
        return False, f"it is not on the {kind} mounted at {best}, but on device {on}"
    return kind in SHARED, f"{kind} mounted at {best}"


def read_mountinfo(root: Path) -> str:
    """The mounts that this process sees."""
    return (root / "proc/self/mountinfo").read_text(errors="surrogateescape")


def _unescape(text: str) -> str:
    """``\\040`` for a blank, as the kernel writes it."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
