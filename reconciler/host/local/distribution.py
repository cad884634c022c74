"""What differs between distributions: one small table, each row with its source.

What is there decides: commands, files, and what started this boot. os-release(5) only decides between several that
could be meant. To add a distribution, add a row; to add a column that its rows don't share, add a field.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_SBIN = ("usr/sbin", "usr/bin", "sbin", "bin", "usr/local/sbin")
"""Where commands are that root calls."""

_EFI_VARIABLES = "sys/firmware/efi/efivars"
_BOOT_LOADER = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

Means = Literal["drop-in", "grubby", "pbl", "kernel-install"]
"""How the arguments of the next boot are changed."""


@dataclass(frozen=True, slots=True)
class BootLoader:
    """A boot loader's way to kernel arguments. Paths are below the root, without a leading slash."""

    means: Means
    title: str
    command: str
    """Without it this way can't be gone."""
    by_grub: bool
    """GRUB starts the kernel: it then says ``BOOT_IMAGE=`` to it (grub-core/loader/i386/linux.c, grub_cmd_linux)."""
    configuration: tuple[str, ...]
    """What it generates, and what the next boot reads: files, folders of entries (``…/entries``) or of unified kernel
    images (``…/Linux``). The first that is there counts, of the last two all."""
    refresh: tuple[str, ...] = ()
    """Generates it; empty where `command` itself does."""
    markers: tuple[tuple[str, str], ...] = ()
    """Files, and what has to stand in one of them: not every build of the same command does the same."""
    seconds: float = 120.0
    """After which it is given up: it may look for other systems on every disk, or build images for every kernel."""


DROP_IN = BootLoader(
    "drop-in",
    "GRUB, with drop-ins in /etc/default/grub.d",
    "update-grub",
    by_grub=True,
    configuration=("boot/grub/grub.cfg",),
    refresh=("update-grub",),
    # Only Debian's grub-mkconfig and its heirs read drop-ins (debian/patches/default-grub-d.patch of grub2).
    markers=(("usr/sbin/grub-mkconfig", "/default/grub.d/"),),
)
GRUBBY = BootLoader(
    "grubby",
    "GRUB, with entries of the Boot Loader Specification",
    "grubby",
    by_grub=True,
    configuration=("boot/loader/entries", "boot/grub2/grub.cfg"),
)
PBL = BootLoader(
    "pbl",
    "GRUB, with SUSE's update-bootloader",
    "pbl",
    by_grub=True,
    configuration=("boot/grub2/grub.cfg",),
    refresh=("pbl", "--config"),
    # pbl goes by this file. With the other values it changes /etc/kernel/cmdline, and nothing reads that before
    # sdbootutil (grub2/add-option, systemd-boot/add-option, systemd-boot/config of openSUSE/perl-bootloader).
    markers=(("etc/sysconfig/bootloader", 'LOADER_TYPE="grub2"'), ("etc/sysconfig/bootloader", '"grub2-efi"')),
)
SDBOOTUTIL = BootLoader(
    "kernel-install",
    "systemd-boot or GRUB with entries, with SUSE's sdbootutil",
    "sdbootutil",
    by_grub=False,
    configuration=("boot/efi/loader/entries", "efi/loader/entries"),
    refresh=("sdbootutil", "update-all-entries"),
    markers=(("etc/sysconfig/bootloader", '"systemd-boot"'), ("etc/sysconfig/bootloader", '"grub2-bls"')),
    seconds=600.0,
)
KERNEL_INSTALL = BootLoader(
    "kernel-install",
    "systemd-boot, or unified kernel images, with kernel-install",
    "kernel-install",
    by_grub=False,
    # $BOOT, and where it is looked for: kernel-install(8), bootctl(1), UAPI.1 Boot Loader Specification.
    configuration=(
        "efi/loader/entries",
        "boot/efi/loader/entries",
        "boot/loader/entries",
        "efi/EFI/Linux",
        "boot/efi/EFI/Linux",
        "boot/EFI/Linux",
    ),
    # With each kernel: `add-all` is there since systemd 255, and sees no kernels where Debian has them.
    refresh=("kernel-install", "add"),
    # What started this boot says so (systemd.io/BOOT_LOADER_INTERFACE); entries and kernel-install are elsewhere, too.
    markers=(
        (f"{_EFI_VARIABLES}/LoaderInfo-{_BOOT_LOADER}", "systemd-boot"),
        (f"{_EFI_VARIABLES}/StubInfo-{_BOOT_LOADER}", "systemd-stub"),
    ),
    seconds=600.0,
)
BOOT_LOADERS = (SDBOOTUTIL, PBL, DROP_IN, GRUBBY, KERNEL_INSTALL)


