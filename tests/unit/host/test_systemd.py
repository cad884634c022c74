"""What systemctl says, and what it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from reconciler.host.local import systemd
from reconciler.host.local.child import NoAnswer
from reconciler.host.local.platform import read_platform
from reconciler.host.local.reader import LocalReader
from reconciler.host.model import Services, Snapshot
from reconciler.host.platform import Service
from reconciler.host.protocol import Asked, HostError, Scope
from tests.unit.host.tree import Tree

Answers = Callable[[Sequence[str]], tuple[int, str, str]]


def unit(name: str, **changed: str) -> str:
    """A block as ``systemctl show`` of systemd 257 prints it."""
    values = {
        "Type": "simple",
        "RemainAfterExit": "no",
        "Id": f"{name}.service",
        "Names": f"{name}.service",
        "RequiredBy": "",
        "WantedBy": "multi-user.target",
        "UpheldBy": "",
        "TriggeredBy": "",
        "LoadState": "loaded",
        "ActiveState": "active",
        "SubState": "running",
        "UnitFileState": "enabled",
        "ActiveEnterTimestampMonotonic": "1000",
    }
    return "\n".join(f"{key}={value}" for key, value in {**values, **changed}.items())


GONE = {"Type": "", "LoadState": "not-found", "ActiveState": "inactive", "SubState": "dead", "UnitFileState": ""}


class Systemctl:
    """Stands for systemctl and journalctl: says what `answers` has for the first words of a command."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: dict[str, str | tuple[int, str]]) -> None:
        self.answers, self.asked = answers, list[list[str]]()
        monkeypatch.setattr(systemd, "run", self.run)

    def run(self, argv: Sequence[str], seconds: float) -> CompletedProcess[str]:
        self.asked.append([*argv])
        line = " ".join(argv)
        said = next((answer for start, answer in self.answers.items() if start in line), "")
        code, err = said if isinstance(said, tuple) else (0, "")
        return CompletedProcess([*argv], code, said if isinstance(said, str) else "", err)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    Tree(tmp_path)
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    return tmp_path


