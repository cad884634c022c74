"""Writes to sysfs and binding, below a root of its own."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest

from reconciler.host.local import modules, rtnl, sysfs_writes
from reconciler.host.local import writer as writer_module
from reconciler.host.local.child import NoAnswer
from reconciler.host.local.processes import Processes
from reconciler.host.local.rtnl import Answer, Request
from reconciler.host.local.writer import LocalWriter
from reconciler.host.model import Hang
from reconciler.host.protocol import HostError, VfSet
from reconciler.host.refusals import no_answer
from tests.unit.host.tree import Tree

PF = "pci/0000:01:00.0"
VF = "sys/devices/pci/0000:01:10.0"


class Kernel:
    """Does to a tree what the kernel does on writes to driver_override, unbind and drivers_probe."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.writes: list[tuple[str, str]] = []
        self.device = tree.root / VF
        self.hangs_at = ""

    def write(self, root: Path, path: Path, text: str, seconds: float, device: Path | None = None) -> None:
        if path.name == self.hangs_at:
            raise no_answer(f"{text} to {path}", seconds)
        self.writes.append((path.name, text))
        override = self.device / "driver_override"
        if path.name == "driver_override":
            override.write_text("(null)\n" if text == "\n" else text)
        elif path.name == "unbind":
            (self.device / "driver").unlink()
        elif path.name == "drivers_probe":
            wanted = override.read_text().strip()
            autoprobe = (self.tree.root / "sys/devices/pci/0000:01:00.0/sriov_drivers_autoprobe").read_text()
            if wanted != "(null)":
                self.tree.bind(VF, "pci", wanted)
            elif autoprobe.strip() == "1":
                self.tree.bind(VF, "pci", "igbvf")

    def write_in_turn(self, root: Path, writes: list[tuple[Path, str]], seconds: float, device: Path) -> None:
        for path, text in writes:
            self.write(root, path, text, seconds, device)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    tree = Tree(tmp_path)
    tree.pf(vfs=1)
    tree.write(f"{VF}/modalias", "pci:v00008086d000010CA\n")
    tree.write("sys/bus/pci/drivers/vfio-pci/bind", "")
    tree.write("sys/module/igbvf/drivers/pci:igbvf/x", "")
    kernel = Kernel(tree)
    monkeypatch.setattr(sysfs_writes, "write", kernel.write)
    monkeypatch.setattr(sysfs_writes, "write_in_turn", kernel.write_in_turn)
    monkeypatch.setattr(modules, "names_for", lambda alias, seconds: ["igbvf"])
    return kernel


def test_binding_back_and_forth(kernel: Kernel) -> None:
    writer = LocalWriter("", kernel.tree.root)

    def bind(driver: Any) -> list[str]:
        kernel.writes.clear()
        writer.bind_vf(PF, 0, driver, 5)
        return [f"{name}={text.strip()}" for name, text in kernel.writes]

    address = "0000:01:10.0"
    assert bind("none") == []
    assert bind("vfio-pci") == ["driver_override=vfio-pci", f"drivers_probe={address}"]
    assert bind("vfio-pci") == []
    kernel.tree.write("sys/devices/pci/0000:01:00.0/sriov_drivers_autoprobe", "0\n")
    assert bind("kernel") == [
        "driver_override=igbvf",
        f"unbind={address}",
        f"drivers_probe={address}",
        "driver_override=",
    ]
    assert bind("kernel") == []
    assert bind("none") == [f"unbind={address}"]


def test_a_driver_that_does_not_take_it(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel.tree, "bind", lambda *_: None)
    with pytest.raises(HostError) as caught:
        LocalWriter("", kernel.tree.root).bind_vf(PF, 0, "kernel", 5)
    assert "bound to no driver instead of igbvf" in caught.value.detail
    assert kernel.writes[-1] == ("driver_override", "\n")  # not left behind


def test_behind_a_write_that_hangs_nothing_more_is_written(kernel: Kernel) -> None:
    kernel.tree.bind(VF, "pci", "vfio-pci")
    kernel.hangs_at = "unbind"
    with pytest.raises(HostError, match="hangs"):
        LocalWriter("", kernel.tree.root).bind_vf(PF, 0, "kernel", 5)
    assert [name for name, _ in kernel.writes] == ["driver_override"]


