"""The kernel's arguments on recorded file trees, with stand-ins for the boot loaders' commands that do to the files
what the commands do."""

from __future__ import annotations

import errno
import os
import re
import shutil
import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from reconciler.host.local import boot_writer
from reconciler.host.local.boot_loader import DROP_IN_FILE, OURS_FILE, image_arguments, parse_own, read_boot
from reconciler.host.local.boot_writer import set_arguments
from reconciler.host.local.child import NoAnswer
from reconciler.host.model import BootArguments
from reconciler.host.protocol import HostError

TREES = Path(__file__).parent / "trees"
ROWS = ["debian-12", "debian-13", "debian-13-systemd-boot", "ubuntu-24.04", "rocky-9", "opensuse-leap-15.6"]
ROWS += ["opensuse-tumbleweed"]
WANTED = ["intel_iommu=on", "iommu=pt", "hugepagesz=1G"]
STARTED = 1_700_000_000


class Commands:
    """What the commands do. ``fails``: this one says no, after it has done its work."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls: list[list[str]] = []
        self.fails = ""
        self.forgets = False

    def run(self, argv: Sequence[str], seconds: float) -> subprocess.CompletedProcess[str]:
        assert seconds > 0
        self.calls.append(list(argv))
        if not self.forgets:
            getattr(self, argv[0].replace("-", "_"))(*argv[1:])
        failed = argv[0] == self.fails
        return subprocess.CompletedProcess(list(argv), int(failed), "", "no space left on device\n" if failed else "")

    def update_grub(self) -> None:
        """grub-mkconfig sources the files as a shell, and gives the variable to every entry."""
        sources = [self.root / "etc/default/grub", *sorted((self.root / "etc/default/grub.d").glob("*.cfg"))]
        script = "".join(f". {source}\n" for source in sources)
        script += 'printf "%s|%s" "$GRUB_CMDLINE_LINUX" "$GRUB_CMDLINE_LINUX_DEFAULT"'
        done = subprocess.run(["sh", "-euc", script], capture_output=True, text=True, check=True)
        always, usual = done.stdout.split("|")
        self._each_line(self.root / "boot/grub/grub.cfg", f"ro {always} {usual}", f"ro {always} single")

    def _each_line(self, path: Path, first: str, second: str) -> None:
        lines, texts = [], [first, second]
        for line in path.read_text().splitlines():
            if re.match(r"\s+linux", line) and texts:
                line = re.sub(r"(root=\S+ ).*", lambda found: found[1] + texts.pop(0), line)
            lines.append(line)
        path.write_text("\n".join(lines) + "\n")

    def grubby(self, which: str, change: str) -> None:
        assert which == "--update-kernel=ALL"
        option, _, words = change.partition("=")
        for entry in (self.root / "boot/loader/entries").iterdir():
            lines = []
            for line in entry.read_text().splitlines():
                if line.startswith("options "):
                    line = _changed(line, option == "--args", words.split())
                lines.append(line)
            entry.write_text("\n".join(lines) + "\n")

    def pbl(self, option: str, word: str = "") -> None:
        path = self.root / "etc/default/grub"
        text = path.read_text()
        found = re.search(r'GRUB_CMDLINE_LINUX_DEFAULT="(.*)"', text)
        assert found is not None
        if option == "--config":
            arguments = f"splash=verbose {found[1]}"
            self._each_line(self.root / "boot/grub2/grub.cfg", arguments, arguments)
        else:
            path.write_text(text.replace(found[1], _changed(found[1], option == "--add-option", [word])))

    def sdbootutil(self, what: str) -> None:
        assert what == "update-all-entries"
        self._entries()

    def kernel_install(self, what: str, release: str, image: str, initrd: str = "") -> None:
        assert (what, Path(image).exists()) == ("add", True)
        self._entries()

    def _entries(self) -> None:
        arguments = " ".join((self.root / "etc/kernel/cmdline").read_text().split())
        for entry in (self.root / "boot/efi/loader/entries").iterdir():
            entry.write_text(re.sub(r"(?m)^options .*", f"options {arguments} x=1", entry.read_text()))


def _changed(line: str, add: bool, words: list[str]) -> str:
    kept = [word for word in line.split() if word not in words]
    return " ".join([*kept, *words] if add else kept)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Commands]:
    def installed(root: Path) -> Commands:
        stand_in = Commands(root)
        monkeypatch.setattr(boot_writer, "run", stand_in.run)
        return stand_in

    return installed


def tree(tmp_path: Path, name: str) -> Path:
    root = Path(shutil.copytree(TREES / name, tmp_path / name))
    (root / "proc/stat").write_text(f"cpu 1 2 3\nbtime {STARTED}\n")
    for path in [*root.glob("boot/**/*"), *root.glob("etc/**/*")]:
        os.utime(path, (STARTED - 1000, STARTED - 1000))
    for folder in root.glob("boot/initrd*"):
        release = folder.name.partition("-")[2]
        (root / f"usr/lib/modules/{release}").mkdir(parents=True)
        (root / f"boot/vmlinuz-{release}").touch()
    return root


def read(root: Path) -> BootArguments:
    notes: list[str] = []
    found = read_boot(root, ["0000:01:00.0"], notes)
    assert notes == []
    return found


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_relative_to(root / "proc")
    }


# ---------------------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("name", "configured"),
    [
        ("debian-12", "root=UUID=0b6dbf1a-0000-4000-8000-000000000001 ro quiet"),
        ("debian-13", "root=UUID=0b6dbf1a-0000-4000-8000-000000000001 ro intel_iommu=on quiet"),
        (
            "rocky-9",
            "root=/dev/mapper/rl-root ro crashkernel=1G-4G:192M,4G-64G:256M,64G-:512M rd.lvm.lv=rl/root $tuned_params",
        ),
        (
            "opensuse-leap-15.6",
            "root=UUID=0b6dbf1a-0000-4000-8000-000000000001 ${extra_cmdline} splash=silent quiet",
        ),
        (
            "opensuse-tumbleweed",
            "root=UUID=0b6dbf1a-0000-4000-8000-000000000001 quiet security=selinux "
            "systemd.machine_id=a98618aa1631441dbb52c75a50834a0a",
        ),
    ],
)
def test_what_every_kernel_of_this_system_is_started_with(tmp_path: Path, name: str, configured: str) -> None:
    found = read(tree(tmp_path, name))
    assert found.next == configured.split()
    assert (found.own, found.since_boot, found.trouble, found.groups) == (None, False, "", 0)
    assert "splash" not in [*found.next, *found.some]  # of the other system


def test_iommu_groups_of_the_pfs(tmp_path: Path) -> None:
    root = tree(tmp_path, "debian-12")
    for number, (kind, device) in enumerate([("identity", "0000:01:00.0"), ("DMA", "0000:00:1f.0")]):
        folder = root / f"sys/kernel/iommu_groups/{number}"
        (folder / "devices").mkdir(parents=True)
        (folder / "type").write_text(f"{kind}\n")
        (folder / "devices" / device).symlink_to("/nowhere")
    found = read(root)
    assert (found.groups, found.domains) == (2, ["identity"])
    assert read_boot(root, [], []).domains is None


def test_an_entry_of_another_installation_does_not_count(tmp_path: Path) -> None:
    root = tree(tmp_path, "rocky-9")
    other = "title Fedora\nlinux /vmlinuz-6\noptions root=/dev/sdb1 splash\n"
    (root / "boot/loader/entries/0123456789abcdef0123456789abcdef-6.conf").write_text(other)
    found = read(root)
    assert found.next is not None
    assert "rd.lvm.lv=rl/root" in found.next
    assert "splash" not in found.some


def test_entries_for_recovery_do_not_count(tmp_path: Path, commands: Callable[[Path], Commands]) -> None:
    """grub-mkconfig keeps GRUB_CMDLINE_LINUX_DEFAULT from them."""
    root = tree(tmp_path, "debian-12")
    defaults = root / "etc/default/grub"
    defaults.write_text(defaults.read_text().replace('DEFAULT="quiet"', 'DEFAULT="quiet intel_iommu=on"'))
    commands(root).update_grub()
    found = read(root)
    assert "intel_iommu=on" in (found.next or ())
    configuration = root / "boot/grub/grub.cfg"
    configuration.write_text(configuration.read_text().replace("quiet", "single"))
    assert "single" in (read(root).next or ())  # There are no others.


def test_variables_of_grub_are_resolved_by_its_environment(tmp_path: Path) -> None:
    root = tree(tmp_path, "rocky-9")
    block = "# GRUB Environment Block\nsaved_entry=x\ntuned_params=isolcpus=2-7 iommu=pt\n####"
    (root / "boot/grub2/grubenv").write_text(block)
    found = read(root).next or []
    assert found[-2:] == ["isolcpus=2-7", "iommu=pt"]
    assert "$tuned_params" not in found


def test_entries_of_other_snapshots_do_not_count(tmp_path: Path, commands: Callable[[Path], Commands]) -> None:
    """sdbootutil changes those of the running one, and leaves the others as they were made."""
    root = tree(tmp_path, "opensuse-tumbleweed")
    folder = root / "boot/efi/loader/entries"
    (one,) = folder.iterdir()
    now, before = (f"quiet rootflags=subvol=@/.snapshots/{number}/snapshot" for number in (41, 40))
    old = folder / "system-opensuse-tumbleweed-6.11.8-1-default-40.conf"
    old.write_text(one.read_text().replace("quiet", before))
    for path in (one, root / "etc/kernel/cmdline", root / "proc/cmdline"):
        path.write_text(path.read_text().replace("quiet", now))
    stand_in, unchanged = commands(root), old.read_bytes()
    usual = stand_in.sdbootutil

    def only_the_running_one(what: str) -> None:
        usual(what)
        old.write_bytes(unchanged)

    stand_in.__dict__["sdbootutil"] = only_the_running_one
    set_arguments(root, WANTED, 60.0)
    assert set(WANTED) <= set(read(root).next or ())
    assert old.read_bytes() == unchanged


def test_the_arguments_of_a_unified_image() -> None:
    text = b"root=/dev/sda1 ro quiet\n"
    header = struct.pack("<I", 0x40).rjust(0x40, b"\0")
    header += struct.pack("<4sHHIIIHH", b"PE\0\0", 0x8664, 2, 0, 0, 0, 0, 0)
    header += struct.pack("<8sIIII16x", b".osrel", 4, 0, 512, 168)
    header += struct.pack("<8sIIII16x", b".cmdline", len(text), 0, 512, 168)
    assert image_arguments(header + text) == ["root=/dev/sda1", "ro", "quiet"]
    assert image_arguments(b"no image") == []


def test_what_can_not_be_read_is_not_known(tmp_path: Path) -> None:
    root, notes = tree(tmp_path, "debian-12"), list[str]()
    (root / "proc/stat").unlink()
    assert read_boot(root, [], notes).next is None
    assert "boot loader's configuration can't be read" in notes[0]
    (root / "proc/cmdline").unlink()
    found = read_boot(root, [], notes)
    assert (found.running, found.loader) == (None, "")


def test_where_nothing_is_known_is_said_what_is_usual(tmp_path: Path) -> None:
    root = tree(tmp_path, "debian-12")
    (root / "proc/cmdline").write_text("root=/dev/vda\n")
    assert "did not start this kernel" in read(root).trouble
    (root / "usr/sbin/update-grub").unlink()
    assert "Debian 12 and 13 has GRUB, with drop-ins" in read(root).trouble


# ---------------------------------------------------------------------------- writing


@pytest.mark.parametrize("name", ROWS)
def test_there_and_back(tmp_path: Path, name: str, commands: Callable[[Path], Commands]) -> None:
    """The next boot has them, others' stay; and back again, to the byte where there is a file of our own."""
    root = tree(tmp_path, name)
    commands(root)
    before = read(root)
    others = set(before.next or ()) - {"splash=silent", "${extra_cmdline}"}
    set_arguments(root, WANTED, 60.0)
    after = read(root)
    assert (after.own, after.since_boot) == (WANTED, True)
    assert set(WANTED) | (others - {f"systemd.machine_id={'a98618aa1631441dbb52c75a50834a0a'}"}) <= set(
        after.next or ()
    )

    set_arguments(root, WANTED[:1], 60.0)
    assert read(root).own == WANTED[:1]
    assert "iommu=pt" not in (read(root).next or ())

    set_arguments(root, None, 60.0)
    again = read(root)
    assert again.own is None
    assert ("intel_iommu=on" in (again.next or ())) == (name == "debian-13")  # which has it in /etc/default/grub
    assert not (root / DROP_IN_FILE).exists()
    assert not (root / OURS_FILE).exists()


