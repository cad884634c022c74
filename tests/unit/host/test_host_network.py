"""The two files of our own that keep NetworkManager and networkd off VFs, and who has VFs all the same."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from reconciler.host.local import host_network
from reconciler.host.local.child import NoAnswer
from reconciler.host.local.host_network import NETWORK, RULES, read_host_network, write_host_network
from reconciler.host.model import HostNetwork, Pf
from reconciler.host.protocol import HostError
from tests.unit.host.tree import Tree

ADDRESS, VF = "0000:01:00.0", "0000:01:10.0"
PFS = {f"pci/{ADDRESS}": Pf("pci", ADDRESS, "enp1s0")}
INT = f"pci/{ADDRESS}"


class Commands:
    """Stands in for every command: notes it and answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, running: Sequence[str] = (), **answers: str) -> None:
        self.asked: list[str] = []
        self.running, self.answers = running, answers
        monkeypatch.setattr(host_network, "run", self)

    def __call__(self, argv: Sequence[str], seconds: float) -> subprocess.CompletedProcess[str]:
        assert seconds > 0
        if argv[0] == "systemctl":
            active = argv[-1].removesuffix(".service") in self.running
            word = self.answers.get("systemctl", "active" if active else "inactive")
            return subprocess.CompletedProcess(argv, int(not active), f"{word}\n", "")
        self.asked.append(" ".join(argv))
        answer = self.answers.get(argv[0], "")
        if answer == "missing":
            raise FileNotFoundError
        if answer == "silent":
            raise NoAnswer
        return subprocess.CompletedProcess(argv, int(answer.startswith("!")), answer, answer)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A PF with a VF that has a netdev, on a running systemd with udev."""
    tree = Tree(tmp_path)
    tree.pf(vfs=1)
    tree.netdev("enp1s0v0", f"sys/devices/pci/{VF}")
    tree.write("run/udev/control", "")
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    return tmp_path


def state(root: Path, word: str) -> None:
    index = (root / "sys/class/net/enp1s0v0/ifindex").read_text().strip()
    path = root / "run/systemd/netif/links" / index
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# private\nADMIN_STATE={word}\nOPER_STATE=off\n")


def test_written_read_and_removed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_network, "_MOMENT", 0.01)
    commands = Commands(monkeypatch, ["systemd-networkd"])
    assert read_host_network(root, PFS, []) == HostNetwork([])
    write_host_network(root, [INT, "pci/0000:02:00.0"], 10.0)
    assert read_host_network(root, PFS, []) == HostNetwork([INT, "pci/0000:02:00.0"])
    for name in (RULES, NETWORK):
        assert (root / name).read_text().startswith("# Written by reconciler")
    assert commands.asked == [
        "udevadm control --reload",
        "udevadm trigger --settle --action=change -- /sys/class/net/enp1s0v0",
        "networkctl reload",
    ]
    write_host_network(root, [], 10.0)
    assert not (root / RULES).exists()
    assert not (root / NETWORK).exists()
    assert commands.asked[3:] == [
        "udevadm control --reload",
        "udevadm trigger --settle --action=change -- /sys/class/net/enp1s0v0",  # Whose mark goes.
        "networkctl reconfigure -- enp1s0v0",
        "networkctl reconfigure -- enp1s0v0",  # It has not taken it yet.
    ]


def test_nobody_is_told_who_does_not_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = Commands(monkeypatch)
    (root / "run/udev/control").unlink()
    write_host_network(root, [INT], 10.0)
    assert commands.asked == []


def test_a_networkd_that_read_its_files_too_early_is_asked_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = Commands(monkeypatch, ["systemd-networkd"])
    monkeypatch.setattr(host_network, "_MOMENT", 0.01)
    state(root, "configured")
    write_host_network(root, [INT], 10.0)
    assert commands.asked[-1] == "networkctl reconfigure -- enp1s0v0"


@pytest.mark.parametrize(
    ("word", "running", "managed"),
    [
        ("configuring", ["systemd-networkd"], {VF: "systemd-networkd"}),
        ("configured", [], {}),  # Its files stay when it is stopped.
        ("unmanaged", ["systemd-networkd"], {}),
    ],
)
def test_what_networkd_manages(
    root: Path, monkeypatch: pytest.MonkeyPatch, word: str, running: list[str], managed: dict[str, str]
) -> None:
    Commands(monkeypatch, running)
    state(root, word)
    assert read_host_network(root, PFS, []).managed == managed


@pytest.mark.parametrize(
    ("answer", "managed", "known"),
    [
        ("GENERAL.DEVICE:enp1s0v0\nGENERAL.STATE:30 (disconnected)\n\nGENERAL.DEVICE:lo\nGENERAL.STATE:100 (x)\n",
         {VF: "NetworkManager"}, True),
        ("GENERAL.DEVICE:enp1s0v0\nGENERAL.STATE:10 (unmanaged)\n", {}, True),
        ("silent", {}, False),
        ("missing", {}, False),
        ("!no", {}, False),
    ],
)  # fmt: skip
def test_what_networkmanager_manages(
    root: Path, monkeypatch: pytest.MonkeyPatch, answer: str, managed: dict[str, str], known: bool
) -> None:
    Commands(monkeypatch, ["NetworkManager"], nmcli=answer)
    (root / "run/NetworkManager").mkdir(parents=True)
    said: list[str] = []
    found = read_host_network(root, PFS, said)
    assert found.managed == managed
    assert (found.ignored is not None, said == []) == (known, known)


def test_half_of_it_is_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Commands(monkeypatch)
    write_host_network(root, [INT], 10.0)
    (root / NETWORK).write_text((root / NETWORK).read_text().replace("yes", "no"))
    assert read_host_network(root, PFS, []).ignored == []


def test_files_of_others_are_left_alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = Commands(monkeypatch)
    (root / RULES).parent.mkdir(parents=True)
    (root / RULES).write_text("# mine\n")
    with pytest.raises(HostError, match="not written by reconciler"):
        write_host_network(root, [INT], 10.0)
    assert (root / RULES).read_text() == "# mine\n"
    assert commands.asked == []


@pytest.mark.parametrize(("answer", "code"), [("!Access denied", 77), ("!boom", 1), ("missing", 1), ("silent", 1)])
def test_a_command_that_fails(root: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int) -> None:
    Commands(monkeypatch, udevadm=answer)
    with pytest.raises(HostError) as caught:
        write_host_network(root, [INT], 10.0)
    assert caught.value.code == code


def test_a_systemd_that_does_not_say_who_runs_leaves_it_unknown(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Commands(monkeypatch, systemctl="")
    state(root, "configured")
    said: list[str] = []
    assert read_host_network(root, PFS, said).ignored is None
    assert "systemctl says" in said[0]
    with pytest.raises(HostError, match="could not be told"):
        write_host_network(root, [INT], 10.0)
    assert not (root / RULES).exists()


def test_networkmanager_lets_go_of_what_it_has(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    has = "GENERAL.DEVICE:enp1s0v0\nGENERAL.STATE:70 (connecting)\n\nGENERAL.DEVICE:enp1s0\nGENERAL.STATE:100 (x)\n"
    commands = Commands(monkeypatch, ["NetworkManager"], nmcli=has)
    (root / "run/NetworkManager").mkdir(parents=True)
    write_host_network(root, [INT], 10.0)
    assert commands.asked[-1] == "nmcli device set ifname enp1s0v0 managed no"


def networkmanager(root: Path, monkeypatch: pytest.MonkeyPatch, *states: int) -> Commands:
    """NetworkManager with these states of the VF, one after the other."""
    (root / "run/NetworkManager").mkdir(parents=True, exist_ok=True)
    commands = Commands(monkeypatch, ["NetworkManager"])
    left = list(states)

    def answer(argv: Sequence[str], seconds: float) -> subprocess.CompletedProcess[str]:
        if argv[:2] == ["nmcli", "-t"]:
            shown = f"GENERAL.DEVICE:enp1s0v0\nGENERAL.STATE:{left.pop(0)} (x)\n"
            return subprocess.CompletedProcess(argv, 0, shown, "")
        return commands(argv, seconds)

    monkeypatch.setattr(host_network, "run", answer)
    return commands


def test_networkmanager_gets_back_what_it_had(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = networkmanager(root, monkeypatch, 70, 10, 10, 10)
    for pfs in ([INT], [INT, "pci/0000:02:00.0"]):  # It is known also after it is written once more.
        write_host_network(root, pfs, 10.0)
        assert f"# NetworkManager had these VFs of {ADDRESS}: {VF}\n" in (root / RULES).read_text()
    assert [asked for asked in commands.asked if "nmcli" in asked] == ["nmcli device set ifname enp1s0v0 managed no"]
    write_host_network(root, ["pci/0000:02:00.0"], 10.0)
    assert commands.asked[-1] == "nmcli device set ifname enp1s0v0 managed yes"
    assert "had" not in (root / RULES).read_text()


@pytest.mark.parametrize(("before", "after"), [(10, 10), (70, 30)])
def test_what_it_did_not_have_or_has_again_is_left_as_it_is(
    root: Path, monkeypatch: pytest.MonkeyPatch, before: int, after: int
) -> None:
    commands = networkmanager(root, monkeypatch, before, after)
    write_host_network(root, [INT], 10.0)
    write_host_network(root, [], 10.0)
    assert not any("managed yes" in asked for asked in commands.asked)


def test_networkd_reads_its_files_only_when_ours_is_new_to_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = Commands(monkeypatch, ["systemd-networkd"])
    monkeypatch.setattr(host_network, "_MOMENT", 0.01)
    write_host_network(root, [INT], 10.0)
    del commands.asked[:]
    write_host_network(root, [INT, "pci/0000:02:00.0"], 10.0)
    assert not any("networkctl" in asked for asked in commands.asked)
    state(root, "configured")  # It has not read our file, though that is there.
    write_host_network(root, [INT], 10.0)
    assert commands.asked[-2:] == ["networkctl reload", "networkctl reconfigure -- enp1s0v0"]
    del commands.asked[:]
    write_host_network(root, [], 10.0)
    assert commands.asked[2:] == ["networkctl reconfigure -- enp1s0v0"]
