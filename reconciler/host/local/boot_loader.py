"""The kernel's arguments, read: of this boot, of the next one as the boot loader's configuration has it, and which of
them are ours."""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from reconciler.host.local.distribution import (
    DROP_IN,
    SDBOOTUTIL,
    BootLoader,
    command_there,
    find_boot_loader,
    find_distribution,
)
from reconciler.host.local.own_files import read_own
from reconciler.host.model import BootArguments
from reconciler.state.checks import is_argument

DROP_IN_FILE = "etc/default/grub.d/60-reconciler.cfg"
OURS_FILE = "etc/reconciler/kernel-arguments.conf"
"""Which of the boot loader's arguments are ours, where it has no drop-ins; one per line."""
_DROP_IN_LINE = re.compile(r'GRUB_CMDLINE_LINUX="\$GRUB_CMDLINE_LINUX (.*)"')
_LEAVING = "# Taken out, and maybe not yet out of the boot loader's configuration:"
"""Begins a line of our drop-in from before update-grub runs until it has run."""
_SECTION = re.compile(r"### BEGIN /etc/grub\.d/(\S+) ###")
_LINUX = re.compile(r"\s*linux(?:16|efi)?\s+\S+\s*(.*)")
_OF_THIS_SYSTEM = "10_linux"
"""The script of grub-mkconfig that makes this system's entries; those of others are 30_os-prober's (util/grub.d)."""
_RECOVERY = frozenset({"single", "recovery"})
"""GRUB_CMDLINE_LINUX_RECOVERY of grub-mkconfig, Debian's and Ubuntu's: such entries are without
GRUB_CMDLINE_LINUX_DEFAULT, and nobody runs guests in them."""
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_ENVIRONMENT = ("boot/grub2/grubenv", "boot/grub/grubenv")


def own_file(loader: BootLoader | None) -> str:
    """Our own file with this boot loader, below the root."""
    return DROP_IN_FILE if loader is DROP_IN else OURS_FILE


def read_boot(root: Path, pfs: Collection[str], notes: list[str]) -> BootArguments:
    """All of it; ``pfs``: PCI addresses. What can't be read is ``None``, with a note."""
    found, loader = BootArguments(), find_boot_loader(root)
    try:
        found.running = (root / "proc/cmdline").read_text(errors="replace").split()
        name = own_file(loader) if loader is not None or not (root / DROP_IN_FILE).exists() else DROP_IN_FILE
        text = read_own(root, name)
        found.own = None if text is None else parse_own(text)
        found.leaving = parse_leaving(text or "")
    except OSError as error:
        found.running = None
        notes.append(f"The kernel's arguments can't be read: {error.filename}: {error.strerror}.")
    _groups(root, pfs, found, notes)
    if loader is None:
        found.trouble = _trouble(root)
        return found
    found.loader, found.replaces = loader.title, loader.means in ("grubby", "pbl")
    try:
        entries = read_entries(root, loader)
        found.since_boot = written_since_boot(root, loader)
    except OSError as error:
        notes.append(f"The boot loader's configuration can't be read: {error.filename}: {error.strerror}.")
        return found
    if not entries:
        found.loader, found.trouble = "", f"{loader.title}: no entry with a kernel was found in its configuration."
        return found
    found.next = [word for word in entries[0] if all(word in entry for entry in entries)]
    found.some = sorted({word for entry in entries for word in entry} - set(found.next))
    return found


def _trouble(root: Path) -> str:
    row = find_distribution(root)
    if command_there(root, "update-grub") or command_there(root, "grubby") or command_there(root, "pbl"):
        return (
            "the GRUB that is installed did not start this kernel, or reads no drop-ins. Give the arguments to what "
            "starts it (a hypervisor, the network), by hand."
        )
    usual = f"{row.title} has {row.boot_loader.title}. " if row is not None else ""
    return (
        f"no boot loader is known here. {usual}Add them by hand to what starts the kernel, or install GRUB with "
        "update-grub, grubby, or systemd-boot with kernel-install."
    )


def parse_own(text: str) -> list[str]:
    """The arguments of our own file, of either kind."""
    words: list[str] = []
    for line in text.splitlines():
        drop_in = _DROP_IN_LINE.fullmatch(line)
        if not line.startswith("#"):
            words += drop_in[1].split() if drop_in else line.split()
    return [word for word in words if is_argument(word)]


def drop_in(arguments: Sequence[str], leaving: Sequence[str]) -> str:
    """Our drop-in, without its first line."""
    note = f"{_LEAVING} {' '.join(leaving)}\n" if leaving else ""
    return f'{note}GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX {" ".join(arguments)}"\n'


def parse_leaving(text: str) -> list[str]:
    """Arguments that were ours, as our drop-in notes them until they are gone."""
    lines = [line.removeprefix(_LEAVING) for line in text.splitlines() if line.startswith(_LEAVING)]
    return [word for line in lines for word in line.split() if is_argument(word)]


# ---------------------------------------------------------------------------- what the next boot reads


def read_entries(root: Path, loader: BootLoader) -> list[list[str]]:
    """The arguments of each kernel of this system, as it is started to work. Raises OSError."""
    variables = _environment(root) if loader.by_grub else {}
    entries = [list(_resolved(words, variables)) for words in _all_entries(root, loader)]
    return [words for words in entries if not _RECOVERY & set(words)] or entries


