"""What other processes are at: which hold a VFIO group open, and which are inside a write to a PF or VF that has not
come back.

libvirt knows its guests only; the kernel itself does not refuse to take a VF away from a process, whoever it is
(nothing on KVM calls pci_set_dev_assigned). All is read from /proc, where no device's lock is asked for. A write that
hangs is found by what it is, a process inside a system call on an open file of sysfs: so a later run sees it as well,
and anybody's, and there is no record that could be left over. Which writes hang, and which only take their time, is
told by `reconciler.host.local.patience`.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from reconciler.host.local.child import NETWORK, READS, WAITED_FOR, WRITES, read_files
from reconciler.host.model import Hang, Process

_GROUP = re.compile(r"(?:.*/)?vfio/(?:noiommu-)?(\d+)")
_CDEV = re.compile(r"(?:.*/)?vfio/devices/(vfio\d+)")
_WRITTEN = re.compile(
    r"/sys/.*/(sriov_numvfs|sriov_drivers_autoprobe|driver_override|unbind|bind|drivers_probe|remove|rescan|reset)"
)
"""Files of sysfs whose writes take a device's lock (drivers/pci/iov.c, drivers/pci/pci-sysfs.c, drivers/base/bus.c)."""
_OURS = {WRITES, READS, NETWORK}
_PATIENCE = 20.0
"""Seconds after which a child of ours is one that was left behind, when it doesn't say how long it is waited for. Where
that can't be seen it may be one that stays (`reconciler.host.local.standing`), and is looked at a second time."""
_ORPHAN = 5.0
"""The same for one that says it, when its parent is gone."""
_MOST = 1 << 16
"""Bytes of a file that one read gives whole: each of /proc/PID that is read here has some hundred."""
_GUEST_SECONDS = 1.0
_GUEST = re.compile(r"(?:^|\0)guest=((?:[^,\0]|,,)+)")
"""QEMU's -name as libvirt writes it: a comma twice (qemuBuildNameCommandLine, virQEMUBuildBufferEscapeComma)."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write that is under way, or what a child of ours is at whose open files are hidden."""

    process: str
    """Tells it from every other one: the process, when that began, what it writes to, its finished writes so far. Of
    one whose files are hidden: its context switches so far."""
    left: float | None
    """Seconds that it still has; at 0 and less it hangs. ``None``: it is not ours, or hidden, so that is not known."""


@dataclass(frozen=True, slots=True)
class _Errand:
    """What a child of ours is at: one of many, for a child that stays."""

    age: float
    """Seconds for which it is at it."""
    left: float
    """Seconds that it still has; at 0 and less it was left behind."""


@dataclass(slots=True)
class Processes:
    """What was seen of all processes at one moment."""

    vfio_open: dict[int, list[Process]] | None = None
    """Processes by IOMMU group. ``None``: there are groups to look for and other users' processes can't be looked
    into, which takes root."""
    hangs: list[Hang] = field(default_factory=list)
    """Writes that are under way."""
    writes: dict[int, Write] = field(default_factory=dict)
    """What else is known of them, by process; and of those in `waiting` whose open files are hidden."""
    waiting: dict[str, list[int]] = field(default_factory=dict)
    """Children of ours, of any run, that were left behind: process ids by name."""


def look(root: Path, notes: list[str]) -> Processes:
    """Looks at every process once."""
    found, cdevs = Processes(), _cdev_groups(root)
    groups_to_look_for = bool(cdevs) or _has_groups(root)
    open_groups: dict[int, dict[int, Process]] = {}
    hidden = 0
    for pid in _pids(root):
        command, state, began, parent = _status(f"{root}/proc/{pid}")
        if state == "Z":
            continue  # It has ended, and has nothing open: only its parent has not noticed.
        if not groups_to_look_for and state != "D" and command not in _OURS:
            continue
        folder = root / "proc" / str(pid)
        try:
            targets = _open_files(folder)
        except PermissionError:
            hidden += 1
            if command in _OURS and state == "D" and _age(root, began) > _PATIENCE:
                found.waiting.setdefault(command, []).append(pid)
                found.writes[pid] = Write(f"{pid} {began} {_switches(folder)}", None)
            continue
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        errand = _errand(root, targets.values(), began, parent) if command in _OURS else None
        if errand is not None and errand.left <= 0:
            found.waiting.setdefault(command, []).append(pid)
        seen = Process(pid, command)
        for group in _groups(targets, cdevs):
            open_groups.setdefault(group, {})[pid] = seen
        hang = _hang(root, folder, command, state, targets)
        if hang is not None:
            hang.since = _time(_age(root, began) if errand is None else errand.age)
            found.hangs.append(hang)
            written = f"{pid} {began} {hang.path} {_finished_writes(folder)}"
            found.writes[pid] = Write(written, errand.left if errand is not None else None)
    _name_guests(root, [process for held in open_groups.values() for process in held.values()])
    if hidden and groups_to_look_for:
        notes.append(
            f"The open files of {hidden} processes can't be seen without root, so which VFs are held through "
            "VFIO is unknown."
        )
    else:
        found.vfio_open = {group: [held[pid] for pid in sorted(held)] for group, held in sorted(open_groups.items())}
    for hang in found.hangs:
        hang.holders = _holders(root, hang.pf, open_groups)
    return found


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


