"""The initramfs: when it is listed, what is found in it, and how it is made; with commands that note their calls."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.host.local import initramfs
from reconciler.host.local.modules import read_modules
from reconciler.host.local.writer import LocalWriter
from reconciler.host.model import Modules
from reconciler.host.protocol import HostError

KERNEL = "6.12.9-amd64"
HAS = "usr/lib/modules/6.12.9-amd64/kernel/drivers/net/ethernet/intel/igbvf/igbvf.ko.xz\nusr/bin/kmod\n"
LISTER = '#!/bin/sh\necho list >>"$CALLS"\ncat "$1"\n'
MAKER = '#!/bin/sh\necho "make $*" >>"$CALLS"\nsleep 0.02\necho etc/modprobe.d/reconciler.conf >>"$IMAGE"\n'
FORGETS = '#!/bin/sh\necho "make $*" >>"$CALLS"\nsleep 0.02\ntouch "$IMAGE"\n'
FAILS = "#!/bin/sh\necho no space left on device >&2\nexit 1\n"


class Machine:
    """A root with the commands of initramfs-tools, or of dracut."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch, names: tuple[str, str], image: str) -> None:
        self.root, self.image, self.calls = root, root / image, root / "calls"
        self.names = names
        for folder in ("usr/sbin", "boot", "proc/sys/kernel", "etc/modprobe.d"):
            (root / folder).mkdir(parents=True)
        (root / "proc/sys/kernel/osrelease").write_text(f"{KERNEL}\n")
        (root / "proc/cmdline").write_text("quiet\n")
        (root / "proc/modules").write_text("")
        self.command(names[0], LISTER)
        self.command(names[1], MAKER)
        self.image.write_text(HAS)
        self.made(100)
        patch.setenv("PATH", f"{root / 'usr/sbin'}:{os.environ['PATH']}")
        patch.setenv("CALLS", str(self.calls))
        patch.setenv("IMAGE", str(self.image))

    def command(self, name: str, script: str) -> None:
        path = self.root / "usr/sbin" / name
        path.write_text(script)
        path.chmod(0o755)

    def made(self, seconds_ago: float) -> None:
        now = (self.root / "proc/cmdline").stat().st_mtime
        os.utime(self.image, (now - seconds_ago, now - seconds_ago))

    def read(self, *names: str) -> tuple[Modules, list[str]]:
        notes: list[str] = []
        return read_modules(self.root, notes, (), names), notes

    def called(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


DEBIAN = (("lsinitramfs", "update-initramfs"), f"boot/initrd.img-{KERNEL}")
RED_HAT = (("lsinitrd", "dracut"), f"boot/initramfs-{KERNEL}.img")


@pytest.fixture(params=[DEBIAN, RED_HAT], ids=["initramfs-tools", "dracut"])
def machine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch, *request.param)


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch, *DEBIAN)


def test_from_listing_to_rebuilding(machine: Machine) -> None:
    assert machine.read("igbvf")[0].initramfs == ["igbvf"]
    writer = LocalWriter("qemu:///system", machine.root)
    writer.set_blacklist(["igbvf"])
    assert (machine.read("igbvf")[0].initramfs, machine.read("igbvf")[0].initramfs_old) == (["igbvf"], True)
    writer.rebuild_initramfs(10)
    assert [line for line in machine.called() if line.startswith("make")] == [
        "make -u -k 6.12.9-amd64" if "update-initramfs" in machine.names else "make --force --kver 6.12.9-amd64"
    ]
    listed = len(machine.called())
    assert (machine.read("igbvf")[0].initramfs, machine.read("igbvf")[0].initramfs_old) == ([], False)
    assert len(machine.called()) == listed, "one that is current is not listed"


def test_taken_back_it_is_old_until_it_is_made_anew(debian: Machine) -> None:
    writer = LocalWriter("qemu:///system", debian.root)
    writer.set_blacklist(["igbvf"])
    writer.rebuild_initramfs(10)
    writer.set_blacklist(None)
    assert (debian.read("igbvf")[0].initramfs, debian.read("igbvf")[0].initramfs_old) == (["igbvf"], True)
    writer.rebuild_initramfs(10)
    assert debian.read("igbvf")[0].initramfs_old is False


def test_one_without_the_module_is_listed_once(debian: Machine) -> None:
    writer = LocalWriter("qemu:///system", debian.root)
    writer.set_blacklist(["ixgbevf"])
    assert "blacklist ixgbevf\n" in (debian.root / initramfs.OWN_FILE).read_text()
    assert debian.called() == ["list"]
    assert debian.read("ixgbevf")[0].initramfs == []
    assert debian.called() == ["list"]
    debian.made(50)
    assert debian.read("ixgbevf")[0].initramfs == []
    assert debian.called() == ["list", "list"], "another image"


def test_what_another_file_or_the_kernel_keeps_away_needs_none(debian: Machine) -> None:
    (debian.root / "etc/modprobe.d/a.conf").write_text("blacklist igbvf\n")
    assert debian.read("igbvf")[0].initramfs_old is True
    debian.made(-10)
    assert (debian.read("igbvf")[0].initramfs, debian.read("igbvf")[0].initramfs_old) == ([], False)
    (debian.root / "etc/modprobe.d/a.conf").unlink()
    (debian.root / "proc/cmdline").write_text("modprobe.blacklist=igbvf\n")
    debian.made(100)
    assert (debian.read("igbvf")[0].initramfs, debian.called()) == ([], ["list"])


def test_nothing_declared_nothing_listed(debian: Machine) -> None:
    assert debian.read()[0].initramfs == []
    assert debian.called() == []


def test_a_machine_without_one(debian: Machine) -> None:
    debian.image.unlink()
    assert debian.read("igbvf")[0].initramfs == []
    with pytest.raises(HostError, match="The initramfs can't be rebuilt"):
        LocalWriter("qemu:///system", debian.root).rebuild_initramfs(10)


def test_one_that_can_not_be_listed_is_unknown(debian: Machine) -> None:
    debian.command("lsinitramfs", FAILS)
    modules, notes = debian.read("igbvf")
    assert modules.initramfs is None
    assert "no space left on device" in notes[0]


@pytest.mark.parametrize(
    ("script", "says"), [(FAILS, "no space left on device"), (FORGETS, "does not have /etc/modprobe.d/reconciler.conf")]
)
def test_a_rebuild_that_fails_says_why(debian: Machine, script: str, says: str) -> None:
    writer = LocalWriter("qemu:///system", debian.root)
    writer.set_blacklist(["igbvf"])
    debian.command("update-initramfs", script)
    with pytest.raises(HostError) as caught:
        writer.rebuild_initramfs(10)
    assert says in caught.value.detail


def test_a_rebuild_has_a_deadline(debian: Machine) -> None:
    debian.command("update-initramfs", "#!/bin/sh\nsleep 60\n")
    with pytest.raises(HostError, match="did not end in time"):
        LocalWriter("qemu:///system", debian.root).rebuild_initramfs(0.2)
