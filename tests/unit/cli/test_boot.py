"""What an apply tells systemd, and what --early takes."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from reconciler.cli import boot
from reconciler.cli.options import Options
from reconciler.diagnostics import Diagnostic
from reconciler.host.local.reader import LocalReader
from reconciler.kinds.action import Action
from reconciler.plan.document import Plan
from tests.hosts import desired, host, igb
from tests.unit.cli.inside import Inside

FILE = """
[pf.int]
match = { name = "enp1s0" }
vfs = 7
[pf.ext]
match = { name = "enp2s0" }
vfs = 7
"""


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """The other end of NOTIFY_SOCKET."""
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(str(tmp_path / "notify"))
    receiver.settimeout(5)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    return receiver


def told(systemd: socket.socket) -> str:
    return systemd.recv(4096).decode()


def test_the_end_in_one_line(systemd: socket.socket) -> None:
    plan = Plan(dropped=["domain.web9", "domain.web9.nic.data", "pf.ext"])
    plan.diagnostics = [
        Diagnostic(severity="warning", code="pf-not-found", summary="No PF matches.", address="pf.ext"),
        Diagnostic(severity="note", code="left-for-later", summary="Some is left."),
    ]
    boot.tell_end(plan, desired(FILE), host(igb(1, 7)), {})
    assert told(systemd) == (
        "STATUS=VFs: 7 of 14; left out: domain.web9, pf.ext (No PF matches); the rest once libvirt runs"
    )


def test_what_failed_comes_first(systemd: socket.socket) -> None:
    plan = Plan(actions=[Action(f"{n}", "vf.set", f"pf.int.vf.{n}", {}) for n in range(3)])
    boot.tell_end(plan, desired(FILE), None, {"0": "changed", "1": "failed", "2": "skipped"})
    assert told(systemd) == (
        "STATUS=The host could not be read again; FAILED: pf.int.vf.1; not done after that: pf.int.vf.2"
    )


def test_a_step_takes_as_long_as_it_may(systemd: socket.socket) -> None:
    class Quiet:
        def start(self, total: int) -> None: ...
        def begin(self, action: dict[str, object]) -> None: ...
        def end(self, action_id: str, outcome: str, seconds: float, error: str = "") -> None: ...
        def finish(self) -> None: ...

    progress = boot.telling(Quiet())
    progress.start(2)
    assert told(systemd) == "EXTEND_TIMEOUT_USEC=120000000"
    given = []
    for vfs in (1, 63):
        progress.begin({"id": "a", "op": "pf.set_numvfs", "address": "pf.int", "args": {"pf": "pci/x", "vfs": vfs}})
        given.append(int(told(systemd).removeprefix("EXTEND_TIMEOUT_USEC=")))
        assert told(systemd).startswith("STATUS=Step ")
        progress.end("a", "changed", 1.0)
    assert 120e6 < given[0] < given[1]


def test_without_systemd_nobody_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for address in ("", "relative", str(tmp_path / "nobody")):
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        boot.tell_status("x")


def test_early_is_for_this_machine_and_alone(tmp_path: Path) -> None:
    inside = Inside(tmp_path)
    inside.write("host.toml", f"schema = 1\n{FILE}")
    assert inside.run("sim", "new", "h.sim", "--profile", "igb-lab").returncode == 0
    for arguments in (["--host", "sim:h.sim"], ["--target", "pf.int"], ["--wait-for-libvirt", "5"]):
        refused = (
            inside.run(*arguments, "apply", "host.toml", "--early")
            if arguments[0] == "--host"
            else inside.run("apply", "host.toml", "--early", *arguments)
        )
        assert refused.returncode == 64, refused.stdout
        assert "--early is for the boot" in refused.stderr


def test_early_in_boot_the_initramfs_is_neither_unpacked_nor_made_anew() -> None:
    """It takes up to minutes, and the network and libvirt wait for the unit."""
    wanted = desired('[modules]\nblacklist = ["igbvf"]\nload = ["vfio-pci"]')
    readers = [Options().reader(wanted, early=early) for early in (True, False)]
    asked = [reader.asked for reader in readers if isinstance(reader, LocalReader)]
    assert [(item.kept_away, item.modules) for item in asked] == [((), ("vfio-pci",)), (("igbvf",), ("vfio-pci",))]
    assert "modules.blacklist" in boot.early_targets(wanted)


def test_units_are_installed_on_this_machine(tmp_path: Path) -> None:
    refused = Inside(tmp_path).run("--host", "sim:x.sim", "install-units")
    assert (refused.returncode, "on this machine" in refused.stderr) == (64, True)
