"""Huge pages: sysfs now, and at boot a file of our own that has systemd-tmpfiles write the same to sysfs, early and for
each size and node (``vm.nr_hugepages`` of sysctl has neither)."""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path

from reconciler.host.local.child import NoAnswer, write_file
from reconciler.host.local.own_files import read_own, replace_own
from reconciler.host.local.sysctl_pages import read_sysctl_pages
from reconciler.host.model import HugePagePools, NodePages, PagesOfSize
from reconciler.host.protocol import HostError
from reconciler.state.desired import Pages
from reconciler.state.refs import page_size, page_size_kib

OWN_FILE = "etc/tmpfiles.d/reconciler-hugepages.conf"
_ALL, _NODES = "sys/kernel/mm/hugepages", "sys/devices/system/node"
_FOLDER = re.compile(r"hugepages-([0-9]+)kB")
_NODE = re.compile(r"node[0-9]+")
_LINE = re.compile(
    rf"w /(?:{_ALL}|{_NODES}/(?P<node>node[0-9]+)/hugepages)/hugepages-(?P<kib>[0-9]+)kB/nr_hugepages - - - - "
    r"(?P<count>[0-9]+)"
)
_MAKE_ROOM = (("sys/vm/compact_memory", "1"), ("sys/vm/drop_caches", "1"), ("sys/vm/compact_memory", "1"))
"""Below /proc: what moves and frees pages so that larger ones come together (Documentation/admin-guide/sysctl/vm.rst).
Caches are dropped only when moving alone did not do it."""


def read_huge_pages(root: Path, notes: list[str]) -> HugePagePools:
    """All sizes; what can't be read is ``None``, with a note."""
    found = HugePagePools(memory_kib=_field(root / "proc/meminfo", "MemTotal:"))
    try:
        found.sizes = {page_size(kib): _of_size(root, kib) for kib in _sizes(root)}
        nodes = [name for name in _names(root / _NODES) if _NODE.fullmatch(name)]
        known = {node: _field(root / _NODES / node / "meminfo", "MemTotal:") for node in nodes}
        found.nodes_kib = {node: kib for node, kib in known.items() if kib}
        text = read_own(root, OWN_FILE)
        found.own = parse_own(text) if text is not None else None
        usual = _field(root / "proc/meminfo", "Hugepagesize:")
        found.sysctl = read_sysctl_pages(root, page_size(usual), notes) if usual else None
    except (OSError, ValueError) as error:
        found.sizes = None
        notes.append(f"Huge pages can't be read: {error}.")
    return found


def _sizes(root: Path) -> list[int]:
    found = [_FOLDER.fullmatch(name) for name in _names(root / _ALL)]
    return sorted(int(match[1]) for match in found if match is not None)


def _names(folder: Path) -> list[str]:
    """None, where the kernel has no huge pages, or no nodes."""
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def _of_size(root: Path, kib: int) -> PagesOfSize:
    name = f"hugepages-{kib}kB"
    whole = root / _ALL / name
    found = PagesOfSize(*_counts(whole), reserved=_number(whole / "resv_hugepages"))
    for node in _names(root / _NODES):
        folder = root / _NODES / node / "hugepages" / name
        if _NODE.fullmatch(node) and folder.is_dir():  # A node may have no memory.
            found.nodes[node] = NodePages(*_counts(folder))
    return found


def _counts(folder: Path) -> tuple[int, int, int]:
    return (
        _number(folder / "nr_hugepages"),
        _number(folder / "free_hugepages"),
        _number(folder / "surplus_hugepages"),
    )


def _number(path: Path) -> int:
    return int(path.read_text())


def _field(path: Path, name: str) -> int | None:
    """A size of /proc/meminfo, or of a node's (``Node 0 MemTotal: 4013940 kB``), in KiB."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    words = next((line.split() for line in lines if name in line.split()), [])
    value = words[words.index(name) + 1] if words else ""
    return int(value) if value.isdecimal() else None


def parse_own(text: str) -> dict[str, Pages]:
    """What our own file makes."""
    found: dict[str, Pages] = {}
    for match in filter(None, map(_LINE.fullmatch, text.splitlines())):
        size, count = page_size(int(match["kib"])), int(match["count"])
        known = found.get(size)
        if match["node"] is None:
            found[size] = count
        elif isinstance(known, dict):
            known[match["node"]] = count
        else:
            found[size] = {match["node"]: count}
    return found


# ---------------------------------------------------------------------------- writing


def write_own(root: Path, pages: Mapping[str, Pages] | None) -> None:
    """Replaces our own file, or removes it with ``None``."""
    lines = [
        f"w /{path.relative_to(root)} - - - - {count}\n"
        for size, wanted in (pages or {}).items()
        for path, count in _files(root, size, wanted)
    ]
    replace_own(root, OWN_FILE, "the pages", "".join(lines) if pages is not None else None)


def _files(root: Path, size: str, pages: Pages) -> list[tuple[Path, int]]:
    name = f"hugepages-{page_size_kib(size)}kB/nr_hugepages"
    if isinstance(pages, int):
        return [(root / _ALL / name, pages)]
    return [(root / _NODES / node / "hugepages" / name, count) for node, count in pages.items()]


def set_huge_pages(root: Path, size: str, pages: Pages, seconds: float) -> None:
    """Nodes that are to have fewer come first. Where the kernel makes fewer than it was asked for, room is made, twice
    at most, and it is asked again."""
    until = time.monotonic() + seconds
    files = sorted(_files(root, size, pages), key=lambda item: item[1] - _had(item[0]))
    for path, count in files:
        _write(path, str(count), until, f"{size} pages could not be set to {count}")
    for path, count in files:
        for number, (file, text) in enumerate(_MAKE_ROOM):
            if _had(path) >= count:
                break
            _write(root / "proc" / file, text, until, f"no room could be made for {size} pages")
            if number != 1:
                _write(path, str(count), until, f"{size} pages could not be set to {count}")


def _had(path: Path) -> int:
    """How many there are for good."""
    try:
        return _number(path) - _number(path.with_name("surplus_hugepages"))
    except (OSError, ValueError):
        return 0  # Writing to it says what is wrong.


def _write(path: Path, text: str, until: float, failed: str) -> None:
    try:
        write_file(path, text, max(1.0, until - time.monotonic()))
    except NoAnswer as error:
        raise HostError(
            "A write to the kernel did not end in time.",
            f"{failed}: writing {text} to {path} has not come back; process {error.pid} waits for it. The kernel is "
            "looking for memory, and takes as many pages as it finds.",
            errno=errno.ETIMEDOUT,
        ) from error
    except OSError as error:
        denied = error.errno in (errno.EACCES, errno.EPERM) and os.geteuid() != 0
        meaning = {
            errno.ENOENT: " This host has no such pages, or no such NUMA node.",
            errno.EINVAL: " The kernel makes pages of this size only at boot: put hugepagesz= and hugepages= on its "
            "command line.",
        }.get(error.errno or 0, "")
        raise HostError(
            "The kernel refused a number of huge pages.",
            f"{failed}: writing {text} to {path}: {error.strerror}.{' Run it as root.' if denied else meaning}",
            errno=error.errno or 0,
            code=77 if denied else 1,
        ) from error