@pytest.mark.parametrize("name", ROWS)
def test_a_second_time_changes_no_argument(tmp_path: Path, name: str, commands: Callable[[Path], Commands]) -> None:
    root = tree(tmp_path, name)
    commands(root)
    set_arguments(root, WANTED, 60.0)
    before = files(root)
    set_arguments(root, WANTED, 60.0)
    assert files(root) == before


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("how", ["fails", "forgets"])
def test_where_it_fails_all_is_as_it_was(
    tmp_path: Path, name: str, how: str, commands: Callable[[Path], Commands]
) -> None:
    root = tree(tmp_path, name)
    stand_in = commands(root)
    before = files(root)
    if how == "fails":
        stand_in.fails = {"rocky-9": "grubby", "opensuse-leap-15.6": "pbl", "opensuse-tumbleweed": "sdbootutil"}.get(
            name, "kernel-install" if "systemd" in name else "update-grub"
        )
    else:
        stand_in.forgets = True
    with pytest.raises(HostError, match="could not be changed") as caught:
        set_arguments(root, WANTED, 60.0)
    assert "All is as it was." in caught.value.detail
    assert caught.value.errno == errno.ECANCELED
    assert ("no space left on device" if how == "fails" else "lacks") in caught.value.detail
    assert files(root) == before