@dataclass(frozen=True, slots=True)
class Initramfs:
    """The tool that makes the initramfs of a kernel. ``{kernel}`` stands for its release, ``{image}`` for the file."""

    command: str
    rebuild: tuple[str, ...]
    lister: str
    """The command that lists what is in an image."""
    listing: tuple[str, ...]
    """Prints a path per line, also with other columns before it."""
    images: tuple[str, ...]
    """Where the image of a kernel is, below the root; the first that is there."""


UPDATE_INITRAMFS = Initramfs(
    "update-initramfs",
    ("update-initramfs", "-u", "-k", "{kernel}"),
    "lsinitramfs",
    ("lsinitramfs", "{image}"),
    ("boot/initrd.img-{kernel}",),
)
DRACUT = Initramfs(
    "dracut",
    ("dracut", "--force", "--kver", "{kernel}"),
    "lsinitrd",
    ("lsinitrd", "{image}"),
    ("boot/initramfs-{kernel}.img", "boot/initrd-{kernel}", "boot/initrd.img-{kernel}"),
)
INITRAMFS = (UPDATE_INITRAMFS, DRACUT)
"""The first whose two commands are there: where dracut serves in Debian, update-initramfs calls it."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """A row of the table."""

    title: str
    ids: tuple[str, ...]
    """``ID`` or ``ID_LIKE`` of os-release."""
    version: str
    """Regular expression for ``VERSION_ID``."""
    boot_loader: BootLoader
    """Its usual one."""
    initramfs: Initramfs
    libvirt: tuple[str, ...]
    """libvirt's daemons of a new installation, the one with the guests first; see `libvirt_daemons`."""


MONOLITHIC = ("libvirtd",)
MODULAR = ("virtqemud", "virtnetworkd")
"""libvirt's two ways, of whose units one or the other is enabled (libvirt.org, "Libvirt Daemons")."""

DISTRIBUTIONS = (
    # update-grub(8), update-initramfs(8) of bookworm (grub2 2.06, initramfs-tools 0.142); tried in trixie's lab.
    # libvirt-daemon-system 9.0 and 11.3 depend on libvirt-daemon, which enables libvirtd.
    Distribution("Debian 12 and 13", ("debian",), r"1[23]", DROP_IN, UPDATE_INITRAMFS, MONOLITHIC),
    # Ubuntu Server guide, "Kernel boot parameters"; the same packages as Debian's.
    Distribution("Ubuntu 24.04", ("ubuntu",), r"24\.04", DROP_IN, UPDATE_INITRAMFS, MONOLITHIC),
    # RHEL 9, "Managing, monitoring and updating the kernel", "Configuring kernel command-line parameters" (grubby) and
    # "Making persistent changes to the initial RAM disk image" (dracut). "Considerations in adopting RHEL 9", "Notable
    # changes to libvirt": modular, unless it was updated from RHEL 8.
    Distribution(
        "RHEL 9 and its likes", ("rhel", "centos", "rocky", "almalinux", "ol"), r"9(\.\d+)?", GRUBBY, DRACUT, MODULAR
    ),
    # SLE 15 SP6 Administration Guide, "The boot loader GRUB 2"; dracut's default image is /boot/initrd-VERSION there.
    # SLE 15 SP6 Virtualization Guide, "libvirt daemons": modular by default (monolithic up to SP4).
    Distribution("openSUSE Leap 15", ("opensuse-leap", "sles"), r"15(\.\d+)?", PBL, DRACUT, MODULAR),
    # openSUSE/sdbootutil, README: entries by default since 2024 where it was installed anew on UEFI.
    Distribution("openSUSE Tumbleweed", ("opensuse-tumbleweed",), r"\d{8}", PBL, DRACUT, MODULAR),
)


