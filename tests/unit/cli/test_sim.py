"""``reconciler sim``."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cli.main import run
from reconciler.exit_codes import ExitCode
from reconciler.host.snapshot import dump
from tests import hosts

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_new_makes_and_never_overwrites(folder: Path, capsys: Capture) -> None:
    assert run(["sim", "new", "x", "--profile", "igb-lab"]) == ExitCode.OK
    before = (folder / "x").read_bytes()
    assert run(["sim", "new", "x", "--profile", "x710"]) == ExitCode.FAILED
    assert (folder / "x").read_bytes() == before
    assert "never overwritten" in capsys.readouterr().err


def test_new_from_a_snapshot_and_from_a_profile_of_ones_own(folder: Path) -> None:
    (folder / "host.json").write_text(dump(hosts.host(hosts.igb(1, 3, up=True))))
    assert run(["sim", "new", "x", "--snapshot", "host.json"]) == ExitCode.OK
    assert run(["--host", "sim:x", "inspect"]) == ExitCode.OK
    (folder / "own.toml").write_text('title = "none"\nhost.name = "bare"\n')
    assert run(["sim", "new", "y", "--profile", "own.toml"]) == ExitCode.OK


def test_a_plan_ends_with_the_command_for_this_very_host(folder: Path, capsys: Capture) -> None:
    assert run(["sim", "new", "x", "--profile", "igb-lab"]) == ExitCode.OK
    (folder / "host.toml").write_text('schema = 1\n[pf.int]\nmatch = { name = "enp1s0" }\nvfs = 2\n')
    assert run(["--host", "sim:x", "plan", "host.toml"]) == ExitCode.OK
    assert capsys.readouterr().out.endswith("    reconciler --host sim:x apply host.toml\n")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["sim", "new", "x"], 64, "Give one of --profile and --snapshot"),
        (["sim", "new", "x", "--profile", "igb-lab", "--snapshot", "y"], 64, "Give one of"),
        (["sim", "new", "x", "--profile", "nosuch"], 64, "igb-lab"),
        (["sim", "new", "x", "--snapshot", "nosuch"], 64, "No such file"),
        (["sim", "new", "x", "--snapshot", "text"], 65, "is no JSON"),
        (["sim", "new", "x", "--snapshot", "newer"], 65, "reconciler-snapshot/2"),
        (["sim", "new", "x", "--snapshot", "elsewhere"], 65, "The snapshot can't be read."),
        (["sim", "new", "x", "--snapshot", "elsewhere"], 65, "is not a PF such as"),
        (["sim", "new", "x", "--profile", "igb-lab", "--pace", "-1"], 64, "--pace"),
        (["sim", "new", "x", "--profile", "igb-lab", "--pace", "1e400"], 64, "--pace inf"),
        (["--host", "sim:/dev/zero", "inspect"], 64, "/dev/zero is no regular file"),
        (["--host", "snapshot:twin", "inspect"], 65, "--host sim:twin"),
        (["sim", "new", "x", "--profile", "./text.toml"], 65, "./text.toml"),
        (["--host", "sim:nosuch", "plan", "a.toml"], 64, "reconciler sim new nosuch"),
        (["--host", "sim:text", "inspect"], 65, "is no JSON"),
        (["--host", "sim:newer", "inspect"], 65, "no reconciler-sim/1"),
        (["sim", "run", "nosuch", "reboot"], 64, "nosuch"),
        (["sim", "run", "twin", "rm", "-rf", "/"], 64, "What can be done:"),
        (["sim", "fault", "twin"], 64, "--at N"),
        (["sim", "fault", "twin", "--at", "1", "--errno", "ENOSUCH"], 64, "no such error"),
        (["sim", "fault", "twin", "--at", "1", "--hang", "--crash"], 64, "one of"),
        (["sim", "fault", "twin", "--clear", "--hang"], 64, "stands alone"),
        (["sim", "fault", "twin", "--at", "1", "--do", "rm -rf /"], 64, "not something that can be done"),
        (["sim", "nosuch"], 64, "nosuch"),
    ],
)
def test_bad_input(folder: Path, capsys: Capture, arguments: list[str], code: int, says: str) -> None:
    run(["sim", "new", "twin", "--profile", "igb-lab"])
    (folder / "text").write_text("no JSON")
    (folder / "newer").write_text('{"format": "reconciler-snapshot/2"}')
    (folder / "elsewhere").write_text(
        '{"format": "reconciler-snapshot/1", "pfs": {"pci/x": {"bus": "pci", "device": "x", "netdev": "n"}}}'
    )
    (folder / "text.toml").write_text("title = ")
    (folder / "a.toml").write_text("schema = 1\n")
    assert run(arguments) == code
    said = capsys.readouterr().err
    assert says in said
    assert "Traceback" not in said


def test_a_failed_command_prints_what_the_kernel_says(folder: Path, capsys: Capture) -> None:
    run(["sim", "new", "x", "--profile", "igb-lab"])
    assert run(["sim", "run", "x", "echo 3 > /sys/class/net/enp1s0/device/sriov_numvfs"]) == ExitCode.OK
    assert run(["sim", "run", "x", "echo 5 > /sys/class/net/enp1s0/device/sriov_numvfs"]) == ExitCode.FAILED
    assert "Device or resource busy" in capsys.readouterr().err
    assert run(["sim", "run", "x", "modprobe", "-r", "igbvf"]) == ExitCode.OK
    assert run(["sim", "run", "x", "modprobe", "nosuch"]) == ExitCode.FAILED


def test_faults_are_set_and_cleared(folder: Path) -> None:
    run(["sim", "new", "x", "--profile", "igb-lab"])
    assert run(["sim", "fault", "x", "--at", "3", "--errno", "EIO"]) == ExitCode.OK
    assert run(["sim", "fault", "x", "--at", "4", "--do", "virsh shutdown web1", "--after"]) == ExitCode.OK
    assert '"kind": "errno"' in (folder / "x").read_text()
    assert '"command": "virsh shutdown web1"' in (folder / "x").read_text()
    assert run(["sim", "fault", "x", "--clear"]) == ExitCode.OK
    assert '"faults": []' in (folder / "x").read_text()


def test_profiles_are_listed_each_on_a_line(capsys: Capture) -> None:
    assert run(["sim", "profiles"]) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} == {"bnxt", "connectx5", "e810", "igb-lab", "r620-x520", "x710"}
