"""What an apply tells systemd, and what --early takes."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from reconciler.apply.confirm import Countdown
from reconciler.cli import boot
from reconciler.cli import confirm as confirm_command
from reconciler.cli.options import Options
from reconciler.diagnostics import Diagnostic, ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.host.local import timer
from reconciler.host.local.arrival import running_guests
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


class Quiet:
    """Progress that tells nobody."""

    def start(self, total: int) -> None: ...
    def begin(self, action: dict[str, object]) -> None: ...
    def end(self, action_id: str, outcome: str, seconds: float, error: str = "") -> None: ...
    def finish(self) -> None: ...


def test_a_step_takes_as_long_as_it_may(systemd: socket.socket) -> None:
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
    quiet = Quiet()
    for address in ("", "relative"):
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        assert boot.telling(quiet) is quiet


KEPT = FILE.replace("vfs = 7", "vfs = 2")
SIM = ("--host", "sim:h.sim")
BOOT = (*SIM, "apply", "host.toml", "--partial", "--yes", "--wait-for-libvirt", "1")
CONFIRM = (*SIM, "apply", "host.toml", "--yes", "--confirm-within", "60")


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    """A host of which every VF is gone after a reboot; no timer takes anything back."""
    monkeypatch.setattr(
        confirm_command,
        "countdown",
        lambda _, seconds: Countdown(seconds, lambda *_: None, lambda _: None, lambda unit: [unit]),
    )
    monkeypatch.setattr(timer, "disarm", lambda _: None)
    made = Inside(tmp_path)
    assert made.run("sim", "new", "h.sim", "--profile", "igb-lab").returncode == 0
    return made


def vfs(inside: Inside) -> list[int]:
    document = json.loads(inside.run(*SIM, "inspect", "--json").stdout)
    return [pf["num_vfs"] for pf in document["pfs"]][:2]


@pytest.fixture
def statuses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All that is told of the status."""
    found: list[str] = []
    monkeypatch.setattr(boot, "tell_status", found.append)
    return found


def test_what_nobody_confirmed_does_not_come_back_with_the_boot(inside: Inside, statuses: list[str]) -> None:
    inside.write("host.toml", f"schema = 1\n{KEPT}")
    assert inside.run(*SIM, "apply", "host.toml", "--yes").returncode == ExitCode.OK
    inside.write("host.toml", f"schema = 1\n{FILE}")
    assert inside.run(*CONFIRM).returncode == ExitCode.OK
    for _ in range(2):
        inside.run("sim", "run", "h.sim", "reboot")
        assert vfs(inside) == [0, 0]
        for _ in range(2):  # One unit, and the other after it.
            done = inside.run(*BOOT)
            assert done.returncode == ExitCode.OK, done.stderr
            assert "nobody did" in done.stderr
            assert "To apply the file: reconciler --host sim:h.sim apply host.toml" in done.stderr
            assert vfs(inside) == [2, 2]
            assert statuses[-1].startswith("VFs: 4 of 4; NOT THE FILE, but host.toml as it was applied at 20")
    assert inside.run(*SIM, "apply", "host.toml", "--yes").returncode == ExitCode.OK  # By hand it is the user's.
    inside.run("sim", "run", "h.sim", "reboot")
    done = inside.run(*BOOT)
    assert (done.returncode, "nobody did" in done.stderr, vfs(inside)) == (ExitCode.OK, False, [7, 7])


def test_what_was_confirmed_comes_back_with_the_boot(inside: Inside) -> None:
    inside.write("host.toml", f"schema = 1\n{FILE}")
    assert inside.run(*CONFIRM).returncode == ExitCode.OK
    assert inside.run(*SIM, "confirm").returncode == ExitCode.OK
    inside.run("sim", "run", "h.sim", "reboot")
    assert inside.run(*BOOT).returncode == ExitCode.OK
    assert vfs(inside) == [7, 7]