def test_nothing_is_asked_for_no_names(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Systemctl(monkeypatch, {})
    assert systemd.read_services(root, (), []) == Services()
    assert asked.asked == []


def test_where_systemd_does_not_run(tmp_path: Path) -> None:
    notes: list[str] = []
    assert systemd.read_services(tmp_path, ["a"], notes).units is None
    assert notes == ["Services are not known: systemd does not run here (there is no /run/systemd/system)."]
    with pytest.raises(HostError, match="Services can't be set"):
        systemd.set_service(tmp_path, "a.service", True, 1.0)


def test_only_those_that_are_asked_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ssh = unit("ssh", Names="ssh.service sshd.service", Type="notify")
    asked = Systemctl(monkeypatch, {"show": f"{ssh}\n\n{unit('a', WantedBy='', RequiredBy='b.target')}\n"})
    found = systemd.read_services(root, ["sshd", "a"], []).units or {}
    assert [(name, service.unit) for name, service in found.items()] == [("sshd", "ssh.service"), ("a", "a.service")]
    assert (found["a"].wanted_by, found["a"].settled, found["a"].once) == (["b.target"], True, False)
    assert asked.asked[0][-3:] == ["--", "sshd.service", "a.service"]
    assert len(asked.asked) == 1


def test_what_triggers_counts_when_it_may(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sockets = (
        "Id=a.socket\nActiveState=inactive\nUnitFileState=disabled\n\n"
        "Id=b.socket\nActiveState=active\nUnitFileState=disabled\n\n"
        "Id=c.timer\nActiveState=inactive\nUnitFileState=enabled\n"
    )
    answers = {"Id,ActiveState,UnitFileState": sockets, "show": unit("a", TriggeredBy="a.socket b.socket c.timer")}
    Systemctl(monkeypatch, dict(answers))
    found = systemd.read_services(root, ["a"], []).units or {}
    assert found["a"].triggered_by == ["b.socket", "c.timer"]


def test_one_that_is_missing_brings_the_names_of_all(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = "irqbalance.service enabled enabled\ngetty@.service enabled enabled\nssh.service enabled -\n"
    Systemctl(monkeypatch, {"list-unit-files": files, "show": unit("irqblance", **GONE)})
    found = systemd.read_services(root, ["irqblance"], [])
    assert (found.units or {})["irqblance"].load == "not-found"
    assert found.names == ["irqbalance", "ssh"]


def test_one_that_failed_has_its_last_words(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = unit("a", ActiveState="failed", SubState="failed", Type="oneshot", RemainAfterExit="no")
    Systemctl(monkeypatch, {"show": failed, "--unit=a.service": f"no such card\n\n{'x' * 500}\n"})
    found = (systemd.read_services(root, ["a"], []).units or {})["a"]
    assert found.words == ["no such card", "x" * 200]
    assert found.once


def test_one_that_was_started_just_now_is_not_settled(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd.time, "monotonic", lambda: 100.0)
    Systemctl(monkeypatch, {"show": unit("a", ActiveEnterTimestampMonotonic="99500000")})
    assert not (systemd.read_services(root, ["a"], []).units or {})["a"].settled


def test_all_of_them_for_a_snapshot(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = "\n\n".join(
        [unit("ssh", Names="ssh.service sshd.service"), unit("gone", **GONE), unit("t@1", UnitFileState="transient")]
    )
    answers = {
        "*.service": loaded,
        "list-unit-files": "ssh.service enabled -\nidle.service disabled -\nt@.service static -\n",
        "idle.service": unit("idle", ActiveState="inactive", UnitFileState="disabled"),
    }
    Systemctl(monkeypatch, dict(answers))
    found = systemd.read_services(root, None, [])
    assert found.complete
    assert list(found.units or {}) == ["idle", "ssh", "sshd"]


@pytest.mark.parametrize("error", [NoAnswer(7), FileNotFoundError(2, "No such file or directory")])
def test_a_systemd_that_does_not_answer_is_unknown(
    root: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(argv: Sequence[str], seconds: float) -> CompletedProcess[str]:
        raise error

    monkeypatch.setattr(systemd, "run", fail)
    notes: list[str] = []
    assert systemd.read_services(root, ["a"], notes).units is None
    assert notes[0].startswith("Services are not known: systemctl failed: ")
    assert read_platform(root).services is None
    assert systemd.last_words("a.service") == []


def test_a_refusal_of_the_bus_is_unknown(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Systemctl(monkeypatch, {"show": (1, "Failed to connect to system scope bus: Operation not permitted\n")})
    notes: list[str] = []
    assert systemd.read_services(root, ["a"], notes).units is None
    assert "Failed to connect" in notes[0]


def test_doctor_reads_them_the_same_way(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Systemctl(monkeypatch, {"show": unit("NetworkManager", ActiveState="inactive")})
    assert read_platform(root).services == {"NetworkManager": Service(active=False, enabled=True)}
    assert asked.asked[0][-1] == "NetworkManager.service"
    Systemctl(monkeypatch, {"show": unit("NetworkManager", **GONE)})
    assert read_platform(root).services == {}


def test_one_is_read_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = LocalReader("qemu:///system", root, Asked(services=["a", "b"]))
    snapshot = Snapshot()
    Systemctl(monkeypatch, {"show": f"{unit('a')}\n\n{unit('b')}"})
    reader.refresh(snapshot, Scope("service", "a"))
    Systemctl(monkeypatch, {"show": unit("b", ActiveState="failed")})
    reader.refresh(snapshot, Scope("service", "b"))
    assert {name: service.active for name, service in (snapshot.services.units or {}).items()} == {
        "a": "active",
        "b": "failed",
    }


def test_starting_forgets_earlier_failures_first(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Systemctl(monkeypatch, {"reset-failed": (1, "Unit a.service not loaded.")})
    systemd.set_service(root, "a.service", True, 5.0)
    systemd.set_service(root, "a.service", False, 5.0)
    systemd.set_service_at_boot(root, "a.service", True)
    systemd.set_service_at_boot(root, "a.service", False)
    told = [line for line in asked.asked if line[1] != "is-system-running"]
    assert [line[1] for line in told] == ["reset-failed", "start", "stop", "enable", "disable"]
    assert all(line[-2:] == ["--", "a.service"] for line in told)


BOOTING = {"is-system-running": "starting\n", "list-jobs": "7 a.service start waiting\n8 b.service start running\n"}


def test_in_the_boot_nobody_waits_for_a_service_that_waits_for_us(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Systemctl(monkeypatch, dict(BOOTING))
    monkeypatch.setattr(systemd, "_TURN", 0.0)
    with pytest.raises(HostError, match="waits for its turn") as left:
        systemd.set_service(root, "a.service", True, 100.0)
    assert "systemd starts it when they are through" in left.value.detail
    assert ["systemctl", "start", "--no-block", "--no-ask-password", "--", "a.service"] in asked.asked
    systemd.set_service(root, "b.service", True, 100.0)


def test_services_that_the_boot_is_yet_to_start(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = "\n\n".join(unit(name) for name in ("a", "b", "c"))
    Systemctl(monkeypatch, {**BOOTING, "show": shown})
    assert systemd.queued(root, ["a", "b", "c"]) == ["a"]
    assert systemd.queued(root, []) == []
    Systemctl(monkeypatch, {**BOOTING, "is-system-running": "running\n", "show": shown})
    assert systemd.queued(root, ["a"]) == []


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("Job for a.service failed because of X.\nSee systemctl status.\n", 1),
        ("Failed to start a.service: Access denied\n", 77),
        ("Synchronizing state with SysV\nFailed to start a.service: Interactive authentication required.\n", 77),
    ],
)
def test_a_refusal_has_systemds_words_and_the_log(
    root: Path, monkeypatch: pytest.MonkeyPatch, said: str, code: int
) -> None:
    Systemctl(monkeypatch, {" start ": (1, said), "--unit=a.service": "no such card\n"})
    with pytest.raises(HostError) as refused:
        systemd.set_service(root, "a.service", True, 5.0)
    assert refused.value.code == code
    first = next(line for line in said.splitlines() if line.startswith(("Job", "Failed"))).rstrip(".")
    assert refused.value.detail == f"a.service could not be started: {first}. Its log: no such card."


def test_one_that_takes_too_long(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(argv: Sequence[str], seconds: float) -> CompletedProcess[str]:
        if argv[1] == "stop":
            raise NoAnswer(7)
        return CompletedProcess([*argv], 0, "", "")

    monkeypatch.setattr(systemd, "run", slow)
    with pytest.raises(HostError, match="did not end in time"):
        systemd.set_service(root, "a.service", False, 5.0)