def test_a_lock_that_somebody_holds_is_not_waited_for(kernel: Kernel) -> None:
    path = kernel.device / "driver_override"
    path.unlink()
    os.mkfifo(path)  # opening it for reading waits for a writer
    with pytest.raises(HostError, match="hangs") as caught:
        LocalWriter("", kernel.tree.root).bind_vf(PF, 0, "none", 0.1)
    assert (caught.value.errno, kernel.writes) == (errno.ETIMEDOUT, [])
    os.close(os.open(path, os.O_WRONLY))


def test_no_module_for_a_vf(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "names_for", lambda alias, seconds: [])
    with pytest.raises(HostError, match="No kernel driver fits"):
        LocalWriter("", kernel.tree.root).bind_vf(PF, 0, "kernel", 5)


def test_modules_are_loaded_by_name(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(modules, "load", lambda name, seconds: loaded.append(name))
    (kernel.tree.root / "sys/bus/pci/drivers/vfio-pci/bind").unlink()
    (kernel.tree.root / "sys/bus/pci/drivers/vfio-pci").rmdir()
    LocalWriter("", kernel.tree.root).bind_vf(PF, 0, "vfio-pci", 5)
    assert loaded == ["vfio-pci"]


def test_things_that_are_gone(kernel: Kernel) -> None:
    writer = LocalWriter("", kernel.tree.root)
    for call in (
        lambda: writer.bind_vf(PF, 5, "none", 5),
        lambda: writer.set_numvfs("pci/0000:09:00.0", 1, 5),
        lambda: writer.set_link("pci/0000:09:00.0", True),
        lambda: writer.set_vfs("netdevsim/netdevsim9", [VfSet(0, {"trust": True})]),
    ):
        with pytest.raises(HostError, match="gone") as caught:
            call()
        assert caught.value.errno == errno.ENODEV


def test_writes_in_turn_end_at_the_first_that_is_refused(tmp_path: Path) -> None:
    first, missing, last = tmp_path / "first", tmp_path / "missing", tmp_path / "last"
    first.write_text("")
    last.write_text("")
    sysfs_writes.write_in_turn(tmp_path, [(first, "1"), (last, "2")], 5, tmp_path)
    assert (first.read_text(), last.read_text()) == ("1", "2")
    with pytest.raises(HostError) as caught:
        sysfs_writes.write_in_turn(tmp_path, [(first, "3"), (missing, "4"), (last, "5")], 5, tmp_path)
    assert (caught.value.errno, f"4 to {missing}" in caught.value.detail) == (errno.ENOENT, True)
    assert (first.read_text(), last.read_text()) == ("3", "2")


def test_writes_in_turn_tell_which_hangs(tmp_path: Path) -> None:
    first, hangs = tmp_path / "first", tmp_path / "hangs"
    first.write_text("")
    os.mkfifo(hangs)
    (tmp_path / "proc").mkdir()
    with pytest.raises(HostError, match="hangs") as caught:
        sysfs_writes.write_in_turn(tmp_path, [(first, "1"), (hangs, "2"), (first, "3")], 0.3, tmp_path)
    assert f"Writing 2 to {hangs} has not come back" in caught.value.detail
    assert first.read_text() == "1"
    with pytest.raises(HostError, match="not tried"):
        sysfs_writes.write_in_turn(tmp_path, [(first, "1")], 0, tmp_path)
    os.close(os.open(hangs, os.O_RDONLY))


def test_set_numvfs_writes(tmp_path: Path) -> None:
    path = Tree(tmp_path).pf()
    LocalWriter("", tmp_path).set_numvfs(PF, 5, 5)
    assert (tmp_path / path / "sriov_numvfs").read_text()[0] == "5"
    LocalWriter("", tmp_path).set_autoprobe(PF, False)
    assert (tmp_path / path / "sriov_drivers_autoprobe").read_text()[0] == "0"


def test_a_write_that_hangs_is_an_error_that_says_which(tmp_path: Path) -> None:
    path = tmp_path / Tree(tmp_path).pf() / "sriov_numvfs"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(HostError, match="hangs") as caught:
        LocalWriter("", tmp_path).set_numvfs(PF, 0, 0.1)
    assert caught.value.errno == errno.ETIMEDOUT
    assert "Writing 0 to" in caught.value.detail
    assert "0000:01:00.0/sriov_numvfs has not come back" in caught.value.detail
    with open(path) as reader:
        reader.read()
    with pytest.raises(HostError, match="not tried"):
        LocalWriter("", tmp_path).set_numvfs(PF, 0, 0)


def test_a_write_that_hangs_tells_what_the_kernel_says_and_who_holds_the_vf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = Tree(tmp_path)
    tree.pf()
    log = tree.write("dev/kmsg", "6,1,1,-;vfio-pci 0000:01:10.2: Relaying device request to user (#0)\n")
    held = "VF 1 (0000:01:10.2): guest web1 (qemu-system-x86, pid 99)"

    def hang(path: Path, text: str, seconds: float, device: Path) -> None:
        with log.open("a") as file:
            file.write("6,2,2,-;vfio-pci 0000:01:10.2: Relaying device request to user (#10)\n")
        raise NoAnswer(50)

    seen = Processes(hangs=[Hang(50, "reconciler-set", "", PF, waits_in="vfio_unregister_group_dev", holders=[held])])
    monkeypatch.setattr(sysfs_writes, "write_file", hang)
    monkeypatch.setattr(sysfs_writes, "look", lambda root, notes: seen)
    with pytest.raises(HostError) as caught:
        LocalWriter("", tmp_path).set_numvfs(PF, 0, 30)
    assert caught.value.detail == (
        f"Writing 0 to {tmp_path}/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs has not come back after 30 s; process "
        "50 waits for it in vfio_unregister_group_dev. The kernel's log since then: "
        f'"vfio-pci 0000:01:10.2: Relaying device request to user (#10)". Held now: {held}. The kernel waits for that: '
        "stop the guest or the process that has it, and the write goes on and takes effect by itself. Until then "
        "nothing more is written to this PF and its VFs."
    )


def test_a_network_interface_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Tree(tmp_path).pf()
    monkeypatch.setattr(rtnl, "RtnlSocket", lambda: time.sleep(5))
    monkeypatch.setattr(writer_module, "_NETWORK", 0.1)
    writer = LocalWriter("", tmp_path)
    with pytest.raises(HostError, match="hangs") as caught:
        writer.set_mtu(PF, 9000)
    assert "the MTU of enp1s0 could not be set to 9000" in caught.value.detail
    with pytest.raises(HostError, match="hangs") as caught:
        writer.set_vfs(PF, [VfSet(0, {"trust": True})])
    assert caught.value.errno == errno.ETIMEDOUT


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errno.ERANGE, "sriov_totalvfs"),
        (errno.EBUSY, "through 0"),
        (errno.ENOENT, "no driver"),
        (errno.ENOMEM, "address space"),
        (errno.EROFS, "read-only"),
        (errno.EXDEV, "kernel log"),
    ],
)
def test_refused_counts_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, says: str) -> None:
    def refuse(path: Path, text: str, seconds: float, device: Path) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(sysfs_writes, "write_file", refuse)
    with pytest.raises(HostError) as caught:
        sysfs_writes.set_numvfs(tmp_path, tmp_path / "sriov_numvfs", 8, 5)
    assert caught.value.errno == code
    assert says in caught.value.detail