@pytest.mark.parametrize("taken_back", [False, True])
def test_without_a_state_that_stayed_nothing_is_done(inside: Inside, statuses: list[str], taken_back: bool) -> None:
    inside.write("host.toml", f"schema = 1\n{FILE}")
    assert inside.run(*CONFIRM).returncode == ExitCode.OK
    if taken_back:
        assert inside.run(*SIM, "rollback", "--yes").returncode == ExitCode.OK
    inside.run("sim", "run", "h.sim", "reboot")
    refused = inside.run(*BOOT)
    assert (refused.returncode, vfs(inside)) == (ExitCode.REFUSED, [0, 0])
    assert "no state of this file that stayed is on record" in refused.stderr
    assert statuses[-1].startswith("Nothing was done: Refused. Nothing was changed. What host.toml declares")


def test_another_file_that_nobody_confirmed_changes_nothing_for_this_one(inside: Inside) -> None:
    inside.write("host.toml", f"schema = 1\n{KEPT}")
    assert inside.run(*SIM, "apply", "host.toml", "--yes").returncode == ExitCode.OK
    inside.write("try.toml", f"schema = 1\n{FILE}")
    assert inside.run(*SIM, "apply", "try.toml", "--yes", "--confirm-within", "60").returncode == ExitCode.OK
    inside.run("sim", "run", "h.sim", "reboot")
    done = inside.run(*BOOT)
    assert (done.returncode, "nobody did" in done.stderr, vfs(inside)) == (ExitCode.OK, False, [2, 2])


def test_an_error_is_in_the_status(inside: Inside, statuses: list[str]) -> None:
    inside.write("host.toml", "schema = 1\nx = 1\n")
    assert inside.run(*BOOT).returncode == ExitCode.INVALID
    assert statuses[-1].startswith("Nothing was done: host.toml:2:")
    inside.write("host.toml", f"schema = 1\n{FILE}")
    assert inside.run(*BOOT).returncode == ExitCode.OK
    inside.write("host.toml", f'schema = 1\n[policy]\ndisruption = "none"\n{KEPT}')
    assert inside.run(*BOOT).returncode == ExitCode.REFUSED
    assert statuses[-1].startswith("Nothing was done: Refused. ")


def test_guests_that_run_are_found_without_libvirt(tmp_path: Path) -> None:
    folder = tmp_path / "run/libvirt/qemu"
    folder.mkdir(parents=True)
    assert running_guests(tmp_path) == []
    (tmp_path / "proc/7").mkdir(parents=True)
    for name, pid in (("driver", 7), ("web1", 7), ("killed", 8)):
        (folder / f"{name}.pid").write_text(f"{pid}\n")
    for name in ("web1", "killed", "ends"):
        (folder / f"{name}.xml").write_text("<domstatus/>")
    assert running_guests(tmp_path) == ["web1"]
    (tmp_path / "run/libvirt/qemu/web1.pid").write_text("8")
    boot.refuse_beside_guests(tmp_path)
    (tmp_path / "run/libvirt/qemu/web1.pid").write_text("7")
    with pytest.raises(ReconcilerError) as refused:
        boot.refuse_beside_guests(tmp_path)
    assert (refused.value.code, "these run: web1" in refused.value.detail) == (ExitCode.REFUSED, True)


def test_services_that_systemd_is_yet_to_start_are_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = desired(f'{KEPT}\n[services]\nlibvirt-guests = "running"\nnumad = "stopped"\n[hugepages]\n2M = 4\n')
    monkeypatch.setattr("reconciler.host.local.systemd.queued", lambda root, names: [])
    assert boot.late_targets(Options(), declared) == []
    monkeypatch.setattr("reconciler.host.local.systemd.queued", lambda root, names: ["libvirt-guests"])
    assert boot.late_targets(Options(), declared) == ["pf.int", "pf.ext", "services.numad", "hugepages.2M"]


def test_what_goes_with_what(inside: Inside) -> None:
    inside.write("host.toml", f"schema = 1\n{FILE}")
    assert inside.run(*SIM, "plan", "host.toml", "-o", "p.json").returncode == ExitCode.OK
    for arguments in (
        ("apply", "p.json", "--wait-for-libvirt", "5"),
        ("apply", "host.toml", "--wait-for-libvirt", "5", "--confirm-within", "60"),
        ("inspect", "--json", "--format", "svg"),
    ):
        refused = inside.run(*SIM, *arguments)
        assert (refused.returncode, "Wrong usage." in refused.stderr) == (ExitCode.USAGE, True), arguments
    assert inside.run(*SIM, "inspect", "--json", "--format", "json").returncode == ExitCode.OK


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
