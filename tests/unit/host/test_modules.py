"""modprobe.d and the loaded modules."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from reconciler.host.local import modules
from reconciler.host.local.child import NoAnswer
from reconciler.host.local.initramfs import OWN_FILE
from reconciler.host.model import BlacklistEntry
from reconciler.host.protocol import HostError
from tests.unit.host.tree import Tree


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("blacklist igbvf\n", [("igbvf", 1)]),
        ("  blacklist\tsnd-pcsp   # why\n", [("snd_pcsp", 1)]),
        ("# blacklist igbvf\n\noptions igb max_vfs=7\nblacklist ixgbevf", [("ixgbevf", 4)]),
        ("blacklist \\\nigbvf\nblacklist iavf\n", [("igbvf", 1), ("iavf", 3)]),
        ("# a comment goes on \\\nblacklist igbvf\nblacklist iavf\n", [("iavf", 3)]),
        ("blacklist\n", []),
        ("blacklisted igbvf\ninstall igbvf /bin/true\n", []),
        ("blacklist a\\", []),
        ("", []),
    ],
)
def test_blacklist_lines(text: str, expected: list[tuple[str, int]]) -> None:
    found = modules.blacklist_entries(text, "/f")
    assert list(found) == [BlacklistEntry(module, "/f", line) for module, line in expected]


def test_directories_in_order_of_precedence(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.write("usr/lib/modprobe.d/a.conf", "blacklist masked\n")
    tree.write("run/modprobe.d/a.conf", "blacklist wins\n")
    tree.write("usr/lib/modprobe.d/b.conf", "blacklist nulled\n")
    (tmp_path / "etc/modprobe.d").mkdir(parents=True)
    (tmp_path / "etc/modprobe.d/b.conf").symlink_to("/dev/null")
    tree.write("usr/local/lib/modprobe.d/c.conf", "blacklist local\n")
    tree.write("etc/modprobe.d/readme.txt", "blacklist no\n")
    tree.write("etc/modprobe.d/z.conf", "blacklist last\n")
    (tmp_path / "lib").symlink_to("usr/lib")
    found = modules.read_modules(tmp_path, [])
    assert found.blacklist == [
        BlacklistEntry("wins", "/run/modprobe.d/a.conf", 1),
        BlacklistEntry("local", "/usr/local/lib/modprobe.d/c.conf", 1),
        BlacklistEntry("last", "/etc/modprobe.d/z.conf", 1),
    ]
    assert found.own is None
    assert found.loaded == ["igbvf", "vfio_pci"]


def test_the_kernel_command_line(tmp_path: Path) -> None:
    Tree(tmp_path).write("proc/cmdline", "ro modprobe.blacklist=igbvf,ixgbe-vf, module_blacklist=iavf quiet\n")
    assert modules.read_modules(tmp_path, []).blacklist == [
        BlacklistEntry("igbvf", "/proc/cmdline"),
        BlacklistEntry("ixgbe_vf", "/proc/cmdline"),
        BlacklistEntry("iavf", "/proc/cmdline"),
    ]


def test_our_own_file_stands_apart(tmp_path: Path) -> None:
    Tree(tmp_path)
    (tmp_path / "etc").mkdir()
    modules.write_blacklist(tmp_path, ["igbvf", "snd-pcsp", "igbvf"])
    path = tmp_path / OWN_FILE
    assert path.read_text().startswith("# Written by reconciler")
    assert path.read_text().endswith("blacklist igbvf\nblacklist snd_pcsp\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    found = modules.read_modules(tmp_path, [])
    assert (found.own, found.blacklist) == (["igbvf", "snd_pcsp"], [])
    modules.write_blacklist(tmp_path, [])
    assert modules.read_modules(tmp_path, []).own == []
    assert os.listdir(path.parent) == ["reconciler.conf"]
    modules.write_blacklist(tmp_path, None)
    assert modules.read_modules(tmp_path, []).own is None
    modules.write_blacklist(tmp_path, None)


def test_somebody_elses_file_of_that_name_is_left_alone(tmp_path: Path) -> None:
    path = Tree(tmp_path).write(OWN_FILE, "blacklist igbvf\n")
    found = modules.read_modules(tmp_path, [])
    assert (found.own, found.blacklist) == (None, [BlacklistEntry("igbvf", f"/{OWN_FILE}", 1)])
    for wanted in (["iavf"], None):
        with pytest.raises(HostError, match="not written by reconciler"):
            modules.write_blacklist(tmp_path, wanted)
    assert path.read_text() == "blacklist igbvf\n"


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Tree(tmp_path)
    (tmp_path / "etc").mkdir()
    modules.write_blacklist(tmp_path, ["igbvf"])

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HostError) as caught:
        modules.write_blacklist(tmp_path, ["iavf"])
    assert caught.value.errno == 28
    assert "No space left" in caught.value.detail
    assert modules.read_modules(tmp_path, []).own == ["igbvf"]
    assert os.listdir(tmp_path / "etc/modprobe.d") == ["reconciler.conf"]


def test_what_can_not_be_read_is_unknown(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    (tmp_path / "proc/modules").unlink()
    (tmp_path / "proc/modules").mkdir()
    (tmp_path / "etc/modprobe.d/dir.conf").mkdir(parents=True)
    notes: list[str] = []
    found = modules.read_modules(tmp_path, notes)
    assert (found.loaded, found.blacklist) == (None, None)
    assert len(notes) == 2
    (tmp_path / "proc/modules").rmdir()
    assert modules.read_modules(tmp_path, []).loaded == []  # a kernel without modules
    assert tree.root == tmp_path


def answer(code: int, err: str = "", out: str = "") -> Callable[..., CompletedProcess[str]]:
    return lambda argv, seconds: CompletedProcess(list(argv), code, out, err)


def test_module_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "run", answer(0))
    modules.load("vfio-pci", 5)
    monkeypatch.setattr(modules, "run", answer(1, "rmmod: ERROR: Module igbvf is in use\n"))
    with pytest.raises(HostError) as caught:
        modules.unload("igbvf", 5)
    assert caught.value.detail == "igbvf could not be unloaded: rmmod: ERROR: Module igbvf is in use."
    monkeypatch.setattr(modules, "run", answer(1, "Operation not permitted"))
    with pytest.raises(HostError) as caught:
        modules.unload("igbvf", 5)
    assert caught.value.code == 77


def test_module_commands_that_hang_or_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(argv: object, seconds: float) -> None:
        raise NoAnswer

    def missing(argv: object, seconds: float) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(modules, "run", hang)
    with pytest.raises(HostError, match="in time"):
        modules.load("vfio-pci", 5)
    monkeypatch.setattr(modules, "run", missing)
    with pytest.raises(HostError) as caught:
        modules.load("vfio-pci", 5)
    assert "kmod" in caught.value.detail
    assert modules.names_for("pci:v1", 5) == []


def test_names_for_an_alias(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "run", answer(0, out="igbvf\nigb-uio\n"))
    assert modules.names_for("pci:v1", 5) == ["igbvf", "igb_uio"]


def test_udev_is_told_of_a_new_blacklist_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def command(argv: list[str], seconds: float) -> CompletedProcess[str]:
        asked.append(argv)
        return CompletedProcess(argv, 0, "", "")

    monkeypatch.setattr(modules, "run", command)
    modules.tell_udev(tmp_path)
    assert asked == []
    (tmp_path / "run" / "udev").mkdir(parents=True)
    (tmp_path / "run" / "udev" / "control").touch()
    modules.tell_udev(tmp_path)
    assert asked == [["udevadm", "control", "--reload"]]


def test_the_blacklist_of_an_unconfirmed_apply_is_another_file(tmp_path: Path) -> None:
    Tree(tmp_path).write("proc/cmdline", "quiet")
    modules.write_blacklist(tmp_path, ["igbvf"])
    modules.write_blacklist(tmp_path, ["ixgbevf"], modules.OWN_UNTIL_REBOOT)
    found = modules.read_modules(tmp_path, [])
    assert found.own == ["igbvf"]
    assert [(entry.module, entry.file) for entry in found.blacklist or []] == [
        ("ixgbevf", "/run/modprobe.d/reconciler-unconfirmed.conf")
    ]
    modules.write_blacklist(tmp_path, None, modules.OWN_UNTIL_REBOOT)
    assert modules.read_modules(tmp_path, []).blacklist == []
