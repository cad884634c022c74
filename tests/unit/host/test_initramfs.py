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
MAKER = """#!/bin/sh
echo "make $*" >>"$CALLS"
sleep 0.02
[ ! -e "$OWN" ] || echo etc/modprobe.d/reconciler.conf >>"$IMAGE"
"""
FORGETS = '#!/bin/sh\necho "make $*" >>"$CALLS"\nsleep 0.02\ntouch "$IMAGE"\n'
FAILS = "#!/bin/sh\necho no space left on device >&2\nexit 1\n"


class Machine:
    """A root with the commands of initramfs-tools, or of dracut."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch, names: tuple[str, str], image: str) -> None:
        self.root, self.image, self.calls = root, root / image, root / "calls"
        self.names = names
        for folder in ("usr/sbin", "boot", "run", "proc/sys/kernel", "etc/modprobe.d"):
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
        patch.setenv("OWN", str(root / initramfs.OWN_FILE))

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
    assert (machine.read("igbvf")[0].initramfs, machine.read("igbvf")[0].initramfs_old) == (["igbvf"], ["igbvf"])
    writer.rebuild_initramfs(["igbvf"], 10)
    assert [line for line in machine.called() if line.startswith("make")] == [
        "make -u -k 6.12.9-amd64" if "update-initramfs" in machine.names else "make --force --kver 6.12.9-amd64"
    ]
    listed = len(machine.called())
    assert (machine.read("igbvf")[0].initramfs, machine.read("igbvf")[0].initramfs_old) == (["igbvf"], [])
    assert len(machine.called()) == listed, "what is in it is on record"


def test_taken_back_it_is_old_until_it_is_made_anew(debian: Machine) -> None:
    writer = LocalWriter("qemu:///system", debian.root)
    writer.set_blacklist(["igbvf"])
    writer.rebuild_initramfs(["igbvf"], 10)
    writer.set_blacklist(None)
    assert debian.read("igbvf")[0].initramfs_old == ["igbvf"]
    debian.image.write_text(HAS)
    writer.rebuild_initramfs(["igbvf"], 10)
    assert debian.read("igbvf")[0].initramfs_old == []


def test_one_that_was_made_anew_without_our_file_is_not_in_sync(debian: Machine) -> None:
    debian.command("update-initramfs", FORGETS)
    writer = LocalWriter("qemu:///system", debian.root)
    writer.set_blacklist(["igbvf"])
    with pytest.raises(HostError, match="lacks a file"):
        writer.rebuild_initramfs(["igbvf"], 10)
    assert debian.image.stat().st_mtime_ns > (debian.root / initramfs.OWN_FILE).stat().st_mtime_ns
    assert debian.read("igbvf")[0].initramfs_old == ["igbvf"]


def test_each_image_is_listed_once(debian: Machine) -> None:
    (debian.root / "etc/modprobe.d/a.conf").write_text("blacklist ixgbevf\n")
    for _ in range(3):
        assert debian.read("ixgbevf")[0].initramfs == []
    assert debian.called() == ["list"]
    debian.made(50)
    assert debian.read("ixgbevf")[0].initramfs == []
    assert debian.called() == ["list", "list"], "another image"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"%s": 1}', '{"%s": {"identity": 1, "modules": {}}}'])
def test_a_record_that_is_none_is_not_believed(debian: Machine, text: str) -> None:
    (debian.root / initramfs.RECORD).write_text(text.replace("%s", str(debian.image)))
    assert debian.read("igbvf")[0].initramfs == ["igbvf"]
    assert debian.called() == ["list"]


def test_without_the_right_to_keep_a_record_it_is_listed_again(debian: Machine) -> None:
    (debian.root / "run").rmdir()
    assert [debian.read("igbvf")[0].initramfs for _ in range(2)] == [["igbvf"], ["igbvf"]]
    assert debian.called() == ["list", "list"]


def test_every_installed_kernel_counts(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next boot's may be another one than the running one."""
    boot, newer = machine.root / "boot", "6.12.10-amd64"
    for kernel in (KERNEL, newer, "6.1.0-amd64"):
        (machine.root / "lib/modules" / kernel).mkdir(parents=True)
    for name in (f"vmlinuz-{KERNEL}", f"vmlinuz-{newer}", "vmlinuz-0-rescue-1f", "vmlinuz-6.1.0-amd64"):
        (boot / name).touch()
    other = machine.image.with_name(machine.image.name.replace(KERNEL, newer))
    for image in (other, Path(f"{machine.image}.old"), Path(str(machine.image).replace(KERNEL, "0-rescue-1f"))):
        image.write_text(HAS)
    machine.image.write_text("usr/bin/kmod\n")
    writer = LocalWriter("qemu:///system", machine.root)
    writer.set_blacklist(["igbvf"])
    assert machine.read("igbvf")[0].initramfs_old == ["igbvf"]
    assert machine.called() == ["list", "list"]
    monkeypatch.setenv("IMAGE", str(other))
    writer.rebuild_initramfs(["igbvf"], 10)
    assert [line.split()[-1] for line in machine.called() if line.startswith("make")] == [newer]
    assert (machine.read("igbvf")[0].initramfs, machine.read("igbvf")[0].initramfs_old) == (["igbvf"], [])


def test_where_no_modules_are_to_be_seen_kernels_are_known_by_their_images(debian: Machine) -> None:
    """As in the drift timer's unit, with ProtectKernelModules=."""
    (debian.root / "boot/vmlinuz-6.12.10-amd64").touch()
    (debian.root / "boot/initrd.img-6.12.10-amd64").write_text(HAS)
    debian.image.write_text("usr/bin/kmod\n")
    assert debian.read("igbvf")[0].initramfs == ["igbvf"]


def test_what_another_file_or_the_kernel_keeps_away_needs_none(debian: Machine) -> None:
    (debian.root / "etc/modprobe.d/a.conf").write_text("blacklist igbvf\n")
    assert debian.read("igbvf")[0].initramfs_old == ["igbvf"]
    debian.made(-10)
    assert (debian.read("igbvf")[0].initramfs, debian.read("igbvf")[0].initramfs_old) == (["igbvf"], [])
    (debian.root / "etc/modprobe.d/a.conf").unlink()
    (debian.root / "proc/cmdline").write_text("modprobe.blacklist=igbvf\n")
    assert (debian.read("igbvf")[0].initramfs, debian.called()) == ([], ["list", "list"])


def test_without_a_folder_for_such_files_it_is_not_old(debian: Machine) -> None:
    (debian.root / "etc/modprobe.d").rmdir()
    found, notes = debian.read("igbvf")
    assert (found.initramfs, found.initramfs_old, notes) == (["igbvf"], [], [])


def test_nothing_declared_nothing_listed(debian: Machine) -> None:
    assert debian.read()[0].initramfs == []
    assert debian.called() == []


def test_a_machine_without_one(debian: Machine) -> None:
    debian.image.unlink()
    assert debian.read("igbvf")[0].initramfs == []
    with pytest.raises(HostError, match="The initramfs can't be rebuilt"):
        LocalWriter("qemu:///system", debian.root).rebuild_initramfs(["igbvf"], 10)


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
        writer.rebuild_initramfs(["igbvf"], 10)
    assert says in caught.value.detail


def test_a_rebuild_has_a_deadline(debian: Machine) -> None:
    debian.command("update-initramfs", "#!/bin/sh\nsleep 60\n")
    with pytest.raises(HostError, match="did not end in time"):
        LocalWriter("qemu:///system", debian.root).rebuild_initramfs(["igbvf"], 0.2)
