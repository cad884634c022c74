"""Modules that are loaded at boot: modules-load.d, our own file of it, and whether the kernel has a module at all."""

from __future__ import annotations

import os
import platform
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from reconciler.host.kernel_modules import canonical, fill_asked
from reconciler.host.local.own_files import FOLDERS, configuration_files, is_own, replace_own
from reconciler.host.model import KernelModules, LoadEntry, Modules
from reconciler.state.checks import is_module

OWN_FILE = "etc/modules-load.d/reconciler.conf"
_DIRECTORIES = tuple(f"{folder}/modules-load.d" for folder in FOLDERS)
"""modules-load.d(5)."""
_ARGUMENT = "modules_load="


def fill_load(root: Path, modules: Modules, asked: Collection[str] | None, notes: list[str]) -> None:
    """What is loaded at boot, and of what was asked for (``None``: everything) what the kernel has; ``None``, with a
    note, if it can't be read."""
    _fill_known(root, modules, asked)
    try:
        own, others = None, list[LoadEntry]()
        for path in configuration_files(root, _DIRECTORIES):
            text = path.read_text(encoding="utf-8", errors="replace")
            entries = list(load_entries(text, f"/{path.relative_to(root)}"))
            if path == root / OWN_FILE and is_own(text):
                own = [entry.module for entry in entries if is_module(entry.module)]
            else:
                others += entries
        modules.own_load, modules.load = own, others + list(_kernel_arguments(root))
    except OSError as error:
        notes.append(f"The modules that are loaded at boot can't be read: {error.filename}: {error.strerror}.")


def load_entries(text: str, file: str) -> Iterator[LoadEntry]:
    """The modules of a modules-load.d file: one on a line, and none on lines that begin with ``#`` or ``;``."""
    for number, line in enumerate(text.splitlines(), 1):
        name = line.strip()
        if name and name[0] not in "#;":
            yield LoadEntry(canonical(name), file, number)


def _kernel_arguments(root: Path) -> Iterator[LoadEntry]:
    """``modules_load=`` of systemd-modules-load.service(8)."""
    for argument in (root / "proc/cmdline").read_text(errors="replace").split():
        if argument.startswith(_ARGUMENT):
            for name in filter(None, argument.removeprefix(_ARGUMENT).split(",")):
                yield LoadEntry(canonical(name), "/proc/cmdline")


def _fill_known(root: Path, modules: Modules, asked: Collection[str] | None) -> None:
    """Without a list of modules the kernel itself shows some of its parts, those with parameters (kernel/params.c)."""
    if asked is not None and {canonical(name) for name in asked} <= set(modules.loaded or ()):
        return
    builtin, installed = kernel_modules(root)
    shown = {name for name in _names(root / "sys/module") if is_module(name)} - installed - set(modules.loaded or ())
    known = KernelModules(sorted(builtin | shown), sorted(installed))
    if asked is None:
        modules.kernel = known
    else:
        fill_asked(modules, known, asked)


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def kernel_modules(root: Path) -> tuple[set[str], set[str]]:
    """Names of the modules that are part of the running kernel, and of those that can be loaded."""
    try:
        release = (root / "proc/sys/kernel/osrelease").read_text().strip()
    except OSError:
        release = platform.release()
    folders = (root / folder / release for folder in ("lib/modules", "usr/lib/modules"))
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        return set(), set()
    return _listed(folder / "modules.builtin"), _listed(folder / "modules.dep")


def _listed(path: Path) -> set[str]:
    """Names of the modules in modules.dep or modules.builtin: ``kernel/drivers/vfio/vfio.ko.xz: …``; none without the
    file, as in a container that has no modules."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return set()
    return {canonical(line.split(":")[0].rsplit("/", 1)[-1].split(".ko")[0]) for line in lines}


def write_load(root: Path, modules: Sequence[str] | None) -> None:
    """Replaces our own file, or removes it with ``None``."""
    lines = [f"{canonical(module)}\n" for module in dict.fromkeys(modules or ())]
    replace_own(root, OWN_FILE, "the list", "".join(lines) if modules is not None else None)
