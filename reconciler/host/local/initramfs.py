"""The initramfs of the installed kernels, as far as a blacklist goes: a module that one has may be loaded there, before
the real root's modprobe.d counts. It has a copy of modprobe.d, of the time when it was made (hooks/kmod of
initramfs-tools, modules.d/90kernel-modules of dracut).

Listing one takes seconds: it is all unpacked for that. So what is in it is kept in a record until it is another file.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from reconciler.files import read_regular, replace_file
from reconciler.host.local.child import NoAnswer, run
from reconciler.host.local.distribution import Initramfs, find_initramfs, initramfs_images
from reconciler.host.model import Modules
from reconciler.host.protocol import HostError

OWN_FILE = "etc/modprobe.d/reconciler.conf"
RECORD = "run/reconciler-initramfs.json"
"""What was found in which image; written by whoever may, and never needed."""
_MODULE = re.compile(r"([^/\s]+)\.ko(?:\.\w+)?")
_LIST_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class _Content:
    modules: frozenset[str]
    """Names, as the kernel spells them."""
    own_file: bool
    """It has a copy of our own file of modprobe.d."""


def fill_initramfs(root: Path, modules: Modules, names: Collection[str], notes: list[str]) -> None:
    """Which of these modules, that are to be kept away, the images have, and which of them an image would load
    although a file keeps them away."""
    by_kernel = {entry.module for entry in modules.blacklist or [] if entry.file == "/proc/cmdline"}
    wanted = {name.replace("-", "_") for name in names} - by_kernel
    tool = find_initramfs(root)
    if not wanted or tool is None or modules.blacklist is None:
        return
    has, old = set[str](), set[str]()
    for image in initramfs_images(root, tool, _kernel(root)).values():
        try:
            made = image.stat().st_mtime_ns
            content = _content(root, tool, image)
            there = wanted & content.modules
            old |= {name for name in there if _is_old(root, modules, name, made, own_file=content.own_file)}
        except (OSError, HostError) as error:
            modules.initramfs = None
            notes.append(f"The initramfs {image} can't be read: {getattr(error, 'detail', '') or error}.")
            return
        has |= there
    modules.initramfs, modules.initramfs_old = sorted(has), sorted(old)


def rebuild(root: Path, names: Collection[str], seconds: float) -> None:
    """Makes every initramfs anew that has one of these modules, with modprobe.d as it is now, and looks whether it has
    our own file."""
    tool = find_initramfs(root)
    images = initramfs_images(root, tool, _kernel(root)) if tool is not None else {}
    if tool is None or not images:
        raise HostError(
            "The initramfs can't be rebuilt.", "No tool that makes it is known here (dracut, initramfs-tools)."
        )
    until = time.monotonic() + seconds
    for kernel, image in images.items():
        if _content(root, tool, image).modules.isdisjoint(names):
            continue
        command = [word.format(kernel=kernel, image=image) for word in tool.rebuild]
        _run(command, max(0.0, until - time.monotonic()))
        if (root / OWN_FILE).exists() and not _content(root, tool, image).own_file:
            raise HostError("The initramfs lacks a file.", f"{image} was rebuilt and does not have /{OWN_FILE}.")


def _kernel(root: Path) -> str:
    try:
        return (root / "proc/sys/kernel/osrelease").read_text().strip()
    except OSError:
        return ""


def _is_old(root: Path, modules: Modules, name: str, made: int, *, own_file: bool) -> bool:
    """Whether an image that was made at this time and has this module is not as the files would have it: none of those
    that keep the module away is in it; or, where none does, our own file as it was before. That one is looked for:
    not every image has what is in /etc. Those in /run are in none."""
    entries = [entry for entry in modules.blacklist or [] if not entry.file.startswith(("/run/", "/proc/"))]
    others = {entry.file[1:] for entry in entries if entry.module == name and entry.file != f"/{OWN_FILE}"}
    own = root / OWN_FILE
    own_is_newer = not own.exists() or made < own.stat().st_mtime_ns
    by_own = name in (modules.own or [])
    if not others and not by_own:
        return own_file and own_is_newer
    in_own = by_own and own_file and not own_is_newer
    return not in_own and all(made < (root / file).stat().st_mtime_ns for file in others)


def _content(root: Path, tool: Initramfs, image: Path) -> _Content:
    """What is in an image: by the record, if that is about this very file."""
    known = image.stat()
    identity = f"{known.st_mtime_ns} {known.st_size} {known.st_ino}"
    record = _recorded(root)
    match record.get(str(image)):
        case {"identity": str(told), "modules": [*names], "own_file": bool(own_file)} if told == identity:
            return _Content(frozenset(map(str, names)), own_file)
    content = _listed(tool, image)
    entry = {"identity": identity, "modules": sorted(content.modules), "own_file": content.own_file}
    with contextlib.suppress(OSError):  # Without the right to write there it is only listed again.
        replace_file(root / RECORD, json.dumps({**record, str(image): entry}))
    return content


def _recorded(root: Path) -> dict[str, object]:
    try:
        record = json.loads(read_regular(root / RECORD))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _listed(tool: Initramfs, image: Path) -> _Content:
    lines = _run([word.format(image=image) for word in tool.listing], _LIST_SECONDS).splitlines()
    paths = {line.split()[-1] for line in lines if line.strip()}
    names = (_MODULE.fullmatch(path.rpartition("/")[2]) for path in paths)
    return _Content(frozenset(match[1].replace("-", "_") for match in names if match), OWN_FILE in paths)


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