def _resolved(words: Sequence[str], variables: Mapping[str, str]) -> Iterator[str]:
    """With GRUB's variables. One that its environment doesn't have may be set elsewhere: it stays, as its name."""
    for word in words:
        found = _VARIABLE.fullmatch(word)
        name = found[1] or found[2] if found else ""
        if name in variables:
            yield from variables[name].split()
        else:
            yield word


def _environment(root: Path) -> dict[str, str]:
    """GRUB's environment block: NAME=VALUE, with ``\\`` before what has to be escaped (grub-core/lib/envblk.c). Raises
    OSError when it is there and can't be read."""
    path = next((root / name for name in _ENVIRONMENT if (root / name).is_file()), None)
    lines = path.read_text(errors="replace").splitlines() if path is not None else []
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {name: re.sub(r"\\(.)", r"\1", value) for name, _, value in pairs}


def _all_entries(root: Path, loader: BootLoader) -> list[list[str]]:
    found: list[list[str]] = []
    for path in configuration(root, loader):
        if path.suffix == ".cfg":
            found += grub_entries(path.read_text(errors="replace"))
        elif path.suffix == ".conf":
            found.append(bls_arguments(path.read_text(errors="replace")))
        else:
            found.append(image_arguments(path.read_bytes()))
    return found


def configuration(root: Path, loader: BootLoader) -> list[Path]:
    """The files that the next boot reads. A folder of entries has those of other systems, too: where some say whose
    they are by this machine's id, only these count. Raises OSError."""
    files: list[Path] = []
    for name in loader.configuration:
        path = root / name
        if path.suffix == ".cfg":
            if path.exists() and not files:
                files.append(path)
        elif path.exists():
            files += _ours(root, sorted(path.iterdir()))
    return _of_this_snapshot(root, files) if loader is SDBOOTUTIL else files


def _of_this_snapshot(root: Path, files: list[Path]) -> list[Path]:
    """sdbootutil makes entries for each snapshot, and changes those of the running one alone (update_all_entries)."""
    running = _subvolumes((root / "proc/cmdline").read_text(errors="replace").split())
    return [path for path in files if _subvolumes(bls_arguments(path.read_text(errors="replace"))) == running] or files


def _subvolumes(words: Sequence[str]) -> list[str]:
    return [word for word in words if word.startswith("rootflags=")]


def _ours(root: Path, entries: list[Path]) -> list[Path]:
    entries = [path for path in entries if path.suffix in (".conf", ".efi")]
    try:
        machine = (root / "etc/machine-id").read_text().strip()
    except OSError:
        return entries
    marked = [path for path in entries if machine and (machine in path.name or _names(path, machine))]
    return marked or entries


def _names(path: Path, machine: str) -> bool:
    return (
        path.suffix == ".conf"
        and re.search(rf"(?m)^machine-id\s+{re.escape(machine)}\s*$", path.read_text()) is not None
    )


def grub_entries(text: str) -> Iterator[list[str]]:
    """The arguments of each ``linux`` line of a grub.cfg that is about this system."""
    section = ""
    for line in text.splitlines():
        begun = _SECTION.match(line)
        if begun:
            section = begun[1]
        elif line.startswith("### END"):
            section = ""
        elif (kernel := _LINUX.fullmatch(line)) and section in ("", _OF_THIS_SYSTEM):
            yield [word.strip("\"'") for word in kernel[1].split()]


def bls_arguments(text: str) -> list[str]:
    """The arguments of an entry of the Boot Loader Specification; ``options`` may stand there several times."""
    lines = (line.split() for line in text.splitlines())
    return [word for words in lines if words[:1] == ["options"] for word in words[1:]]


def image_arguments(image: bytes) -> list[str]:
    """The arguments in a unified kernel image: section ``.cmdline`` of a PE file (UAPI.5, Microsoft's PE format)."""
    try:
        (header,) = struct.unpack_from("<I", image, 0x3C)
        (sections,) = struct.unpack_from("<H", image, header + 6)
        (optional,) = struct.unpack_from("<H", image, header + 20)
        for number in range(sections):
            name, size, _, stored, start = struct.unpack_from("<8sIIII", image, header + 24 + optional + 40 * number)
            if name.rstrip(b"\0") == b".cmdline":
                return image[start : start + min(size, stored)].decode(errors="replace").strip("\0").split()
    except struct.error:
        pass  # no PE file, so no kernel with arguments
    return []


def written_since_boot(root: Path, loader: BootLoader) -> bool:
    """Whether the configuration was written after the kernel was started. Raises OSError."""
    started = 0
    for line in (root / "proc/stat").read_text().splitlines():
        if line.startswith("btime "):
            started = int(line.split()[1])
    return any(path.stat().st_mtime > started for path in configuration(root, loader))


# ---------------------------------------------------------------------------- what they brought about


def _groups(root: Path, pfs: Collection[str], found: BootArguments, notes: list[str]) -> None:
    folder = root / "sys/kernel/iommu_groups"
    try:
        groups = sorted(folder.iterdir()) if folder.exists() else []
        found.groups = len(groups)
        types = {
            (group / "type").read_text().strip()
            for group in groups
            if (group / "type").exists() and any((group / "devices" / address).is_symlink() for address in pfs)
        }
        found.domains = sorted(types) or None
    except OSError as error:
        notes.append(f"IOMMU groups can't be read: {error.filename}: {error.strerror}.")
