"""``rehearse``: on a twin of a recorded host, through the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.exit_codes import ExitCode
from reconciler.host.model import Nic, Snapshot
from tests.hosts import FRESH, guest, host, igb
from tests.unit.cli.test_commands import Folder

FILE = """schema = 1
[pf.int]
match = { name = "enp1s0" }
link = "up"
vfs = 4

[domain.web1.nic.data]
vf = "int/3"
mac = "52:54:00:00:00:01"
"""


def busy() -> Snapshot:
    """VF 1 is web1's NIC, which the file declares on VF 3."""
    nic = Nic("interface", "ua-rec-data", "52:54:00:00:00:01", "0000:01:10.2")
    snapshot = host(
        igb(1, 2, up=True, carrier=True, speed=1000),
        domains=[guest("web1", running=True, live=[nic], config=[nic])],
    )
    vf = snapshot.pfs["pci/0000:01:00.0"].vfs[1]
    vf.driver, vf.attributes = "vfio-pci", {**FRESH, "mac": "52:54:00:00:00:01"}
    return snapshot


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    made.write("host.toml", FILE)
    made.record(busy())
    return made


def test_what_a_guest_would_lose_is_told_with_its_time(folder: Folder) -> None:
    before = (folder.path / "host.json").read_bytes()
    done = folder.run("rehearse", "host.toml", "--snapshot", "host.json")
    assert done.returncode == ExitCode.OK, done.stdout
    assert "What running guests would lose:\n  web1  ua-rec-data  enp1s0 vf 1  at " in done.stdout
    assert "VF 3 of 0000:01:00.0 to running guest web1" in done.stdout
    assert "It arrives" in done.stdout
    assert "apply would take --allow guest" in done.stdout
    assert (folder.path / "host.json").read_bytes() == before
    assert sorted(item.name for item in folder.path.iterdir()) == ["host.json", "host.toml"]


def test_a_failure_leaves_behind_what_is_shown(folder: Folder) -> None:
    """The first step takes web1's NIC off: when it fails, the VFs stay."""
    done = folder.run("rehearse", "host.toml", "--snapshot", "host.json", "--fail-at", "1")
    assert done.returncode != ExitCode.OK
    assert "detach from running guest web1 and its definition: FAILED" in done.stdout
    assert "No running guest would lose anything." in done.stdout
    assert "VFs 2 of 7, 1 in use" in done.stdout
    assert "It does not arrive" in done.stdout
    assert "apply again" not in done.stdout


def test_every_step_can_be_the_one_that_fails(folder: Folder) -> None:
    plan = folder.recorded("plan", "host.toml", "--json").stdout
    count = plan.count('"needs"')
    assert count == 4
    for number in range(1, count + 1):
        done = folder.run("rehearse", "host.toml", "--snapshot", "host.json", "--fail-at", str(number))
        assert done.returncode in (ExitCode.FAILED, ExitCode.PARTIAL), (number, done.stdout)
        assert "This is the rehearsed failure." in done.stdout, number


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--fail-at", "99"], ExitCode.USAGE, "There is no such step."),
        (["--fail-at", "0"], ExitCode.USAGE, "fail-at"),
        (["--host", "snapshot:host.json"], ExitCode.USAGE, "--host and --snapshot both say"),
        (["--snapshot", "host.toml"], ExitCode.INVALID, "host.toml is no JSON"),
        (["--snapshot", "nowhere.json"], ExitCode.USAGE, "nowhere.json"),
    ],
)
def test_wrong_usage(folder: Folder, arguments: list[str], code: ExitCode, said: str) -> None:
    done = folder.run("rehearse", "host.toml", "--snapshot", "host.json", *arguments)
    assert done.returncode == code
    assert said in done.stderr


def test_a_plan_that_is_blocked_is_not_rehearsed(folder: Folder) -> None:
    folder.write("host.toml", FILE.replace("vfs = 4", "vfs = 8"))
    done = folder.run("rehearse", "host.toml", "--snapshot", "host.json")
    assert done.returncode == ExitCode.FAILED
    assert "It arrives" not in done.stdout


def test_what_apply_never_does_is_refused(folder: Folder) -> None:
    """web1 keeps its VF, and the count can't be changed under it."""
    folder.write("host.toml", FILE.partition("[domain")[0])
    done = folder.run("rehearse", "host.toml", "--snapshot", "host.json")
    assert done.returncode == ExitCode.REFUSED
    assert "apply would never do this" in done.stderr


def test_a_host_that_is_as_declared(folder: Folder) -> None:
    folder.write("host.toml", FILE.replace("vfs = 4", "vfs = 2").replace("int/3", "int/1"))
    done = folder.run("rehearse", "host.toml", "--snapshot", "host.json")
    assert done.returncode == ExitCode.OK, done.stdout
    assert "Nothing to do" in done.stdout


def test_a_link_that_comes_back_is_not_lost_for_good(folder: Folder) -> None:
    """Another MTU is the last step, and bounces the port that web1's VF is on."""
    file = FILE.replace("vfs = 4", "vfs = 2\nmtu = 1600").replace("int/3", "int/1")
    folder.write("host.toml", file)
    done = folder.run("rehearse", "host.toml", "--snapshot", "host.json")
    assert done.returncode == ExitCode.OK, done.stdout
    assert "What running guests would lose:\n  web1  ua-rec-data  enp1s0 vf 1" in done.stdout
    assert "for good" not in done.stdout
    assert "up, 1000 Mbit/s, MTU 1600" in done.stdout


def test_a_simulated_host_is_rehearsed_without_its_past_and_its_faults(folder: Folder) -> None:
    folder.run("sim", "new", "host.sim", "--profile", "igb-lab")
    on_sim = ("--host", "sim:host.sim")
    assert folder.run(*on_sim, "apply", "host.toml", "--yes").returncode == ExitCode.OK
    for command in ("ip link set enp1s0 down", "ip link set enp1s0 up"):
        assert folder.run("sim", "run", "host.sim", command).returncode == ExitCode.OK
    assert folder.run("sim", "fault", "host.sim", "--at", "1", "--crash").returncode == ExitCode.OK
    before = (folder.path / "host.sim").read_bytes()
    folder.write("host.toml", FILE.replace('mac = "52:54:00:00:00:01"', 'mac = "52:54:00:00:00:01"\nvlan = 7'))
    done = folder.run(*on_sim, "rehearse", "host.toml")
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    assert "No running guest would lose anything." in done.stdout
    assert (folder.path / "host.sim").read_bytes() == before
