"""The real executor, and the commands, on a twin: what it was made for."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.host.twin import state
from reconciler.host.twin.host import read_twin
from reconciler.host.twin.profiles import make_from

STATES = Path(__file__).parents[4] / "states"


class Folder:
    """A folder with a simulated host in it."""

    def __init__(self, path: Path, profile: str) -> None:
        self.path = path
        state.save(make_from(profile), path / "x")

    def run(self, *arguments: str, code: int = 0) -> str:
        """One command; returns all that it said."""
        done = subprocess.run(
            [sys.executable, "-m", "reconciler", *arguments],
            cwd=self.path,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def on(self, *arguments: str, code: int = 0) -> str:
        """One command on the simulated host."""
        return self.run("--host", "sim:x", *arguments, code=code)


@pytest.fixture
def lab(tmp_path: Path) -> Folder:
    """The igb lab."""
    return Folder(tmp_path, "igb-lab")


LAB = str(STATES / "lab.toml")


@pytest.mark.parametrize(("profile", "file"), [("igb-lab", "lab.toml"), ("r620-x520", "r620-x520.toml")])
def test_the_example_states_converge_on_their_profiles(tmp_path: Path, profile: str, file: str) -> None:
    folder, path = Folder(tmp_path, profile), str(STATES / file)
    folder.on("apply", path, "--yes")
    folder.on("plan", path, "--detailed-exitcode")
    folder.on("drift", path)
    before = (tmp_path / "x").read_bytes()
    folder.on("apply", path, "--yes")
    assert (tmp_path / "x").read_bytes() == before, "a second apply writes nothing"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["x", "x.state"]


def test_what_somebody_changes_is_drift_and_is_mended(lab: Folder) -> None:
    lab.on("apply", LAB, "--yes")
    lab.run("sim", "run", "x", "ip", "link", "set", "enp1s0", "vf", "5", "max_tx_rate", "333")
    lab.run("sim", "run", "x", "virsh", "net-autostart", "sriov-ext", "--disable")
    assert "333" in lab.on("drift", LAB, code=2)
    lab.on("apply", LAB, "--yes")
    lab.on("drift", LAB)


def test_after_a_reboot_everything_is_made_again(lab: Folder) -> None:
    lab.on("apply", LAB, "--yes")
    lab.run("sim", "run", "x", "reboot")
    lab.on("drift", LAB, code=2)
    lab.on("apply", LAB, "--yes")
    lab.on("plan", LAB, "--detailed-exitcode")


def test_a_kill_in_the_middle_converges_with_the_next_run(lab: Folder) -> None:
    for number in (3, 9, 5):
        lab.run("sim", "fault", "x", "--at", str(number), "--crash", *(["--after"] if number == 9 else []))
        lab.on("apply", LAB, "--yes", code=-signal.SIGKILL)
    said = lab.on("apply", LAB, "--yes")
    assert "was interrupted" in said
    lab.on("plan", LAB, "--detailed-exitcode")


@pytest.mark.parametrize("way", ["resume", "rollback"])
@pytest.mark.parametrize("number", [4, 6, 8, 11, 14])
def test_a_kill_within_a_round_of_two_pfs(lab: Folder, number: int, way: str) -> None:
    """Some orders of the round were carried out, and all of them are on record as begun."""
    pf = (
        'match = {{ name = "enp{0}s0" }}\nlink = "up"\nvfs = 3\nvf_driver = "vfio-pci"\n'
        "vf_defaults = {{ trust = true }}\n"
    )
    text = "".join(f"[pf.p{n}]\n{pf.format(n)}" for n in (1, 2))
    (lab.path / "two.toml").write_text(f"schema = 1\n{text}")
    before = [(pf.num_vfs, pf.up, pf.autoprobe) for pf in read_twin(lab.path / "x").pfs.values()]
    lab.run("sim", "fault", "x", "--at", str(number), "--crash")
    lab.on("apply", "two.toml", "--yes", code=-signal.SIGKILL)
    if way == "resume":
        assert "was interrupted" in lab.on("apply", "two.toml", "--yes")
        lab.on("plan", "two.toml", "--detailed-exitcode")
    else:
        lab.on("rollback", "--yes")
        assert [(pf.num_vfs, pf.up, pf.autoprobe) for pf in read_twin(lab.path / "x").pfs.values()] == before


def test_a_write_that_fails_stops_what_needs_it_and_the_rest_goes_on(lab: Folder) -> None:
    lab.run("sim", "fault", "x", "--at", "4", "--errno", "ENOMEM")
    said = lab.on("apply", LAB, "--yes", code=4)
    assert "Cannot allocate memory" in said
    twin = read_twin(lab.path / "x")
    assert [len(pf.vfs) for pf in twin.pfs.values()] == [0, 7, 0]
    lab.on("apply", LAB, "--yes")


def test_a_write_that_hangs_ends_at_its_deadline(lab: Folder) -> None:
    lab.run("sim", "fault", "x", "--at", "4", "--hang")
    assert "hangs in the kernel" in lab.on("apply", LAB, "--yes", code=4)
    lab.run("sim", "fault", "x", "--clear")
    lab.on("apply", LAB, "--yes")


def test_a_guest_that_does_not_answer_keeps_what_it_has(lab: Folder) -> None:
    text = '[pf.int]\nmatch = { name = "enp1s0" }\nlink = "up"\nvfs = 2\nvf_driver = "none"\n'
    nic = '[domain.idle1.nic.n]\nvf = "int/0"\nmac = "52:54:00:6d:90:09"\n'
    (lab.path / "with.toml").write_text(f"schema = 1\n{text}{nic}")
    (lab.path / "without.toml").write_text(f'schema = 1\n{text}[domain.idle1.nic.n]\nstate = "absent"\n')
    lab.run("sim", "run", "x", "virsh", "start", "idle1")
    lab.on("apply", "with.toml", "--yes")
    assert "has not answered" in lab.on("apply", "without.toml", "--yes", "--allow", "guest", code=4)
    domain = read_twin(lab.path / "x").libvirt.domains["idle1"]
    assert (len(domain.live), len(domain.config)) == (1, 1)


def test_a_new_count_that_fails_puts_the_guests_nic_back_and_says_only_that(lab: Folder) -> None:
    text = '[pf.int]\nmatch = {{ name = "enp1s0" }}\nlink = "up"\nvfs = {vfs}\nvf_driver = "none"\n'
    nic = '[domain.web1.nic.n]\nvf = "int/0"\nmac = "52:54:00:6d:90:09"\n'
    for vfs in (2, 4):
        (lab.path / f"{vfs}.toml").write_text(f"schema = 1\n{text.format(vfs=vfs)}{nic}")
    lab.on("apply", "2.toml", "--yes")
    lab.run("sim", "fault", "x", "--at", "3", "--errno", "ENOMEM")
    said = lab.on("apply", "4.toml", "--yes", "--allow", "guest", code=4)
    assert "Cannot allocate memory" in said
    assert "Guest web1 was without its NIC ua-rec-n (MAC 52:54:00:6d:90:09), which was put back." in said
    assert "has not answered" not in said
    twin = read_twin(lab.path / "x")
    assert [nic.mac for nic in twin.libvirt.domains["web1"].live] == ["52:54:00:6d:90:09"]
    assert [len(pf.vfs) for pf in twin.pfs.values()] == [2, 0, 0]

    lab.run("sim", "fault", "x", "--at", "2", "--errno", "ENOMEM")
    said = lab.on("apply", "4.toml", "--yes", "--allow", "guest", code=4)
    assert "Failed: pf.int: remove all VFs" in said
    assert "Failed: domain.web1.nic.n" not in said, "it was attached again, as the plan has it"
    assert [nic.mac for nic in read_twin(lab.path / "x").libvirt.domains["web1"].live] == ["52:54:00:6d:90:09"]


def test_a_card_that_is_pulled_in_the_middle_is_said_to_be_gone(lab: Folder) -> None:
    text = '[pf.int]\nmatch = {{ name = "enp1s0" }}\nlink = "up"\nvfs = {vfs}\nvf_driver = "none"\n'
    nic = '[domain.web1.nic.n]\nvf = "int/0"\nmac = "52:54:00:6d:90:09"\n'
    for vfs in (2, 4):
        (lab.path / f"{vfs}.toml").write_text(f"schema = 1\n{text.format(vfs=vfs)}{nic}")
    lab.on("apply", "2.toml", "--yes")
    lab.run("sim", "fault", "x", "--at", "2", "--after", "--do", "pull enp1s0")
    said = lab.on("apply", "4.toml", "--yes", "--allow", "guest", code=4)
    assert "The PF is gone. pci/0000:01:00.0 was there when the plan was made and is not there now." in said
    assert "guest web1 is WITHOUT its NIC ua-rec-n (MAC 52:54:00:6d:90:09): The PF is gone." in said
    assert "needs undo" not in said
