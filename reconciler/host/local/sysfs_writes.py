"""Writes to sysfs, each with a deadline, and what a refusal means."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from reconciler.host.local.child import NoAnswer, write_file
from reconciler.host.protocol import HostError
from reconciler.host.refusals import BIND, NUMVFS, no_answer, numvfs_not_made, refused_write


def set_numvfs(path: Path, count: int, seconds: float) -> None:
    """Writes ``sriov_numvfs``. Success only means that the kernel accepted it: some drivers create fewer
    VFs."""
    _write(path, str(count), seconds, numvfs_not_made(count), NUMVFS)


def write(path: Path, text: str, seconds: float) -> None:
    """Writes any other attribute of a device."""
    _write(path, text, seconds, "", BIND)


def _write(path: Path, text: str, seconds: float, what: str, meanings: Mapping[int, str]) -> None:
    shown = f"{text.strip() or 'nothing'} to {path}"
    if seconds <= 0:
        raise HostError("A write to sysfs was not tried.", f"There was no time left to write {shown}.")
    try:
        write_file(path, text, seconds)
    except NoAnswer as error:
        raise no_answer(shown, seconds) from error
    except OSError as error:
        gone, root = not path.parent.exists(), os.geteuid() == 0
        raise refused_write(shown, error.errno or 0, what, meanings, root=root, gone=gone) from error
