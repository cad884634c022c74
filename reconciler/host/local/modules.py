"""Kernel modules: what is loaded, what is blacklisted and by which file, and our own modprobe.d file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from reconciler.host.kernel_modules import canonical
from reconciler.host.local.child import NoAnswer, run
from reconciler.host.local.initramfs import OWN_FILE, fill_initramfs
from reconciler.host.local.modules_load import fill_load
from reconciler.host.local.own_files import FOLDERS, configuration_files, is_own, replace_own
from reconciler.host.model import BlacklistEntry, Modules
from reconciler.host.protocol import HostError
from reconciler.state.checks import is_module

OWN_UNTIL_REBOOT = "run/modprobe.d/reconciler-unconfirmed.conf"
"""Of another name: a file of the same one in /etc would mask it."""
_DIRECTORIES = tuple(f"{folder}/modprobe.d" for folder in (*FOLDERS, "lib"))
"""In order of precedence (modprobe.d(5)): of files with the same name only the first counts."""
_UDEV_SECONDS = 10.0
_KERNEL_ARGUMENTS = ("modprobe.blacklist=", "module_blacklist=")


def read_modules(
    root: Path, notes: list[str], asked: Collection[str] | None = (), kept_away: Collection[str] = ()
) -> Modules:
    """Everything about modules; what can't be read is ``None``, with a note. ``asked``: those of which it matters
    whether the kernel has them, ``None`` all; ``kept_away``: whether the initramfs has them."""
    modules = Modules(loaded=_loaded(root, notes))
    fill_load(root, modules, asked, notes)
    try:
        own, others = None, list[BlacklistEntry]()
        for path in configuration_files(root, _DIRECTORIES):
            text = path.read_text(encoding="utf-8", errors="replace")
            entries = list(blacklist_entries(text, f"/{path.relative_to(root)}"))
            if path == root / OWN_FILE and is_own(text):
                own = [entry.module for entry in entries if is_module(entry.module)]
            else:
                others += entries
        modules.own, modules.blacklist = own, others + list(_kernel_arguments(root))
    except OSError as error:
        notes.append(f"The module blacklist can't be read: {error.filename}: {error.strerror}.")
    fill_initramfs(root, modules, kept_away, notes)
    return modules


def blacklist_entries(text: str, file: str) -> Iterator[BlacklistEntry]:
    """The ``blacklist`` lines of a modprobe.d file, in order. A backslash at the end of a line joins the
    next one to it, also in a comment (kmod: shared/util.c, freadline_wrapped); the line number is the
    first of them."""
    line, start = "", 0
    for number, part in enumerate(text.split("\n"), 1):
        start = start or number
        if part.endswith("\\"):
            line += part[:-1]
            continue
        words = (line + part).split()
        if len(words) >= 2 and words[0] == "blacklist":
            yield BlacklistEntry(canonical(words[1]), file, start)
        line, start = "", 0


def _kernel_arguments(root: Path) -> Iterator[BlacklistEntry]:
    """``modprobe.blacklist=`` is read by modprobe, ``module_blacklist=`` by the kernel itself."""
    for argument in (root / "proc/cmdline").read_text(errors="replace").split():
        for prefix in _KERNEL_ARGUMENTS:
            if argument.startswith(prefix):
                for name in argument.removeprefix(prefix).split(","):
                    if name:
                        yield BlacklistEntry(canonical(name), "/proc/cmdline")


def _loaded(root: Path, notes: list[str]) -> list[str] | None:
    try:
        lines = (root / "proc/modules").read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []  # a kernel without loadable modules
    except OSError as error:
        notes.append(f"/proc/modules can't be read: {error.strerror}.")
        return None
    return sorted(line.split()[0] for line in lines if line)


def write_blacklist(root: Path, modules: Sequence[str] | None, name: str = OWN_FILE) -> None:
    """Replaces our own file, or removes it with ``None``."""
    lines = [f"blacklist {canonical(module)}\n" for module in dict.fromkeys(modules or ())]
    replace_own(root, name, "the list", "".join(lines) if modules is not None else None)


def tell_udev(root: Path) -> None:
    """Has udev read modprobe's configuration at once. It looks for changes only every three seconds, and would load a
    driver for new VFs that was blacklisted just before (seen in the lab with 6.12 and systemd 257). What it looks at
    are the times of the folders that were there when it last read (kmod_validate_resources): a new one in /run goes
    unseen unless another one looks changed."""
    if not (root / "run/udev/control").exists():
        return
    known = [root / name for name in _DIRECTORIES if not name.startswith("run/") and (root / name).is_dir()]
    if known:
        with contextlib.suppress(OSError):  # On a folder that can't be touched udev is just three seconds late.
            os.utime(known[0])
    _command(["udevadm", "control", "--reload"], "udev could not be told of the new blacklist", _UDEV_SECONDS)


def load(module: str, seconds: float) -> None:
    """modprobe by name: loads a module in spite of a blacklist, which is about aliases only."""
    _command(["modprobe", "--", module], f"{module} could not be loaded", seconds)


def unload(module: str, seconds: float) -> None:
    """Removes exactly this module; ``modprobe -r`` would take unused ones that it depends on along."""
    _command(["rmmod", "--", module], f"{module} could not be unloaded", seconds)


def names_for(modalias: str, seconds: float) -> list[str]:
    """The modules that serve a device, the preferred one first; none if there are none."""
    try:
        done = run(["modprobe", "--resolve-alias", "--", modalias], seconds)
    except FileNotFoundError:
        return []
    except NoAnswer as error:
        raise HostError("A command did not end in time.", f"modprobe --resolve-alias {modalias}") from error
    return [canonical(name) for name in done.stdout.split()]


def _command(argv: Sequence[str], failed: str, seconds: float) -> None:
    try:
        done = run(argv, seconds)
    except FileNotFoundError as error:
        raise HostError("A command is missing.", f"{argv[0]} is not installed (package kmod).") from error
    except NoAnswer as error:
        raise HostError(
            "A command did not end in time.",
            f"{failed}: {' '.join(argv)} did not end in {seconds:g} s. The kernel may still be at it.",
        ) from error
    if done.returncode != 0:
        said = done.stderr.strip().replace("\n", "; ") or f"exit code {done.returncode}"
        denied = "not permitted" in said or "Permission denied" in said
        raise HostError("A kernel module command failed.", f"{failed}: {said}.", code=77 if denied else 1)