def find_distribution(root: Path) -> Distribution | None:
    """The row of this system: by its ``ID``, else by what it is like; ``None``: none of the table."""
    release = os_release(root)
    for names in ([release.get("ID", "")], release.get("ID_LIKE", "").split()):
        for row in DISTRIBUTIONS:
            if set(names) & set(row.ids) and re.fullmatch(row.version, release.get("VERSION_ID", "")):
                return row
    return None


def libvirt_daemons(root: Path) -> tuple[str, ...]:
    """libvirt's daemons that systemd starts at boot here, by the links of `systemctl enable`: only these start networks
    and guests that are marked autostart. One that is started by its socket does so when somebody asks it."""
    wants = root / "etc/systemd/system/multi-user.target.wants"
    return tuple(name for name in (*MONOLITHIC, *MODULAR) if os.path.lexists(wants / f"{name}.service"))


def usual_libvirt(root: Path) -> tuple[str, ...]:
    """libvirt's daemons that this distribution enables; the modular ones where it is none of the table."""
    row = find_distribution(root)
    return row.libvirt if row is not None else MODULAR


def os_release(root: Path) -> dict[str, str]:
    """os-release(5), without quotes; empty when there is none."""
    for name in ("etc/os-release", "usr/lib/os-release"):
        try:
            lines = (root / name).read_text(errors="replace").splitlines()
        except OSError:
            continue
        pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
        return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}
    return {}


def find_boot_loader(root: Path) -> BootLoader | None:
    """The one that started this boot, as far as that can be told, and whose arguments can be changed; ``None``: none
    that is known here. A GRUB that is installed and did not start the kernel (a hypervisor did, or the network) would
    be changed for nothing."""
    candidates = list(_candidates(root))
    usual = find_distribution(root)
    if usual is not None and usual.boot_loader in candidates:
        return usual.boot_loader
    return next(iter(candidates), None)


def _candidates(root: Path) -> Iterator[BootLoader]:
    started_by_grub = any(word.startswith("BOOT_IMAGE=") for word in _text(root / "proc/cmdline").split())
    for loader in BOOT_LOADERS:
        if not command_there(root, loader.command) or not any(there(root / name) for name in loader.configuration):
            continue
        if loader.markers and not any(text in _text(root / name) for name, text in loader.markers):
            continue
        if started_by_grub or not loader.by_grub:
            yield loader


def find_initramfs(root: Path) -> Initramfs | None:
    """The tool that makes this system's initramfs, with the lister that it has; ``None``: none that is known."""
    usual = find_distribution(root)
    there = [tool for tool in INITRAMFS if command_there(root, tool.command)]
    there.sort(key=lambda tool: usual is None or tool is not usual.initramfs)
    listers = [tool for tool in [*there, *INITRAMFS] if command_there(root, tool.lister)]
    if not there:
        return None
    tool = there[0]
    if tool in listers or not listers:
        return tool
    other = listers[0]
    return Initramfs(tool.command, tool.rebuild, other.lister, other.listing, tool.images)


def initramfs_images(root: Path, tool: Initramfs, running: str) -> dict[str, Path]:
    """The images that there are, by kernel, the running one first. Of the others those of kernels that are installed:
    neither a copy that somebody kept, nor the rescue image of dracut, which serves any kernel."""
    modules = [root / folder for folder in ("lib/modules", "usr/lib/modules")]
    installed = {name for folder in modules for name in _listed(folder)}
    kernels = [name.removeprefix("vmlinuz-") for name in _listed(root / "boot") if name.startswith("vmlinuz-")]
    # A unit of systemd with ProtectKernelModules= sees no modules; the rescue kernel has none anywhere.
    others = [k for k in kernels if k in installed or (not installed and not k.startswith("0-rescue-"))]
    found = {}
    for kernel in dict.fromkeys([running, *others]):
        paths = (root / name.format(kernel=kernel) for name in tool.images)
        image = next((path for path in paths if path.is_file()), None)
        if image is not None:
            found[kernel] = image
    return found


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def command_there(root: Path, name: str) -> bool:
    """Whether a command is installed."""
    return any(there(root / folder / name) for folder in _SBIN)


def there(path: Path) -> bool:
    """Whether something is there; what only root may see counts."""
    try:
        os.stat(path)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").replace("\0", "")  # EFI variables are UTF-16
    except OSError:
        return ""
