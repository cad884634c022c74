"""Open VFIO groups, and writes that have not come back."""

from __future__ import annotations

import os
import time
from datetime import datetime
from pathlib import Path

import pytest

from reconciler.host.local import patience
from reconciler.host.local.patience import Patience
from reconciler.host.local.processes import Processes, look
from reconciler.host.model import Process
from tests.unit.host.tree import Tree


def process(tree: Tree, pid: int, command: str, *targets: str) -> None:
    status(tree, pid, command)
    (tree.root / f"proc/{pid}/fd").mkdir()
    for number, target in enumerate(targets):
        (tree.root / f"proc/{pid}/fd/{number}").symlink_to(target)


def status(tree: Tree, pid: int, command: str, state: str = "S", began: int = 100, parent: int = 1) -> None:
    """``began``: seconds after boot."""
    ticks = began * os.sysconf("SC_CLK_TCK")
    tree.write(f"proc/{pid}/comm", f"{command}\n")
    tree.write(f"proc/{pid}/stat", f"{pid} ({command}) {state} {parent} {'0 ' * 17}{ticks} 0\n")
    tree.write("proc/uptime", "160.00 20.00\n")


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
    assert look(tmp_path, []).vfio_open == {
        12: [Process(7, "dpdk"), Process(42, "qemu-system-x86")],
        13: [Process(9, "container")],
        15: [Process(7, "dpdk")],
    }


def test_nothing_to_look_for_is_known_without_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Tree(tmp_path)
    process(tree, 7, "root's")
    deny(monkeypatch)
    assert look(tmp_path, []).vfio_open == {}
    tree.write("dev/vfio/vfio", "")
    assert look(tmp_path, []).vfio_open == {}


def test_hidden_processes_make_it_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Tree(tmp_path)
    tree.write("dev/vfio/12", "")
    process(tree, 7, "root's")
    deny(monkeypatch)
    notes: list[str] = []
    assert look(tmp_path, notes).vfio_open is None
    assert notes == [
        "The open files of 1 processes can't be seen without root, so which VFs are held through VFIO is unknown."
    ]


PF, VF = "/sys/devices/pci/0000:01:00.0", "/sys/devices/pci/0000:01:10.2"


def writing(
    tree: Tree, pid: int, *targets: str, command: str = "sh", flags: str = "0100001", call: str = "1 0x{}"
) -> None:
    """A process that is inside a system call on the last of its files."""
    process(tree, pid, command, *targets)
    last = len(targets) - 1
    tree.write(f"proc/{pid}/fdinfo/{last}", f"pos:\t0\nflags:\t{flags}\n")
    tree.write(f"proc/{pid}/syscall", call.format(f"{last:x}") + " 0x55 0x2\n")
    tree.write(f"proc/{pid}/wchan", "vfio_unregister_group_dev")


@pytest.fixture
def held(tmp_path: Path) -> Tree:
    """A PF whose VF 1 is being removed, so that nothing links to it any more, while a guest's QEMU has it open."""
    tree = Tree(tmp_path)
    tree.write("dev/vfio/11", "")
    pf = tree.pf(vfs=3)
    (tmp_path / pf / "virtfn1").unlink()
    (tmp_path / VF[1:] / "physfn").unlink()
    tree.link("sys/kernel/iommu_groups/11/devices/0000:01:10.2", VF[1:])
    process(tree, 99, "qemu-system-x86", "/dev/vfio/11")
    tree.write("proc/99/cmdline", "qemu\0-name\0guest=web1,debug-threads=on\0-S\0")
    return tree


def test_a_write_that_hangs_is_found_with_its_pf_and_who_holds_it(held: Tree) -> None:
    writing(held, 50, "/dev/null", f"{PF}/sriov_numvfs")
    (hang,) = look(held.root, []).hangs
    assert (hang.pid, hang.command, hang.pf) == (50, "sh", "pci/0000:01:00.0")
    assert hang.path == "/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs"
    assert hang.waits_in == "vfio_unregister_group_dev"
    assert hang.holders == ["VF 1 (0000:01:10.2): qemu-system-x86 (pid 99, guest web1)"]
    assert abs(datetime.fromisoformat(hang.since).timestamp() - (time.time() - 60)) < 5


def test_a_file_that_is_only_open_is_no_write(held: Tree) -> None:
    writing(held, 50, f"{PF}/sriov_numvfs", call="0 0x7")
    writing(held, 51, f"{PF}/sriov_numvfs", call="running")
    writing(held, 52, f"{PF}/sriov_numvfs", call="-1 0x0")
    writing(held, 53, f"{PF}/sriov_numvfs", flags="0100000")
    writing(held, 54, f"{PF}/mtu")
    writing(held, 55, "/home/x/sriov_numvfs")
    assert look(held.root, []).hangs == []


def test_a_write_to_a_driver_tells_its_device_by_the_folder_that_it_keeps_open(held: Tree) -> None:
    held.link(f"{VF[1:]}/physfn", PF[1:])
    writing(held, 50, VF, "/sys/bus/pci/drivers/vfio-pci/unbind", command="reconciler-set")
    writing(held, 51, "/sys/bus/pci/drivers/vfio-pci/unbind")
    ours, others = look(held.root, []).hangs
    assert (ours.pf, ours.path) == ("pci/0000:01:00.0", "/sys/bus/pci/drivers/vfio-pci/unbind")
    assert (others.pf, others.holders) == ("", [])


def test_without_the_systems_calls_a_process_that_sleeps_for_good_counts(held: Tree) -> None:
    for pid, state in ((50, "D"), (51, "S")):
        writing(held, pid, f"{PF}/sriov_numvfs")
        status(held, pid, "sh", state)
        (held.root / f"proc/{pid}/syscall").unlink()
    assert [hang.pid for hang in look(held.root, []).hangs] == [50]