class Killed(BaseException):
    """In the middle of it."""


@pytest.mark.parametrize("keeps", [[], ["iommu=pt"]])
def test_a_removal_that_was_interrupted_is_known(
    keeps: list[str], tmp_path: Path, commands: Callable[[Path], Commands]
) -> None:
    """What is still in the generated configuration is not taken for somebody else's."""
    root = tree(tmp_path, "debian-12")
    stand_in = commands(root)
    set_arguments(root, ["iommu=pt", "nosmt"], 60.0)
    usual = stand_in.update_grub

    def killed() -> None:
        raise Killed

    stand_in.__dict__["update_grub"] = killed
    with pytest.raises(Killed):
        set_arguments(root, keeps or None, 60.0)
    found = read(root)
    gone = [word for word in ("iommu=pt", "nosmt") if word not in keeps]
    assert (found.own, found.leaving) == (keeps, gone)
    assert set(gone) <= set(found.next or ())
    stand_in.__dict__["update_grub"] = usual
    set_arguments(root, keeps or None, 60.0)
    found = read(root)
    assert (found.own, found.leaving) == (keeps or None, [])
    assert not set(gone) & set(found.next or ())


def test_the_file_says_whose_it_is_and_what_it_adds(tmp_path: Path, commands: Callable[[Path], Commands]) -> None:
    root = tree(tmp_path, "debian-12")
    commands(root)
    set_arguments(root, ["iommu=pt"], 60.0)
    text = (root / DROP_IN_FILE).read_text()
    assert text.startswith("# Written by reconciler")
    assert text.splitlines()[-1] == 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX iommu=pt"'
    assert parse_own(text) == ["iommu=pt"]


