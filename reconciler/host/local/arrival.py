"""Waiting for what is not there yet while the machine boots: network cards, and an answer of libvirt."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reconciler.host.local.libvirt import Connection, Unavailable
from reconciler.host.local.reader import LocalReader
from reconciler.host.model import Snapshot

CARDS_AT_MOST = 60.0
"""Seconds for the cards. One that is there, and whose driver loads its firmware, comes within a few."""
QUIET = 3.0
"""Seconds after which no more cards are expected, when udev has nothing to do: it counts a module that is being loaded,
and with it nearly all drivers' probing, as something to do."""
_PAUSE = 0.25
"""Seconds until it is looked again when nothing was heard: of udev's queue nobody tells that it is empty."""
_ANSWER_SECONDS = 10.0
_STARTS_WITHIN = 20.0
"""Seconds for libvirt's socket to be there at all."""


def wait_for_cards(reader: LocalReader, complete: Callable[[Snapshot], bool]) -> None:
    """Returns when all cards are there, or no more are to be expected. A card is there once udev has given its
    interface its name: while the interface is up, kernels before 6.2 refuse to rename it, and it would be up by then.
    """
    began = time.monotonic()
    idle_since: float | None = None
    while True:
        found = reader.observe_pfs()
        if complete(found) and all(_named(reader.root, pf.ifindex) for pf in found.pfs.values()):
            return
        now = time.monotonic()
        if now - began >= CARDS_AT_MOST:
            return
        idle_since = (idle_since or now) if _udev_is_idle(reader.root) else None
        if idle_since is not None and now - idle_since >= QUIET:
            return
        reader.wait_for_change(_PAUSE)


def _named(root: Path, ifindex: int) -> bool:
    """Whether udev is done with an interface: then it has a record of it (sd_device_get_is_initialized(3))."""
    return not _udev_runs(root) or (root / f"run/udev/data/n{ifindex}").exists()


def _udev_is_idle(root: Path) -> bool:
    """As `udevadm settle` asks: the file is there as long as there is something to do."""
    return not (root / "run/udev/queue").exists()


def _udev_runs(root: Path) -> bool:
    return (root / "run/udev/control").exists()


def running_guests(root: Path) -> list[str]:
    """Guests of QEMU that run, as libvirt notes them for its own next start: their state in NAME.xml, and their process
    in NAME.pid (qemuProcessLaunch in src/qemu/qemu_process.c). Of one that was killed both may stay."""
    found = []
    for path in sorted((root / "run/libvirt/qemu").glob("*.xml")):
        with contextlib.suppress(OSError):  # It ends while we look.
            pid = path.with_name(f"{path.stem}.pid").read_text(encoding="ascii", errors="replace").strip()
            if pid.isdecimal() and (root / "proc" / pid).exists():
                found.append(path.stem)
    return found


def wait_for_libvirt(uri: str, seconds: float) -> str:
    """Returns when libvirt answers, with ""; or with the reason why it will not. While it starts its networks and
    guests it accepts connections and answers nobody (virNetDaemonUpdateServices in src/remote/remote_daemon.c)."""
    connection = Connection(uri, read_only=True)
    began = time.monotonic()

    def ask(_: Any, opened: Any) -> int:
        return int(opened.getLibVersion())

    while True:
        try:
            connection.ask(ask, _ANSWER_SECONDS)
        except Unavailable as error:
            waited = time.monotonic() - began
            hopeless = error.denied or isinstance(error.__cause__, ImportError)
            if hopeless or waited >= seconds or (not error.late and waited >= min(seconds, _STARTS_WITHIN)):
                return str(error)
        except Exception as error:  # noqa: BLE001  (libvirtError can't be named before libvirt is imported)
            if time.monotonic() - began >= min(seconds, _STARTS_WITHIN):
                return f"libvirt at {uri} does not answer: {error}."
        else:
            return ""
        time.sleep(1.0)
