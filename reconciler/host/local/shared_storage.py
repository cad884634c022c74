"""Is a file on storage that other hosts have, too? By the kind of file system that it is mounted from."""

from __future__ import annotations

import os
import re
from pathlib import Path

SHARED = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "ceph", "fuse.ceph", "glusterfs", "fuse.glusterfs"),
        *("gfs2", "ocfs2", "lustre", "gpfs", "beegfs", "acfs", "fuse.quobyte", "fuse.moosefs"),
    }
)
"""File systems that several hosts can mount (virFileIsSharedFSType in libvirt's src/util/virfile.c, and some more)."""


def shared_at(path: str, mountinfo: str) -> tuple[bool, str]:
    """Whether a path is on shared storage, and what it is on; ``mountinfo``: the content of /proc/self/mountinfo."""
    if not path:
        return False, "it has no path"
    place = os.path.realpath(path)
    best, kind = "", ""
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split()
        if not separator or len(fields) < 5 or not after.split():
            continue
        mounted = _unescape(fields[4])
        inside = place == mounted or place.startswith(mounted.rstrip("/") + "/")
        if inside and len(mounted) >= len(best):  # Of two mounted at one place the later one is seen.
            best, kind = mounted, after.split()[0]
    if not best:
        return False, "its file system is not known"
    return kind in SHARED, f"{kind} mounted at {best}"


def read_mountinfo(root: Path) -> str:
    """The mounts that this process sees."""
    return (root / "proc/self/mountinfo").read_text(errors="surrogateescape")


def _unescape(text: str) -> str:
    """``\\040`` for a blank, as the kernel writes it."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
