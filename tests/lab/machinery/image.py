"""The lab's disk image, and what the host runs from it: the image's own QEMU, kernel and Python.

Everything that has to be done as root happens in hooks of mmdebstrap, which an ordinary user can run in a
user namespace. The host's own QEMU is never used: it may be too old to know `igb`.
"""

import os
import platform
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.lab.machinery.basics import HERE, archive, cache, digest, locked, need, program, say
from tests.lab.machinery.errors import LabError

SUITE = "trixie"
RECIPE = HERE / "image"
NETDEVSIM_PACKAGES = ("linux-headers-amd64", "linux-source", "gcc", "make", "xz-utils")
"""What it takes to build netdevsim for the image's kernel, in a tree that is thrown away."""

DROPPED = ("man", "doc", "locale", "info", "lintian", "bash-completion")
"""Folders of /usr/share that nobody reads in the lab."""


@dataclass(frozen=True)
class Image:
    """A finished image. `id` names its content; `dir` has disk, kernel, keys, and the programs from it."""

    id: str
    dir: Path

    @property
    def disk(self) -> Path:
        """The root disk as it is before its first boot (qcow2)."""
        return self.dir / "disk.qcow2"

    @property
    def key(self) -> Path:
        """The private key that root of the lab accepts."""
        return self.dir / "key"

    @property
    def known_hosts(self) -> Path:
        """The lab's host key, in ssh's format, under the name `lab`."""
        return self.dir / "known_hosts"

    @property
    def kernel_release(self) -> str:
        """The kernel's release, like `uname -r`."""
        return (self.dir / "kernel-release").read_text().strip()

    def command(self, name: str) -> list[str]:
        """The beginning of a command line that runs a program of the image on this machine."""
        lib = self.dir / "lib"
        return [str(lib / "ld-linux-x86-64.so.2"), "--library-path", str(lib), str(self.dir / "bin" / name)]


def image_id() -> str:
    """The name of the image that this checkout asks for: a digest of everything that goes into it."""
    return digest([RECIPE, Path(__file__)])


def build() -> Image:
    """The image for this checkout; made if it isn't there yet (some minutes)."""
    identity = image_id()
    target = cache() / identity
    image = Image(identity, target)
    if target.exists():
        return image
    if platform.machine() != "x86_64":
        raise LabError(f"the lab runs programs of an x86_64 image, this machine is {platform.machine()}")
    need({"mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs", "ssh-keygen": "openssh-client", "tar": "tar"})
    if os.geteuid():
        need({"newuidmap": "uidmap"})
    with locked(cache() / f"{identity}.lock", "building the image"):
        if not target.exists():
            _build(target)
    return image


def _build(target: Path) -> None:
    """Make an image in a folder beside `target`, then rename it: a failed build leaves no half an image."""
    say(f"building the image {target.name} (some minutes; once per recipe)")
    part = target.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    debs = cache() / "debs"
    for name in ("image", "netdevsim"):
        (debs / name).mkdir(parents=True, exist_ok=True)
    for name in ("key", "host-key"):
        program(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", part / name], "ssh-keygen")
    (part / "known_hosts").write_text(f"lab {(part / 'host-key.pub').read_text()}")

    with ThreadPoolExecutor(2) as side_by_side:
        parts = [
            side_by_side.submit(_debian, debs / "image", part),
            side_by_side.submit(_netdevsim, debs / "netdevsim", part),
        ]
    for finished in parts:
        finished.result()
    part.rename(target)


def _mmdebstrap(packages: list[str], debs: Path, arguments: list[str], log: Path) -> None:
    """Run mmdebstrap for nothing but its hooks; downloaded packages are kept in `debs` for the next time."""
    program(
        [
            "mmdebstrap",
            "--variant=apt",
            "--format=null",
            f"--include={','.join(packages)}",
            *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in DROPPED),
            # The packages that were downloaded before, and afterwards all of them.
            "--skip=download/empty",
            "--skip=essential/unlink",
            '--setup-hook=mkdir -p "$1"/var/cache/apt/archives',
            f"--setup-hook=sync-in {debs} /var/cache/apt/archives",
            f"--customize-hook=sync-out /var/cache/apt/archives {debs}",
            *arguments,
            SUITE,
            "/dev/null",
        ],
        "mmdebstrap",
        log,
    )


def _debian(debs: Path, part: Path) -> None:
    """Make the lab's Debian: disk, kernel, initrd, and the programs that the host runs from the image."""
    with tempfile.TemporaryDirectory() as scratch:
        stage = Path(scratch)
        for path in (RECIPE / "customise.sh", RECIPE / "guest-init", part / "key.pub"):
            shutil.copy(path, stage)
        for name in ("host-key", "host-key.pub"):
            shutil.move(part / name, stage)
        overlay = stage / "rootfs.tar"
        overlay.write_bytes(archive(RECIPE / "rootfs"))
        lines = (RECIPE / "packages.txt").read_text().splitlines()
        _mmdebstrap(
            [line for line in lines if line and not line.startswith("#")],
            debs,
            [
                # Before the packages: the initramfs is made while the kernel is installed.
                f"--essential-hook=tar-in {overlay} /",
                '--customize-hook=mkdir "$1"/lab-in',
                f"--customize-hook=sync-in {stage} /lab-in",
                '--customize-hook=sh "$1"/lab-in/customise.sh "$1"',
                f"--customize-hook=copy-out /lab-out {part}",
            ],
            part / "debian.log",
        )
    for path in (part / "lab-out").iterdir():
        path.rename(part / path.name)
    (part / "lab-out").rmdir()
    say("image: the disk and the programs are built")


def _netdevsim(debs: Path, part: Path) -> None:
    """Build netdevsim.ko, which Debian leaves out of its kernel, for the kernel that the image gets."""
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copy(RECIPE / "netdevsim.sh", scratch)
        arguments = [
            '--customize-hook=mkdir "$1"/lab-in',
            f"--customize-hook=sync-in {scratch} /lab-in",
            '--customize-hook=sh "$1"/lab-in/netdevsim.sh "$1"',
            f"--customize-hook=copy-out /out/netdevsim.ko {part}",
        ]
        _mmdebstrap(list(NETDEVSIM_PACKAGES), debs, arguments, part / "netdevsim.log")
    say("image: netdevsim is built")
