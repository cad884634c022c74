"""The kernel's arguments, written by the boot loader's own means: the next boot has them, or all is as it was."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from reconciler.files import replace_file, sync_folder
from reconciler.host.local.boot_loader import (
    configuration,
    drop_in,
    own_file,
    parse_leaving,
    parse_own,
    read_boot,
    read_entries,
)
from reconciler.host.local.child import NoAnswer, run
from reconciler.host.local.distribution import BootLoader, find_boot_loader
from reconciler.host.local.own_files import read_own, replace_own
from reconciler.host.protocol import HostError

_FAILED = "The boot loader's configuration could not be changed."
_KERNEL_CMDLINE = "etc/kernel/cmdline"
_MODULES = "usr/lib/modules"
_NOT_KEPT = ("BOOT_IMAGE", "initrd", "systemd.machine_id")
"""What kernel-install leaves out of /proc/cmdline when there is no file (90-loaderentry.install)."""


def set_arguments(root: Path, arguments: Sequence[str] | None, seconds: float) -> None:
    """Makes these ours, in place of those that were. Raises HostError; then the files are as they were before."""
    loader = find_boot_loader(root)
    if loader is None:
        raise HostError(_FAILED, read_boot(root, (), []).trouble, errno=errno.ECANCELED)
    try:
        text = read_own(root, own_file(loader))
        before = [*parse_own(text), *parse_leaving(text)] if text is not None else []
        change = _Change(root, loader, before, list(arguments or ()), time.monotonic() + min(seconds, loader.seconds))
        kept = _Kept(root, [own_file(loader), *_touched(root, loader)])
    except OSError as error:
        raise _taken_back(error, []) from error
    try:
        _WAYS[loader.means](change, arguments is None)
        change.verify()
    except (HostError, OSError) as error:
        left = kept.put_back()
        if not change.make_images_again():
            left.append("the kernels' images")
        raise _taken_back(error, left) from error


class _Change:
    """From the arguments that were ours to those that are to be."""

    def __init__(self, root: Path, loader: BootLoader, before: list[str], wanted: list[str], until: float) -> None:
        self.root, self.loader, self.wanted, self.until = root, loader, wanted, until
        entries = read_entries(root, loader)
        self.before = _most(entries)
        self.added = [word for word in wanted if any(word not in entry for entry in entries)]
        self.removed = [word for word in before if word not in wanted]

    def write_own(self, arguments: Sequence[str] | None, leaving: Sequence[str] = ()) -> None:
        """Our own file. ``leaving``: what a drop-in notes that was ours, and may still be in effect."""
        text = None
        if arguments is not None and self.loader.means == "drop-in":
            text = drop_in(arguments, leaving)
        elif arguments is not None:
            text = "".join(f"{argument}\n" for argument in arguments)
        replace_own(self.root, own_file(self.loader), "cmdline", text)

    def run(self, *argv: str) -> None:
        """A command of the boot loader's."""
        try:
            done = run(argv, self.until - time.monotonic())
        except FileNotFoundError as error:
            raise HostError(_FAILED, f"{argv[0]} is not there, or not in the PATH.") from error
        except NoAnswer as error:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(error.pid, signal.SIGKILL)  # Its children would go on, and write what was put back.
            raise HostError(_FAILED, f"{' '.join(argv)} did not end in {self.loader.seconds:g} s.") from error
        if done.returncode != 0:
            said = "; ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]) or "it said nothing"
            raise HostError(_FAILED, f"{' '.join(argv)} failed with exit code {done.returncode}: {said}.")

    def make_images_again(self) -> bool:
        """Of what was put back, where the arguments are in the kernels' images. What failed once may fail again."""
        try:
            if any(path.suffix == ".efi" for path in configuration(self.root, self.loader)):
                _refresh(self)
        except (HostError, OSError):
            return False
        return True

    def verify(self) -> None:
        """What was generated has our arguments for every kernel, no longer those that were, and all of others'."""
        entries = read_entries(self.root, self.loader)
        after = _most(entries)
        lacking = [word for word in self.wanted if not entries or any(word not in entry for entry in entries)]
        left = [word for word in self.removed if after[word] and after[word] >= self.before[word]]
        lost = [word for word in self.before if not after[word] and word not in self.removed]
        if self.loader.refresh:  # It makes everything anew, also what somebody else had changed before.
            lost = []
        for words, what in ((lacking, "lacks"), (left, "still has"), (lost, "has lost")):
            if words:
                raise HostError(
                    _FAILED, f"{self.loader.title}: after the command its configuration {what} {' '.join(words)}."
                )


def _most(entries: Sequence[Sequence[str]]) -> Counter[str]:
    """How often an entry has a word, at the most: somebody else may have one of ours, too."""
    found: Counter[str] = Counter()
    for entry in entries:
        found |= Counter(entry)
    return found


class _Kept:
    """Files as they were."""

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self.files = {root / name: _content(root / name) for name in dict.fromkeys(names)}

    def put_back(self) -> list[str]:
        """Those that are otherwise now; the ones that could not be."""
        left = []
        for path, (content, mode) in self.files.items():
            try:
                if _content(path)[0] != content:
                    _put(path, content, mode)
            except OSError:
                left.append(str(path))
        return left