def _open_files(process: Path) -> dict[int, str]:
    """What each of its open files is, by descriptor; only files that may matter here."""
    found = {}
    for name in os.listdir(process / "fd"):
        try:
            target = os.readlink(process / "fd" / name)
        except FileNotFoundError:
            continue
        if "vfio" in target or target.startswith(("/sys/", "/memfd:reconciler-")):
            found[int(name)] = target
    return found


def _groups(targets: dict[int, str], cdevs: dict[str, int]) -> set[int]:
    groups = set()
    for target in targets.values():
        if match := _GROUP.fullmatch(target):
            groups.add(int(match[1]))
        elif (match := _CDEV.fullmatch(target)) and match[1] in cdevs:
            groups.add(cdevs[match[1]])
    return groups


def _hang(root: Path, process: Path, command: str, state: str, targets: dict[int, str]) -> Hang | None:
    """The write that a process is inside of."""
    written = next(
        (
            target
            for number, target in targets.items()
            if _WRITTEN.fullmatch(target) and _is_inside(process, number, state)
        ),
        None,
    )
    if written is None:
        changes = command == WRITES and state == "D" and not any(_WRITTEN.fullmatch(item) for item in targets.values())
        return Hang(int(process.name), command, "", waits_in=_line(process / "wchan")) if changes else None
    kept = [os.path.dirname(written), *(item for item in targets.values() if item != written)]
    folder = next((item for item in kept if os.path.lexists(f"{root}{item}/subsystem")), "")
    shown = f"{_bus_path(root, folder)}/{os.path.basename(written)}" if folder == kept[0] else written
    waits_in = _line(process / "wchan")
    return Hang(int(process.name), command, shown, _pf_of(root, folder), waits_in=waits_in if waits_in != "0" else "")


def _is_inside(process: Path, number: int, state: str) -> bool:
    """Whether it is inside a system call on this descriptor, which is open for writing. /proc/PID/syscall has the
    number of the call and its arguments; where the kernel has no such file, sleeping for good has to do."""
    flags = next((text for text in _text(process / f"fdinfo/{number}").splitlines() if text.startswith("flags:")), "")
    if not flags or int(flags.split()[1], 8) & os.O_ACCMODE == os.O_RDONLY or int(flags.split()[1], 8) & os.O_PATH:
        return False
    call = _text(process / "syscall").split()
    if not call:
        return state == "D"
    return len(call) > 1 and call[0] != "-1" and int(call[1], 16) == number


def _errand(root: Path, targets: Iterable[str], began: float, parent: int) -> _Errand:
    waited_for = next((match for target in targets if (match := WAITED_FOR.fullmatch(target))), None)
    if waited_for is None:
        age = _age(root, began)
        return _Errand(age, _PATIENCE - age)
    now = time.monotonic()
    age = now - float(waited_for[2])
    return _Errand(age, float(waited_for[3]) - now if int(waited_for[1]) == parent else _ORPHAN - age)


def _finished_writes(process: Path) -> str:
    """How many write calls it has come back from (``syscw``, proc_pid_io(5)); "" when that can't be read."""
    return next((line for line in _text(process / "io").splitlines() if line.startswith("syscw:")), "")


def _switches(process: Path) -> str:
    """How often it has gone to sleep or was made to wait, which whatever hangs doesn't (proc_pid_status(5)). Everybody
    may read it."""
    return " ".join(line for line in _text(process / "status").splitlines() if "ctxt_switches:" in line)


