"""The initramfs of the running kernel, as far as a blacklist goes: a module that it has may be loaded there, before the
real root's modprobe.d counts. It has a copy of modprobe.d, of the time when it was made (hooks/kmod of initramfs-tools,
modules.d/90kernel-modules of dracut).

Listing one takes seconds: it is all unpacked for that. So that is done only where something hangs on it: not where it
was made after the files that blacklist, and not where our own file says that this very image has none of its modules.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache
from pathlib import Path

from reconciler.host.local.child import NoAnswer, run
from reconciler.host.local.distribution import Initramfs, find_initramfs, initramfs_image
from reconciler.host.model import Modules
from reconciler.host.protocol import HostError

OWN_FILE = "etc/modprobe.d/reconciler.conf"
_NONE_IN = "# None of these is in the initramfs "
_MODULE = re.compile(r"([^/\s]+)\.ko(?:\.\w+)?")
_LIST_SECONDS = 120.0


def fill_initramfs(root: Path, modules: Modules, names: Collection[str], notes: list[str]) -> None:
    """Which of these modules, that are to be kept away, it has, and whether it is older than what keeps them away."""
    by_kernel = {entry.module for entry in modules.blacklist or [] if entry.file == "/proc/cmdline"}
    wanted = {name.replace("-", "_") for name in names} - by_kernel
    found = _find(root)
    if not wanted or found is None or modules.blacklist is None:
        return
    tool, image = found
    try:
        modules.initramfs_old, listed = _compare(root, modules, wanted, image)
        needed = modules.initramfs_old or not wanted <= listed
        if needed and not _known_without(root, image, modules.own or [], wanted):
            modules.initramfs = sorted(wanted & set(_paths(tool, image, image.stat().st_mtime_ns)[0]))
    except (OSError, HostError) as error:
        modules.initramfs = None
        notes.append(f"The initramfs {image} can't be read: {getattr(error, 'detail', '') or error}.")


def note_of(root: Path, names: Collection[str]) -> str:
    """The line for our own file that spares later runs the listing; "" where the initramfs has one of the modules, or
    where that isn't known."""
    found = _find(root)
    if found is None or not names:
        return ""
    tool, image = found
    try:
        has = set(_paths(tool, image, image.stat().st_mtime_ns)[0])
        return "" if has & set(names) else f"{_NONE_IN}{_identity(image)}.\n"
    except (OSError, HostError):
        return ""  # It is only listed again.


def rebuild(root: Path, seconds: float) -> None:
    """Makes the initramfs of the running kernel anew, with modprobe.d as it is now, and looks whether it has our own
    file."""
    found = _find(root)
    if found is None:
        raise HostError(
            "The initramfs can't be rebuilt.", "No tool that makes it is known here (dracut, initramfs-tools)."
        )
    tool, image = found
    _run([word.format(kernel=_kernel(root), image=image) for word in tool.rebuild], seconds)
    if (root / OWN_FILE).exists() and OWN_FILE not in _paths(tool, image, image.stat().st_mtime_ns)[1]:
        raise HostError("The initramfs lacks a file.", f"{image} was rebuilt and does not have /{OWN_FILE}.")


def _find(root: Path) -> tuple[Initramfs, Path] | None:
    tool = find_initramfs(root)
    image = initramfs_image(root, tool, _kernel(root)) if tool is not None else None
    return (tool, image) if tool is not None and image is not None else None


def _kernel(root: Path) -> str:
    try:
        return (root / "proc/sys/kernel/osrelease").read_text().strip()
    except OSError:
        return ""


def _compare(root: Path, modules: Modules, wanted: Collection[str], image: Path) -> tuple[bool, set[str]]:
    """Whether it is older than the files that keep these modules away, and which of them these files have. Those in
    /run are in no initramfs. When our own file was removed, its folder says."""
    others = [entry for entry in modules.blacklist or [] if not entry.file.startswith(("/run/", "/proc/"))]
    files = {entry.file for entry in others if entry.module in wanted}
    listed = {entry.module for entry in others} | set(modules.own or [])
    if modules.own is not None:
        files.add(f"/{OWN_FILE}")
    newest = max((root / file[1:]).stat().st_mtime_ns for file in files or {"/etc/modprobe.d"})
    return image.stat().st_mtime_ns < newest, listed


def _known_without(root: Path, image: Path, own: Collection[str], wanted: Collection[str]) -> bool:
    try:
        text = (root / OWN_FILE).read_text(errors="replace")
    except OSError:
        return False
    return set(wanted) <= set(own) and f"{_NONE_IN}{_identity(image)}.\n" in text


def _identity(image: Path) -> str:
    known = image.stat()
    return f"{image} of {known.st_mtime_ns} with {known.st_size} bytes"


@cache
def _paths(tool: Initramfs, image: Path, changed: int) -> tuple[frozenset[str], frozenset[str]]:
    """Names of the modules in it, and all paths. ``changed`` is the image's time: another one is another image."""
    lines = _run([word.format(image=image) for word in tool.listing], _LIST_SECONDS).splitlines()
    paths = frozenset(line.split()[-1] for line in lines if line.strip())
    names = (_MODULE.fullmatch(path.rpartition("/")[2]) for path in paths)
    return frozenset(match[1].replace("-", "_") for match in names if match), paths


def _run(argv: list[str], seconds: float) -> str:
    command = " ".join(argv)
    try:
        done = run(argv, seconds)
    except FileNotFoundError as error:
        raise HostError("A command is missing.", f"{argv[0]} is not installed") from error
    except NoAnswer as error:
        raise HostError("A command did not end in time.", f"{command} did not end in {seconds:g} s") from error
    if done.returncode != 0:
        said = done.stderr.strip().replace("\n", "; ") or f"exit code {done.returncode}"
        denied = "Permission denied" in said
        raise HostError("A command failed.", f"{command}: {said}", code=77 if denied else 1)
    return done.stdout
