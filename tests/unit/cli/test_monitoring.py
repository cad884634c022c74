"""What monitoring gets of a check: a file of metrics, and fields in systemd's journal."""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from reconciler.cli import monitoring, systemd_journal
from reconciler.exit_codes import ExitCode
from tests.unit.cli.inside import Inside

SIM = ("--host", "sim:host.sim")
FILE = """schema = 1
[pf.int]
match = { name = "enp1s0" }
link = "up"
vfs = 2
[pf.int.vf.0]
vlan = 100
[pf.int.vf.1]
max_tx_rate = 50
"""


@pytest.fixture
def applied(tmp_path: Path) -> Inside:
    """A simulated host that is as its file says."""
    made = Inside(tmp_path)
    made.write("host.toml", FILE)
    assert made.run("sim", "new", "host.sim", "--profile", "igb-lab").returncode == ExitCode.OK
    assert made.run(*SIM, "apply", "host.toml", "--yes").returncode == ExitCode.OK
    return made


def metrics(folder: Inside, name: str = "r.prom") -> dict[str, float]:
    """Without those of fields."""
    return {
        sample.name.removeprefix("reconciler_"): sample.value
        for family in text_string_to_metric_families((folder.path / name).read_text())
        for sample in family.samples
        if not sample.labels
    }


def test_metrics_say_what_drift_says(applied: Inside) -> None:
    drift = (*SIM, "drift", "host.toml", "--metrics", "r.prom")
    plain = applied.run(*SIM, "drift", "host.toml")
    done = applied.run(*drift)
    assert (done.returncode, done.stdout, done.stderr) == (ExitCode.OK, plain.stdout, "")
    assert stat.S_IMODE((applied.path / "r.prom").stat().st_mode) == 0o644
    found = metrics(applied)
    assert (found["in_sync"], found["last_check_exit_code"]) == (1, 0)
    assert 0 < found["last_apply_timestamp_seconds"] <= found["last_check_timestamp_seconds"]

    applied.run("sim", "run", "host.sim", "ip", "link", "set", "enp1s0", "vf", "0", "vlan", "7")
    assert applied.run(*drift, "--json").returncode == ExitCode.CHANGES
    assert (metrics(applied)["in_sync"], metrics(applied)["last_check_exit_code"]) == (0, 2)
    assert sorted(os.listdir(applied.path)) == sorted(
        ["host.json", "host.sim", "host.sim.state", "host.toml", "r.prom"]
    )


def test_a_check_that_fails_leaves_no_old_answer(applied: Inside) -> None:
    drift = (*SIM, "drift", "host.toml", "--metrics", "r.prom")
    assert applied.run(*drift).returncode == ExitCode.OK
    before = metrics(applied)
    applied.write("host.toml", "x =")
    assert applied.run(*drift).returncode == ExitCode.INVALID
    found = metrics(applied)
    assert (found["in_sync"], found["last_check_exit_code"]) == (0, ExitCode.INVALID)
    assert found["last_apply_timestamp_seconds"] == before["last_apply_timestamp_seconds"]
    (applied.path / "host.toml").unlink()
    assert applied.run(*drift).returncode == ExitCode.USAGE
    assert metrics(applied)["last_check_exit_code"] == ExitCode.USAGE