def _bus_path(root: Path, folder: str) -> str:
    """``/sys/bus/pci/devices/0000:01:00.0`` for a device's folder below /sys/devices."""
    return f"/sys/bus/{_bus(root, folder)}/devices/{os.path.basename(folder)}"


def _bus(root: Path, folder: str) -> str:
    with contextlib.suppress(OSError):
        return os.path.basename(os.readlink(f"{root}{folder}/subsystem"))
    return ""


def _pf_of(root: Path, folder: str) -> str:
    """Identity of the PF that a device's folder is, or whose VF it is; "" for any other."""
    if not folder:
        return ""
    for device in (folder, f"{folder}/physfn"):
        if os.path.exists(f"{root}{device}/sriov_numvfs"):
            name = os.path.basename(os.path.realpath(f"{root}{device}"))
            return f"{_bus(root, device)}/{name}"
    return ""


def _holders(root: Path, pf: str, open_groups: dict[int, dict[int, Process]]) -> list[str]:
    """Who has VFs of this PF open. The links to a VF that is being removed are gone already
    (pci_iov_remove_virtfn), so it is found by its predicted address."""
    indices = _vf_addresses(root, pf)
    found = []
    for group, held in sorted(open_groups.items()):
        with contextlib.suppress(FileNotFoundError):
            for address in sorted(os.listdir(root / f"sys/kernel/iommu_groups/{group}/devices")):
                if address in indices:
                    who = ", ".join(str(process) for _, process in sorted(held.items()))
                    found.append(f"VF {indices[address]} ({address}): {who}")
    return found


def _vf_addresses(root: Path, pf: str) -> dict[str, int]:
    """Indices of VFs by the address that offset and stride predict (drivers/pci/iov.c, pci_iov_virtfn_devfn)."""
    match = re.fullmatch(r"pci/([0-9a-f]{4,}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])", pf)
    if match is None:
        return {}
    folder = root / "sys/bus/pci/devices" / pf.partition("/")[2]
    total, offset, stride = (_line(folder / f"sriov_{name}") for name in ("totalvfs", "offset", "stride"))
    if not (total.isdecimal() and offset.isdecimal() and stride.isdecimal()):
        return {}
    own = int(match[2], 16) << 8 | int(match[3], 16) << 3 | int(match[4])
    found = {}
    for index in range(int(total)):
        number = own + int(offset) + int(stride) * index
        found[f"{match[1]}:{number >> 8:02x}:{number >> 3 & 0x1F:02x}.{number & 7}"] = index
    return found


def _name_guests(root: Path, processes: list[Process]) -> None:
    """Finds the guests of QEMUs. Command lines are read in a child: that takes the lock of the process's memory."""
    paths = {
        str(root / "proc" / str(process.pid) / "cmdline"): process
        for process in processes
        if process.command.startswith(("qemu", "kvm"))
    }
    for path, text in read_files(list(paths), _GUEST_SECONDS).texts.items():
        match = _GUEST.search(text)
        paths[path].guest = match[1].replace(",,", ",") if match else ""


def _status(process: str) -> tuple[str, str, float, int]:
    """Command, state, the seconds after boot at which it began, and its parent; nothing of one that ended. The
    command may hold blanks and parentheses (proc_pid_stat(5))."""
    text = _text(f"{process}/stat")
    head, closed, rest = text.rpartition(")")
    fields = rest.split()
    if not closed or len(fields) < 20:
        return _line(f"{process}/comm"), "", 0.0, 0
    return head.partition("(")[2], fields[0], int(fields[19]) / os.sysconf("SC_CLK_TCK"), int(fields[1])


def _age(root: Path, began: float) -> float:
    uptime = _line(root / "proc/uptime").split()
    return float(uptime[0]) - began if uptime else 0.0


def _time(age: float) -> str:
    when = datetime.fromtimestamp(time.time() - age, UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _line(path: Path | str) -> str:
    return _text(path).strip()


def _text(path: Path | str) -> str:
    try:
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # There are as many as there are processes.
        try:
            return os.read(number, _MOST).decode(errors="replace")
        finally:
            os.close(number)
    except OSError:
        return ""  # it ended meanwhile, or is not ours to look at