def test_a_file_of_somebody_elses_is_left_alone(tmp_path: Path, commands: Callable[[Path], Commands]) -> None:
    root = tree(tmp_path, "debian-12")
    stand_in = commands(root)
    (root / DROP_IN_FILE).parent.mkdir(parents=True)
    (root / DROP_IN_FILE).write_text("GRUB_TIMEOUT=0\n")
    with pytest.raises(HostError, match="was not written by reconciler"):
        set_arguments(root, WANTED, 60.0)
    assert ((root / DROP_IN_FILE).read_text(), stand_in.calls) == ("GRUB_TIMEOUT=0\n", [])


def test_a_command_that_is_not_there_or_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path, "debian-12")
    before = files(root)
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "killpg", lambda group, number: killed.append((group, number)))

    def missing(argv: Sequence[str], seconds: float) -> None:
        raise FileNotFoundError

    def silent(argv: Sequence[str], seconds: float) -> None:
        raise NoAnswer(99)

    for stand_in, words in ((missing, "not in the PATH"), (silent, "did not end in 120 s")):
        monkeypatch.setattr(boot_writer, "run", stand_in)
        with pytest.raises(HostError) as caught:
            set_arguments(root, WANTED, 60.0)
        assert words in caught.value.detail
        assert files(root) == before
    assert killed == [(99, 9)]