def test_a_fault_of_ours_is_measured_too(applied: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("reconciler.plan.drift.find_drift", broken)
    with pytest.raises(AssertionError, match="Something unexpected happened"):
        applied.run(*SIM, "drift", "host.toml", "--metrics", "r.prom")
    assert (metrics(applied)["in_sync"], metrics(applied)["last_check_exit_code"]) == (0, ExitCode.FAILED)


def test_what_can_not_be_written_is_told_and_the_answer_shown_all_the_same(applied: Inside) -> None:
    done = applied.run(*SIM, "drift", "host.toml", "--metrics", "nowhere/r.prom")
    assert done.returncode == ExitCode.FAILED
    assert done.stdout.startswith("In sync")
    assert done.stderr.startswith("Error: The metrics can't be written. nowhere/r.prom: No such file or directory.")
    applied.run("sim", "run", "host.sim", "ip", "link", "set", "enp1s0", "vf", "0", "vlan", "9")
    done = applied.run(*SIM, "drift", "host.toml", "--metrics", "nowhere/r.prom")
    assert (done.returncode, "The metrics can't be written." in done.stderr) == (ExitCode.CHANGES, True)
    applied.write("host.toml", "x =")
    done = applied.run(*SIM, "drift", "host.toml", "--metrics", "nowhere/r.prom")
    assert done.returncode == ExitCode.INVALID
    assert "The metrics can't be written." in done.stderr
    assert "host.toml:1:" in done.stderr


def test_what_the_node_exporter_would_not_read_is_wrong_usage(applied: Inside) -> None:
    done = applied.run(*SIM, "drift", "host.toml", "--metrics", "r.txt")
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert "reads only files whose names end in .prom" in done.stderr


def test_without_the_library_one_sentence(applied: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = applied.run(*SIM, "drift", "host.toml", "--metrics", "r.prom")
    assert (done.returncode, done.stdout) == (ExitCode.FAILED, "")
    assert done.stderr.startswith("Error: A Python package is missing. --metrics takes prometheus-client")
    assert applied.run(*SIM, "drift", "host.toml").returncode == ExitCode.OK


def test_a_kernel_argument_waits_for_the_reboot(applied: Inside) -> None:
    applied.write("host.toml", 'schema = 1\n[kernel]\ncmdline = ["nosmt"]\n')
    assert applied.run(*SIM, "apply", "host.toml", "--yes").returncode == ExitCode.OK
    assert applied.run(*SIM, "drift", "host.toml", "--metrics", "r.prom").returncode == ExitCode.OK
    assert (metrics(applied)["in_sync"], metrics(applied)["pending_reboot"]) == (1, 1)
    applied.run("sim", "run", "host.sim", "reboot")
    assert applied.run(*SIM, "drift", "host.toml", "--metrics", "r.prom").returncode == ExitCode.OK
    assert (metrics(applied)["in_sync"], metrics(applied)["pending_reboot"]) == (1, 0)


def last_apply(folder: Inside) -> float:
    assert folder.run(*SIM, "drift", "host.toml", "--metrics", "a.prom").returncode in (0, 2)
    return metrics(folder, "a.prom")["last_apply_timestamp_seconds"]


def dated(folder: Inside, moment: str) -> None:
    """As if the last apply had been then."""
    path = folder.path / "host.sim.state" / "ledger.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "applied_at": moment}))


def test_the_last_apply_is_one_that_did_something_and_stayed(applied: Inside) -> None:
    then = 1767225600
    dated(applied, "2026-01-01T00:00:00Z")
    assert last_apply(applied) == then
    assert applied.run(*SIM, "apply", "host.toml", "--yes").returncode == ExitCode.OK
    assert last_apply(applied) == then, "nothing was left to do"
    applied.write("host.toml", FILE.replace("vlan = 100", "vlan = 7").replace("= 50", "= 60"))
    applied.run("sim", "fault", "host.sim", "--at", "2", "--errno", "EIO")
    failed = applied.run(*SIM, "apply", "host.toml", "--yes", "--on-error", "rollback")
    assert failed.returncode == ExitCode.ROLLED_BACK
    assert last_apply(applied) == then, "it was taken back"
    assert applied.run(*SIM, "apply", "host.toml", "--yes").returncode == ExitCode.OK
    assert last_apply(applied) > then


@pytest.mark.parametrize("moment", ["", "yesterday", "2026-01-01", 7, None, ["2026-01-01T00:00:00Z"]])
def test_a_moment_that_is_none_is_not_known(applied: Inside, moment: object) -> None:
    dated(applied, moment)  # type: ignore[arg-type]
    assert last_apply(applied) == 0


# ------------------------------------------------------------------------ the journal


class Journal:
    """A socket that takes entries as journald does."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(5)

    def entry(self) -> dict[str, list[str]]:
        """The next one."""
        data, fields = self._socket.recv(1 << 20), dict[str, list[str]]()
        while data:
            line, _, data = data.partition(b"\n")
            name, equals, value = line.partition(b"=")
            if not equals:
                (size,) = struct.unpack("<Q", data[:8])
                value, data = data[8 : 8 + size], data[9 + size :]
            fields.setdefault(name.decode(), []).append(value.decode())
        return fields

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    """The journal, where this process's output goes."""
    path = tmp_path / "journal"
    monkeypatch.setattr(systemd_journal, "SOCKET", str(path))
    monkeypatch.setattr(systemd_journal, "is_journal", lambda stream: True)
    made = Journal(path)
    yield made
    made.close()


def test_one_entry_has_the_report_and_fields_to_find_it_by(applied: Inside, journal: Journal) -> None:
    done = applied.run(*SIM, "drift", "host.toml")
    entry = journal.entry()
    assert (done.returncode, done.stdout) == (ExitCode.OK, "")
    assert entry["MESSAGE"][0].startswith("In sync")
    assert entry["RECONCILER_VERDICT"] == ["in-sync"]
    assert (entry["RECONCILER_EXIT_CODE"], entry["PRIORITY"]) == (["0"], ["6"])

    applied.run("sim", "run", "host.sim", "ip", "link", "set", "enp1s0", "vf", "0", "vlan", "7")
    applied.run("sim", "run", "host.sim", "ip", "link", "set", "enp1s0", "vf", "1", "max_tx_rate", "9")
    assert applied.run(*SIM, "drift", "host.toml").returncode == ExitCode.CHANGES
    entry = journal.entry()
    assert entry["MESSAGE"][0].splitlines()[0].startswith("Drift on ")
    assert "pf.int.vf.0.vlan" in entry["MESSAGE"][0]
    assert (entry["RECONCILER_VERDICT"], entry["RECONCILER_DRIFT"]) == (["drift"], ["2"])
    assert sorted(entry["RECONCILER_FIELD"]) == ["pf.int.vf.0.vlan", "pf.int.vf.1.max_tx_rate"]
    assert (entry["RECONCILER_EXIT_CODE"], entry["PRIORITY"]) == (["2"], ["4"])
    assert entry["RECONCILER_FILE"] == ["host.toml"]
    assert entry["MESSAGE_ID"] == [monitoring.MESSAGE_ID]


def test_that_nothing_could_be_checked_is_an_entry_too(applied: Inside, journal: Journal) -> None:
    applied.write("host.toml", "x =")
    done = applied.run(*SIM, "drift", "host.toml")
    assert "host.toml:1:" in done.stderr
    entry = journal.entry()
    assert (entry["RECONCILER_VERDICT"], entry["RECONCILER_EXIT_CODE"], entry["PRIORITY"]) == (
        ["failed"],
        ["65"],
        ["3"],
    )
    assert entry["MESSAGE"] == ["Drift was not checked. The state file is invalid. Exit code 65."]


def test_other_formats_go_where_they_are_asked_for(applied: Inside, journal: Journal) -> None:
    assert json.loads(applied.run(*SIM, "drift", "host.toml", "--json").stdout)["verdict"] == "in-sync"


def test_a_report_that_is_too_long_for_an_entry_is_told_in_lines(
    applied: Inside, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd_journal, "_LIMIT", 350)
    applied.run("sim", "run", "host.sim", "ip", "link", "set", "enp1s0", "vf", "0", "vlan", "7")
    done = applied.run(*SIM, "drift", "host.toml")
    assert "pf.int.vf.0.vlan" in done.stdout
    assert journal.entry()["MESSAGE"] == [done.stdout.splitlines()[0]]


def test_without_a_journal_it_is_told_in_lines(applied: Inside, journal: Journal, tmp_path: Path) -> None:
    journal.close()
    (tmp_path / "journal").unlink()
    assert applied.run(*SIM, "drift", "host.toml").stdout.startswith("In sync")


def test_only_the_stream_that_systemd_names_is_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "out").open("w") as stream, (tmp_path / "other").open("w") as other:
        found = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        assert systemd_journal.is_journal(stream)
        assert not systemd_journal.is_journal(other)
        monkeypatch.delenv("JOURNAL_STREAM")
        assert not systemd_journal.is_journal(stream)
    assert not systemd_journal.is_journal(stream)