def _put(path: Path, content: bytes | None, mode: int) -> None:
    if content is None:
        path.unlink(missing_ok=True)
    else:
        beside = path.with_name(f".{path.name}.reconciler")
        beside.write_bytes(content)
        beside.chmod(mode)
        os.replace(beside, path)
    sync_folder(path.parent)


def _content(path: Path) -> tuple[bytes | None, int]:
    try:
        return path.read_bytes(), path.stat().st_mode & 0o7777
    except FileNotFoundError:
        return None, 0


def _touched(root: Path, loader: BootLoader) -> Iterator[str]:
    """What the boot loader's command changes; images are made anew and not kept."""
    for path in configuration(root, loader):
        if path.suffix != ".efi":
            yield str(path.relative_to(root))
    yield from {"grubby": ("etc/default/grub", _KERNEL_CMDLINE), "pbl": ("etc/default/grub",)}.get(loader.means, ())
    if loader.means == "kernel-install":
        yield _KERNEL_CMDLINE


# ---------------------------------------------------------------------------- the ways


def _drop_in(change: _Change, nothing: bool) -> None:
    """What goes is noted until it is gone: what interrupts update-grub doesn't make it somebody else's."""
    if change.removed or not nothing:
        change.write_own(change.wanted, change.removed)
    change.run(*change.loader.refresh)
    if change.removed or nothing:
        change.write_own(None if nothing else change.wanted)


def _by_tool(remove: Callable[[_Change], None], add: Callable[[_Change], None]) -> Callable[[_Change, bool], None]:
    """Where the boot loader has one list of arguments, ours are written down before they are put into it, and struck
    off after they were taken out: whatever interrupts it, none of ours is taken for somebody else's."""

    def way(change: _Change, nothing: bool) -> None:
        change.write_own([*change.wanted, *change.removed])
        if change.removed:
            remove(change)
        if change.added:
            add(change)
        if change.loader.refresh:
            _refresh(change)
        change.write_own(None if nothing else change.wanted)

    return way


def _refresh(change: _Change) -> None:
    if change.loader.command != "kernel-install":
        change.run(*change.loader.refresh)
        return
    for release, kernel in _kernels(change.root):
        initrd = change.root / f"boot/initrd.img-{release}"
        change.run(*change.loader.refresh, release, str(kernel), *([str(initrd)] if initrd.exists() else []))


def _kernels(root: Path) -> Iterator[tuple[str, Path]]:
    """Releases with their image: beside their modules (systemd's way), or in /boot (Debian's)."""
    for folder in sorted((root / _MODULES).iterdir()):
        places = (folder / "vmlinuz", root / f"boot/vmlinuz-{folder.name}")
        image = next((place for place in places if place.exists()), None)
        if image is not None:
            yield folder.name, image


def _pbl_each(option: str, words: Callable[[_Change], list[str]]) -> Callable[[_Change], None]:
    def each(change: _Change) -> None:
        for word in words(change):
            change.run("pbl", option, word)

    return each


def _edit_cmdline(change: _Change) -> None:
    """/etc/kernel/cmdline; where there is none, what kernel-install takes in its place is the beginning."""
    path = change.root / _KERNEL_CMDLINE
    lines = [_without(line, change.removed) for line in _cmdline_lines(change.root, path)]
    have = {word for line in lines if not line.startswith("#") for word in line.split()}
    more = [word for word in change.wanted if word not in have]
    if more and (not lines or lines[-1].startswith("#")):
        lines.append(" ".join(more))
    elif more:
        lines[-1] = " ".join([lines[-1], *more]).strip()
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, "\n".join(lines) + "\n")


def _cmdline_lines(root: Path, path: Path) -> list[str]:
    for place in (path, root / "usr/lib/kernel/cmdline"):
        if place.exists():
            return place.read_text().splitlines()
    words = (root / "proc/cmdline").read_text().split()
    return [" ".join(word for word in words if word.partition("=")[0] not in _NOT_KEPT)]


def _without(line: str, removed: Sequence[str]) -> str:
    if line.startswith("#") or not set(line.split()) & set(removed):
        return line
    return " ".join(word for word in line.split() if word not in removed)


_WAYS: dict[str, Callable[[_Change, bool], None]] = {
    "drop-in": _drop_in,
    "grubby": _by_tool(
        lambda change: change.run("grubby", "--update-kernel=ALL", f"--remove-args={' '.join(change.removed)}"),
        lambda change: change.run("grubby", "--update-kernel=ALL", f"--args={' '.join(change.added)}"),
    ),
    "pbl": _by_tool(
        _pbl_each("--del-option", lambda change: change.removed), _pbl_each("--add-option", lambda change: change.added)
    ),
    "kernel-install": _by_tool(_edit_cmdline, _edit_cmdline),
}


def _unwritable(error: OSError) -> HostError:
    code = 77 if isinstance(error, PermissionError) else 1
    return HostError(_FAILED, f"{error.filename or 'A file'}: {error.strerror or error}.", code=code)


def _taken_back(error: HostError | OSError, left: Sequence[str]) -> HostError:
    """With an error number when nothing is left of it: then nothing was written."""
    told = _unwritable(error) if isinstance(error, OSError) else error
    if left:
        return HostError(told.summary, f"{told.detail} And {', '.join(left)} could not be put back.", code=told.code)
    return HostError(told.summary, f"{told.detail} All is as it was.", errno=errno.ECANCELED, code=told.code)
