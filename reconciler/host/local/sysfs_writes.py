"""Writes to sysfs, each with a deadline, and what a refusal or no answer means."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from reconciler.host.local.child import NoAnswer, write_file, write_files
from reconciler.host.local.kernel_log import KernelLog
from reconciler.host.local.processes import look
from reconciler.host.protocol import HostError
from reconciler.host.refusals import BIND, NUMVFS, Evidence, no_answer, numvfs_not_made, refused_write


def set_numvfs(root: Path, path: Path, count: int, seconds: float) -> None:
    """Writes ``sriov_numvfs``. Success only means that the kernel accepted it: some drivers create fewer
    VFs."""
    _write(root, path, str(count), seconds, numvfs_not_made(count), NUMVFS, path.parent)


def write(root: Path, path: Path, text: str, seconds: float, device: Path | None = None) -> None:
    """Writes any other attribute; ``device``: what it is about, when the file is not the device's own."""
    _write(root, path, text, seconds, "", BIND, device or path.parent)


def write_in_turn(root: Path, writes: Sequence[tuple[Path, str]], seconds: float, device: Path) -> None:
    """Several other attributes, all about one device, in one child. Those after one that is refused are not written."""
    if seconds <= 0:
        raise HostError("A write to sysfs was not tried.", f"There was no time left to write to {writes[0][0]}.")
    with KernelLog(root) as log:
        try:
            write_files(writes, seconds, device)
        except NoAnswer as error:
            shown = _shown(*writes[min(error.done, len(writes) - 1)])
            raise no_answer(shown, seconds, _evidence(root, error.pid, log, [device.name])) from error
        except OSError as error:
            path, text = next((item for item in writes if str(item[0]) == error.filename), writes[0])
            shown, superuser = _shown(path, text), os.geteuid() == 0
            gone = not path.parent.exists()
            raise refused_write(shown, error.errno or 0, "", BIND, root=superuser, gone=gone) from error


def _shown(path: Path, text: str) -> str:
    return f"{text.strip() or 'nothing'} to {path}"


def _write(
    root: Path, path: Path, text: str, seconds: float, what: str, meanings: Mapping[int, str], device: Path
) -> None:
    shown = _shown(path, text)
    if seconds <= 0:
        raise HostError("A write to sysfs was not tried.", f"There was no time left to write {shown}.")
    with KernelLog(root) as log:
        try:
            write_file(path, text, seconds, device)
        except NoAnswer as error:
            raise no_answer(shown, seconds, _evidence(root, error.pid, log, [device.name])) from error
        except OSError as error:
            gone, superuser = not path.parent.exists(), os.geteuid() == 0
            raise refused_write(shown, error.errno or 0, what, meanings, root=superuser, gone=gone) from error


def _evidence(root: Path, pid: int, log: KernelLog, names: Iterable[str]) -> Evidence:
    """All of it is read without asking for a device's lock."""
    hang = next((hang for hang in look(root, []).hangs if hang.pid == pid), None)
    if hang is None:
        return Evidence(pid, log=log.told(names))
    held = [text.partition("(")[2].partition(")")[0] for text in hang.holders]
    return Evidence(pid, hang.waits_in, log.told([*names, *held]), hang.holders)