def test_a_change_of_a_network_interface_that_hangs(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    process(tree, 50, "reconciler-set")
    status(tree, 50, "reconciler-set", "D")
    (hang,) = look(tmp_path, []).hangs
    assert (hang.pid, hang.path, hang.pf) == (50, "", "")


def test_our_children_that_were_left_behind(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    process(tree, 50, "reconciler-get")
    process(tree, 51, "reconciler-net")
    status(tree, 51, "reconciler-net", began=159)  # It may still get its answer.
    process(tree, 52, "a) D 1 (b")
    process(tree, 53, "reconciler-get")
    status(tree, 53, "reconciler-get", "Z")  # It has ended; its parent has other things to do.
    assert look(tmp_path, []).waiting == {"reconciler-get": [50]}


def test_a_child_of_ours_says_how_long_it_is_waited_for(held: Tree) -> None:
    """As long as the one who waits is there."""
    soon = time.monotonic() + 30
    now = time.monotonic()
    for pid, until, parent, age in ((50, soon, 40, 60), (51, 1.5, 40, 60), (52, soon, 1, 60), (53, soon, 1, 2)):
        waited_for = f"/memfd:reconciler-40-since-{now - age:f}-until-{until:f} (deleted)"
        writing(held, pid, waited_for, f"{PF}/sriov_numvfs", command="reconciler-set")
        status(held, pid, "reconciler-set", "D", parent=parent)
    writing(held, 54, f"{PF}/sriov_numvfs", command="reconciler-set")
    writing(held, 55, f"{PF}/sriov_numvfs")
    left = {pid: write.left for pid, write in look(held.root, []).writes.items()}
    assert left[55] is None
    told = {pid: round(seconds) for pid, seconds in left.items() if seconds is not None and pid != 51}
    assert told == {50: 30, 52: 5 - 60, 53: 5 - 2, 54: 20 - 60}
    assert left[51] is not None
    assert left[51] < 0


def test_a_child_that_stays_is_as_old_as_what_it_is_at(tmp_path: Path) -> None:
    tree, now = Tree(tmp_path), time.monotonic()
    for pid, name, since, until in (
        (50, "reconciler-net", now - 1, now + 19),
        (51, "reconciler-net", now - 21, now - 1),
        (52, "reconciler", now - 99, now - 79),  # It has answered, and has nothing to do.
        (53, "reconciler-set", now - 61, now - 1),
    ):
        process(tree, pid, name, f"/memfd:reconciler-40-since-{since:f}-until-{until:f} (deleted)")
        status(tree, pid, name, "D", parent=40)
    seen = look(tmp_path, [])
    assert seen.waiting == {"reconciler-net": [51], "reconciler-set": [53]}
    (hang,) = seen.hangs
    assert (hang.pid, hang.path) == (53, "")
    assert abs(datetime.fromisoformat(hang.since).timestamp() - (time.time() - 61)) < 5


@pytest.fixture
def hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """Children of ours whose open files are hidden: one of them is old, and inside of the kernel."""
    tree = Tree(tmp_path)
    for pid, state, began in ((50, "D", 100), (51, "S", 100), (52, "D", 159), (53, "Z", 100)):
        process(tree, pid, "reconciler-net")
        status(tree, pid, "reconciler-net", state, began)
        switched(tree, pid, 7)
    deny(monkeypatch)
    return tree


def switched(tree: Tree, pid: int, times: int) -> None:
    text = f"voluntary_ctxt_switches:\t{times}\nnonvoluntary_ctxt_switches:\t1\n"
    tree.write(f"proc/{pid}/status", f"Name:\treconciler-net\n{text}")


def test_where_a_childs_files_are_hidden_it_may_wait_if_it_is_old_and_inside_of_the_kernel(hidden: Tree) -> None:
    seen = look(hidden.root, [])
    assert seen.waiting == {"reconciler-net": [50]}
    assert {pid: write.left for pid, write in seen.writes.items()} == {50: None}
    assert look(hidden.root, []).writes == seen.writes
    switched(hidden, 50, 8)
    assert look(hidden.root, []).writes != seen.writes


@pytest.mark.parametrize("works", [False, True])
def test_where_a_childs_files_are_hidden_it_waits_if_it_does_not_go_on(
    hidden: Tree, monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    """One that stays is older than what it is asked, and each time that it is looked at it may be in the kernel."""
    monkeypatch.setattr(patience, "SECONDS", 0.1)
    monkeypatch.setattr(patience, "_PAUSE", 0.02)
    real, looks = patience.look, []

    def look_again(root: Path, notes: list[str]) -> Processes:
        looks.append(root)
        if works:
            switched(hidden, 50, len(looks))
        return real(root, notes)

    monkeypatch.setattr(patience, "look", look_again)
    assert Patience().look(hidden.root, []).waiting == {"reconciler-net": [] if works else [50]}
    assert len(looks) == 2 or not works


def test_a_guests_name_with_a_comma(held: Tree) -> None:
    held.write("proc/99/cmdline", "qemu\0-name\0guest=web,,1,,debug-threads=on,debug-threads=on\0-S\0")
    found = look(held.root, []).vfio_open
    assert found == {11: [Process(99, "qemu-system-x86", "web,1,debug-threads=on")]}


def deny(monkeypatch: pytest.MonkeyPatch) -> None:
    listdir = os.listdir

    def refuse(path: str | Path) -> list[str]:
        if str(path).endswith("/fd"):
            raise PermissionError
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refuse)
