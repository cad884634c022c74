"""modules-load.d, and which modules the kernel has."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.host.local import modules_load
from reconciler.host.local.modules import read_modules
from reconciler.host.model import LoadEntry
from reconciler.host.protocol import HostError
from tests.unit.host.tree import Tree

DEP = "kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/x.ko\nkernel/net/8021q/8021q.ko:\n"


def tree(root: Path) -> Tree:
    made = Tree(root)  # igbvf and vfio_pci are loaded.
    made.write("proc/sys/kernel/osrelease", "6.12.0\n")
    made.write("lib/modules/6.12.0/modules.dep", DEP)
    made.write("lib/modules/6.12.0/modules.builtin", "kernel/drivers/tty/vfio.ko\nkernel/fs/configfs/configfs.ko\n")
    return made


def test_who_else_loads_what(tmp_path: Path) -> None:
    made = tree(tmp_path)
    made.write("etc/modules", "# /etc/modules\n; no\n\n vhost-net \nloop\n")
    made.link("etc/modules-load.d/modules.conf", "etc/modules")
    made.write("usr/lib/modules-load.d/masked.conf", "gone\n")
    (tmp_path / "etc/modules-load.d/masked.conf").symlink_to("/dev/null")
    made.write("usr/lib/modules-load.d/qemu.conf", "vfio_pci\n")
    made.write("etc/modules-load.d/read.me", "no\n")
    made.write("proc/cmdline", "ro modules_load=a-b,,c quiet\n")
    found = read_modules(tmp_path, [])
    assert found.load == [
        LoadEntry("vhost_net", "/etc/modules-load.d/modules.conf", 4),
        LoadEntry("loop", "/etc/modules-load.d/modules.conf", 5),
        LoadEntry("vfio_pci", "/usr/lib/modules-load.d/qemu.conf", 1),
        LoadEntry("a_b", "/proc/cmdline"),
        LoadEntry("c", "/proc/cmdline"),
    ]
    assert found.own_load is None


def test_our_own_file(tmp_path: Path) -> None:
    tree(tmp_path)
    modules_load.write_load(tmp_path, ["vfio-pci", "8021q", "vfio_pci"])
    found = read_modules(tmp_path, [])
    assert (found.own_load, found.load) == (["vfio_pci", "8021q", "vfio_pci"], [])
    assert (tmp_path / modules_load.OWN_FILE).read_text().startswith("# Written by reconciler")
    modules_load.write_load(tmp_path, None)
    assert read_modules(tmp_path, []).own_load is None


def test_a_file_of_that_name_that_is_not_ours(tmp_path: Path) -> None:
    tree(tmp_path).write(modules_load.OWN_FILE, "loop\n")
    assert read_modules(tmp_path, []).load == [LoadEntry("loop", f"/{modules_load.OWN_FILE}", 1)]
    with pytest.raises(HostError, match="not written by reconciler"):
        modules_load.write_load(tmp_path, ["vfio-pci"])


def test_what_the_kernel_has(tmp_path: Path) -> None:
    tree(tmp_path)
    found = read_modules(tmp_path, [], ["vfio-pci", "vfio", "configfs", "8021q", "802q1", "nothing_like_it"])
    assert found.builtin == ["configfs", "vfio"]
    assert found.missing == {"802q1": "8021q", "nothing_like_it": ""}


def test_without_a_list_of_modules_nothing_is_said_to_be_missing(tmp_path: Path) -> None:
    Tree(tmp_path).write("sys/module/configfs/parameters/x", "1\n")
    found = read_modules(tmp_path, [], ["loop", "configfs", "vfio-pci"])
    assert (found.missing, found.builtin, found.undecided) == ({}, ["configfs"], ["loop"])


def test_what_can_not_be_read_is_unknown(tmp_path: Path) -> None:
    tree(tmp_path)
    (tmp_path / "etc/modules-load.d/a.conf").mkdir(parents=True)
    notes: list[str] = []
    assert read_modules(tmp_path, notes).load is None
    assert "/etc/modules-load.d/a.conf: Is a directory" in notes[0]
