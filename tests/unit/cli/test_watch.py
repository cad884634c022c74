"""``watch`` on a simulated host."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from reconciler.cli.watch import tell
from reconciler.exit_codes import ExitCode
from tests.unit.cli.inside import Inside
from tests.unit.cli.running import Running
from tests.unit.cli.test_commands import Folder

FILE = """schema = 1
[pf.int]
match = { name = "enp1s0" }
link = "up"
vfs = 4
vf_driver = "none"
[pf.int.vf_defaults]
max_tx_rate = 100
[domain.web1.nic.data]
vf = "int/3"
mac = "52:54:00:00:00:07"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Inside(tmp_path)
    made.write("host.toml", FILE)
    assert made.run("sim", "new", "host.sim", "--profile", "igb-lab").returncode == ExitCode.OK
    assert sim(made, "apply", "host.toml", "--yes").returncode == ExitCode.OK
    assert watch(made) == (ExitCode.OK, "", "")
    return made


def sim(folder: Folder, *arguments: str):  # type: ignore[no-untyped-def]
    return folder.run("--host", "sim:host.sim", *arguments)


def watch(folder: Folder) -> tuple[int, str, str]:
    done = sim(folder, "watch", "host.toml", "--once")
    return done.returncode, done.stdout, done.stderr


def by_hand(folder: Folder, command: str) -> None:
    done = folder.run("sim", "run", "host.sim", *command.split())
    assert done.returncode == ExitCode.OK, done.stderr


def test_a_correction_is_a_line_and_drift_has_nothing_to_say(folder: Folder) -> None:
    by_hand(folder, "ip link set enp1s0 vf 3 max_tx_rate 900")
    assert sim(folder, "drift", "host.toml").returncode == ExitCode.CHANGES
    assert watch(folder) == (ExitCode.OK, "int/3: max_tx_rate 900 -> 100 (guest web1)\n", "")
    assert sim(folder, "drift", "host.toml").returncode == ExitCode.OK
    assert watch(folder) == (ExitCode.OK, "", "")


def test_after_the_guest_its_vf_is_as_declared_and_as_new(folder: Folder) -> None:
    by_hand(folder, "ip link set enp1s0 vf 3 trust on")
    assert watch(folder) == (ExitCode.OK, "", "")
    by_hand(folder, "virsh destroy web1")
    assert watch(folder) == (ExitCode.OK, "int/3: trust true -> false (guest web1 had it)\n", "")
    by_hand(folder, "ip link set enp1s0 vf 3 trust on")
    by_hand(folder, "virsh start web1")
    assert watch(folder) == (ExitCode.OK, "int/3: trust true -> false (guest web1)\n", "")


def test_what_is_no_attribute_is_not_its_business(folder: Folder) -> None:
    by_hand(folder, "ip link set enp1s0 mtu 1400")
    folder.write("host.toml", FILE.replace("vfs = 4", "vfs = 7").replace('link = "up"', 'link = "up"\nmtu = 9000'))
    writes = json.loads((folder.path / "host.sim").read_text())["writes"]
    assert writes > 0
    assert watch(folder) == (ExitCode.OK, "", "")
    assert json.loads((folder.path / "host.sim").read_text())["writes"] == writes


def test_libvirt_is_down(folder: Folder) -> None:
    by_hand(folder, "ip link set enp1s0 vf 3 max_tx_rate 900")
    by_hand(folder, "systemctl stop libvirtd")
    code, out, err = watch(folder)
    assert (code, out) == (ExitCode.UNOBSERVED, "")
    assert "none is corrected until it answers" in err


def test_a_guests_name_does_nothing_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    tell("int/3: vlan 4 -> 9 (guest \x1b[2Jx\nint/4: trust)")
    assert capsys.readouterr().out.splitlines() == ["int/3: vlan 4 -> 9 (guest \\x1b[2Jx\\nint/4: trust)"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--host", "snapshot:x", "watch", "host.toml"], ExitCode.USAGE, "A recorded host can't be changed."),
        (["--host", "sim:host.sim", "watch", "nosuch.toml"], ExitCode.USAGE, "nosuch.toml: No such file"),
        (["--host", "sim:host.sim", "watch", "bad.toml", "--once"], ExitCode.INVALID, "bad.toml:1:"),
    ],
)
def test_bad_input(folder: Folder, arguments: list[str], code: int, says: str) -> None:
    folder.write("bad.toml", "schema = 9\n")
    done = folder.run(*arguments)
    assert done.returncode == code
    assert says in done.stderr


def test_this_machine_takes_root(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert folder.run("watch", "host.toml", "--once").returncode == ExitCode.NOT_PERMITTED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it(folder: Folder, number: int) -> None:
    by_hand(folder, "ip link set enp1s0 vf 3 max_tx_rate 900")
    service = Running(folder, "watch", "host.toml")  # type: ignore[arg-type]
    service.until("int/3: max_tx_rate 900 -> 100 (guest web1)")
    service.send(number)
    assert service.end() == ExitCode.OK
    assert service.said.splitlines() == ["int/3: max_tx_rate 900 -> 100 (guest web1)"]
