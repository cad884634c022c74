"""The other place from which a host gets huge pages at boot: ``vm.nr_hugepages`` of sysctl.d(5) and sysctl.conf(5), of
the kernel's default size."""

from __future__ import annotations

from pathlib import Path

from reconciler.host.local.own_files import FOLDERS, configuration_files
from reconciler.host.model import SysctlPages

_FOLDERS = tuple(f"{folder}/sysctl.d" for folder in FOLDERS)
_LAST = "etc/sysctl.conf"
"""Read by ``sysctl --system`` after all others; many systems have a link to it in sysctl.d."""
_KEYS = ("vm/nr_hugepages", "vm/nr_hugepages_mempolicy")


def read_sysctl_pages(root: Path, size: str, notes: list[str]) -> SysctlPages | None:
    """The line that counts, the last one; ``None``: there is none. ``size``: the kernel's default one."""
    found = None
    for path in _files(root, notes):
        try:
            lines = path.read_text(errors="replace").splitlines()
        except OSError as error:
            notes.append(f"{path} can't be read, so that it is not known whether it asks for huge pages: {error}.")
            continue
        for number, line in enumerate(lines, 1):
            key, _, value = line.partition("=")
            # A "-" in front: no failure if it can't be set. Either separator, by sysctl.d(5).
            if key.strip().removeprefix("-").replace(".", "/") in _KEYS and value.strip().isdecimal():
                found = SysctlPages(f"/{path.relative_to(root)}", number, size, int(value))
    return found


def _files(root: Path, notes: list[str]) -> list[Path]:
    last = root / _LAST
    try:
        files = configuration_files(root, _FOLDERS)
    except OSError as error:
        notes.append(f"sysctl.d can't be read, so that it is not known whether it asks for huge pages: {error}.")
        files = []
    linked = last.resolve() in [path.resolve() for path in files]
    return [*files, last] if last.exists() and not linked else files
