"""Whether a kernel has the modules that a state file names: of a host that is read now, and of a recorded one."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

from reconciler.host.model import KernelModules, Modules


def canonical(module: str) -> str:
    """A module's name as the kernel spells it."""
    return module.replace("-", "_")


def fill_asked(modules: Modules, known: KernelModules, asked: Collection[str]) -> None:
    """Which of these, as far as they are not loaded, are part of the kernel, which are missing, and of which it is not
    known. A container, and a unit of systemd with ProtectKernelModules=, has no list of modules."""
    wanted = {canonical(name) for name in asked} - set(modules.loaded or ())
    builtin, installed = set(known.builtin), set(known.installed)
    modules.builtin = sorted(wanted & builtin)
    lacking = sorted(wanted - builtin - installed)
    modules.undecided = lacking if not installed else []
    modules.missing = {}
    if installed and lacking:
        names = sorted(builtin | installed)
        modules.missing = {name: next(iter(get_close_matches(name, names, n=1)), "") for name in lacking}