class Socket:
    """Takes requests instead of the kernel."""

    sent: list[bytes]
    answers: list[Answer]

    def __enter__(self) -> Socket:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def change(self, requests: list[Request]) -> list[Answer]:
        Socket.sent = [request.body for request in requests]
        return Socket.answers


def test_links_and_vfs_go_to_the_interface_by_its_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Tree(tmp_path).pf()
    monkeypatch.setattr(rtnl, "RtnlSocket", Socket)
    # In this process, to look at it.
    monkeypatch.setattr(writer_module, "ask", lambda function, *arguments, seconds, name: function(*arguments))
    writer = LocalWriter("", tmp_path)
    Socket.answers = [Answer(0)]
    writer.set_link(PF, True)
    assert Socket.sent == [bytes.fromhex("00000000 03000000 01000000 01000000")]
    writer.set_link(PF, False)
    assert Socket.sent == [bytes.fromhex("00000000 03000000 00000000 01000000")]
    writer.set_mtu(PF, 9000)
    assert Socket.sent == [bytes.fromhex("00000000 03000000 00000000 00000000 0800 0400 28230000")]
    Socket.answers = [Answer(errno.EINVAL, "mtu greater than device maximum")]
    with pytest.raises(HostError) as caught:
        writer.set_mtu(PF, 100000)
    assert caught.value.detail == (
        "the MTU of enp1s0 could not be set to 100000: Invalid argument (mtu greater than device maximum)."
    )
    (error,) = writer.set_vfs(PF, [VfSet(0, {"trust": True})])
    assert error is not None
    assert "igb does not accept" in error.detail