def test_what_could_not_be_put_back_is_said(
    tmp_path: Path, commands: Callable[[Path], Commands], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree(tmp_path, "debian-12")
    stand_in = commands(root)
    stand_in.fails = "update-grub"

    def refuse(path: Path, *rest: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(boot_writer, "_put", refuse)
    with pytest.raises(HostError) as caught:
        set_arguments(root, WANTED, 60.0)
    assert f"And {root / DROP_IN_FILE}, {root / 'boot/grub/grub.cfg'} could not be put back." in caught.value.detail
    assert caught.value.errno == 0


def test_without_a_boot_loader_nothing_is_written(tmp_path: Path) -> None:
    root = tree(tmp_path, "debian-12")
    (root / "proc/cmdline").write_text("root=/dev/vda\n")
    before = files(root)
    with pytest.raises(HostError, match="could not be changed") as caught:
        set_arguments(root, WANTED, 60.0)
    assert "did not start this kernel" in caught.value.detail
    assert files(root) == before


def test_a_read_only_file_system(
    tmp_path: Path, commands: Callable[[Path], Commands], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree(tmp_path, "debian-12")
    stand_in = commands(root)

    def refuse(*arguments: object) -> None:
        raise HostError("A configuration file could not be written.", f"/{DROP_IN_FILE}: Read-only file system.")

    monkeypatch.setattr(boot_writer, "replace_own", refuse)
    before = files(root)
    with pytest.raises(HostError, match="could not be written") as caught:
        set_arguments(root, WANTED, 60.0)
    assert "Read-only file system. All is as it was." in caught.value.detail
    assert (files(root), stand_in.calls) == (before, [])


def test_grubby_may_not_lose_what_is_others(tmp_path: Path, commands: Callable[[Path], Commands]) -> None:
    """Old ones take a name for a pattern."""
    root = tree(tmp_path, "rocky-9")
    stand_in = commands(root)
    usual = stand_in.grubby

    def careless(which: str, change: str) -> None:
        usual(which, change)
        for entry in (root / "boot/loader/entries").iterdir():
            entry.write_text(entry.read_text().replace("rd.lvm.lv=rl/root", ""))

    stand_in.__dict__["grubby"] = careless
    before = files(root)
    with pytest.raises(HostError) as caught:
        set_arguments(root, WANTED, 60.0)
    assert "has lost rd.lvm.lv=rl/root" in caught.value.detail
    assert files(root) == before


def test_kernel_install_begins_with_what_it_would_take(tmp_path: Path, commands: Callable[[Path], Commands]) -> None:
    root = tree(tmp_path, "debian-13-systemd-boot")
    stand_in = commands(root)
    (root / "etc/kernel/cmdline").unlink()
    set_arguments(root, ["iommu=pt"], 60.0)
    assert (root / "etc/kernel/cmdline").read_text().split() == [
        "root=UUID=0b6dbf1a-0000-4000-8000-000000000001",
        "ro",
        "quiet",
        "iommu=pt",
    ]
    (call,) = stand_in.calls
    assert call[:3] == ["kernel-install", "add", "6.12.48+deb13-amd64"]
    assert call[4].endswith("initrd.img-6.12.48+deb13-amd64")
