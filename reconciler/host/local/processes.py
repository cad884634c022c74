"""Which processes hold a VFIO group open. libvirt knows its guests only; the kernel itself does not refuse to
take a VF away from a process, whoever it is (nothing on KVM calls pci_set_dev_assigned)."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from reconciler.host.model import Process

_GROUP = re.compile(r"(?:.*/)?vfio/(?:noiommu-)?(\d+)")
_CDEV = re.compile(r"(?:.*/)?vfio/devices/(vfio\d+)")


def open_vfio_groups(root: Path, notes: list[str]) -> dict[int, list[Process]] | None:
    """Processes by IOMMU group. ``None``, with a note, when there are groups to look for and other users'
    processes can't be looked into, which takes root."""
    cdevs = _cdev_groups(root)
    if not cdevs and not _has_groups(root):
        return {}
    found: dict[int, dict[int, Process]] = {}
    hidden = 0
    for pid in _pids(root):
        try:
            groups = _groups_of(root / "proc" / str(pid), cdevs)
        except PermissionError:
            hidden += 1
            continue
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        for group in groups:
            found.setdefault(group, {})[pid] = Process(pid, _command(root, pid))
    if hidden:
        notes.append(
            f"The open files of {hidden} processes can't be seen without root, so which VFs are held through "
            "VFIO is unknown."
        )
        return None
    return {group: [held[pid] for pid in sorted(held)] for group, held in sorted(found.items())}


def _has_groups(root: Path) -> bool:
    """Whether any device is bound to VFIO at all: only then is there a /dev/vfio/N to be opened."""
    try:
        return any(re.fullmatch(r"(noiommu-)?\d+", name) for name in os.listdir(root / "dev/vfio"))
    except PermissionError:
        return True
    except (FileNotFoundError, NotADirectoryError):
        return False


def _cdev_groups(root: Path) -> dict[str, int]:
    """``vfio0`` (a character device per VF, Linux 6.6 and newer) to its device's IOMMU group."""
    found = {}
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(root / "sys/class/vfio-dev"):
            with contextlib.suppress(FileNotFoundError, ValueError):
                link = os.readlink(root / "sys/class/vfio-dev" / name / "device/iommu_group")
                found[name] = int(os.path.basename(link))
    return found


def _pids(root: Path) -> list[int]:
    return sorted(int(name) for name in os.listdir(root / "proc") if name.isdecimal())


def _groups_of(process: Path, cdevs: dict[str, int]) -> set[int]:
    groups = set()
    directory = process / "fd"
    for name in os.listdir(directory):
        try:
            target = os.readlink(directory / name)
        except FileNotFoundError:
            continue
        if "vfio" not in target:
            continue
        if match := _GROUP.fullmatch(target):
            groups.add(int(match[1]))
        elif (match := _CDEV.fullmatch(target)) and match[1] in cdevs:
            groups.add(cdevs[match[1]])
    return groups


def _command(root: Path, pid: int) -> str:
    try:
        return (root / "proc" / str(pid) / "comm").read_text(errors="replace").strip()
    except OSError:
        return ""  # it ended meanwhile
