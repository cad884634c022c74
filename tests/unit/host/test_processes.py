"""Open VFIO groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.host.local.processes import open_vfio_groups
from reconciler.host.model import Process
from tests.unit.host.tree import Tree


def process(tree: Tree, pid: int, command: str, *targets: str) -> None:
    tree.write(f"proc/{pid}/comm", f"{command}\n")
    (tree.root / f"proc/{pid}/fd").mkdir()
    for number, target in enumerate(targets):
        (tree.root / f"proc/{pid}/fd/{number}").symlink_to(target)


def test_groups_and_devices(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    for name in ("vfio", "12", "13"):
        tree.write(f"dev/vfio/{name}", "")
    vf = tree.vf(tree.pf(), "0000:01:00.0", 5)
    tree.link(f"{vf}/vfio-dev/vfio0/device", vf)
    tree.link("sys/class/vfio-dev/vfio0", f"{vf}/vfio-dev/vfio0")
    process(tree, 42, "qemu-system-x86", "/dev/null", "/dev/vfio/vfio", "/dev/vfio/12", "/dev/vfio/12")
    process(tree, 7, "dpdk", "/dev/vfio/12", "/dev/vfio/devices/vfio0", "anon_inode:[vfio-device]")
    process(tree, 8, "other", "/home/x/vfio/README", "/dev/vfio/devices/vfio9", "socket:[1]")
    process(tree, 9, "container", "/vfio/13")
    (tmp_path / "proc/10").mkdir()  # ended while it was looked at
    assert open_vfio_groups(tmp_path, []) == {
        12: [Process(7, "dpdk"), Process(42, "qemu-system-x86")],
        13: [Process(9, "container")],
        15: [Process(7, "dpdk")],
    }


def test_nothing_to_look_for_is_known_without_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Tree(tmp_path)
    process(tree, 7, "root's")
    deny(monkeypatch)
    assert open_vfio_groups(tmp_path, []) == {}
    tree.write("dev/vfio/vfio", "")
    assert open_vfio_groups(tmp_path, []) == {}


def test_hidden_processes_make_it_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Tree(tmp_path)
    tree.write("dev/vfio/12", "")
    process(tree, 7, "root's")
    deny(monkeypatch)
    notes: list[str] = []
    assert open_vfio_groups(tmp_path, notes) is None
    assert notes == [
        "The open files of 1 processes can't be seen without root, so which VFs are held through VFIO is unknown."
    ]


def deny(monkeypatch: pytest.MonkeyPatch) -> None:
    listdir = os.listdir

    def refuse(path: str | Path) -> list[str]:
        if str(path).endswith("/fd"):
            raise PermissionError
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refuse)
