"""The units that come with the package: what is written, and what is left alone."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from reconciler import __version__
from reconciler.host.local import units
from reconciler.host.protocol import HostError

PROGRAM = ["/opt/reconciler/bin/reconciler"]


class Systemd:
    """Commands that are asked for, and what they answer; ``enabled``: units that are."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.enabled: set[str] = set()
        self.users: set[str] = set()
        self.stale: set[str] = set()
        self.fails = ""

    def run(self, argv: Sequence[str], seconds: float) -> subprocess.CompletedProcess[str]:
        if argv[1:2] == ["is-enabled"]:
            said = "enabled" if argv[-1] in self.enabled else "disabled"
            return subprocess.CompletedProcess(argv, 0, f"{said}\n", "")
        if argv[1:2] == ["is-active"]:
            return subprocess.CompletedProcess(argv, 0, "active\n", "")
        if argv[0] == "getent":
            return subprocess.CompletedProcess(argv, 0, f"{argv[-1]}:x:99:\n" if argv[-1] in self.users else "", "")
        if argv[1:2] == ["show"]:
            blocks = [f"Id={name}\nNeedDaemonReload={'yes' if name in self.stale else 'no'}" for name in argv[4:]]
            return subprocess.CompletedProcess(argv, 0, "\n\n".join(blocks), "")
        self.asked.append(list(argv))
        if self.fails and self.fails in argv:
            return subprocess.CompletedProcess(argv, 1, "", "Failed: no.")
        if argv[0] == "systemd-sysusers":
            self.users.add(units.USER)
        if argv[1:2] == ["daemon-reload"]:
            self.stale.clear()
        if argv[1:2] == ["enable"]:
            self.enabled.add(argv[-1])
        return subprocess.CompletedProcess(argv, 0, "", "")


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch) -> Systemd:
    made = Systemd()
    monkeypatch.setattr(units, "run", made.run)
    return made


def test_units_name_the_program_and_the_state_file(tmp_path: Path) -> None:
    files = {file.name: file for file in units.unit_files(tmp_path, PROGRAM, "/srv/states/r620.toml")}
    assert set(units.ENABLED) <= set(files)
    for file in files.values():
        assert file.text.startswith("# Written by reconciler")
        assert "/etc/reconciler" not in file.text
        assert "ExecStart=reconciler" not in file.text
    boot = files["reconciler-boot.service"]
    assert boot.path == tmp_path / "etc/systemd/system/reconciler-boot.service"
    assert f"\nExecStart={PROGRAM[0]} apply /srv/states/r620.toml --early --partial --yes\n" in boot.text
    assert files["reconciler-drift.conf"].path == tmp_path / "etc/sysusers.d/reconciler-drift.conf"


@pytest.mark.parametrize("path", ["/srv/my states/h.toml", "/srv/100%/h.toml", "relative.toml", "/a\nb"])
def test_a_path_that_means_something_else_in_a_unit_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(HostError, match="can't stand in a unit") as error:
        units.unit_files(tmp_path, PROGRAM, path)
    assert error.value.code == 64


def test_installed_once_there_is_nothing_to_do(tmp_path: Path, systemd: Systemd) -> None:
    files = units.unit_files(tmp_path, PROGRAM, units.STATE_FILE)
    done = units.install(tmp_path, files)
    assert len(done) == len(files) + len(units.ENABLED) + 1
    assert "Made: the user reconciler-drift" in done
    assert all(file.path.read_text() == file.text for file in files)
    assert ["systemctl", "daemon-reload"] in systemd.asked
    assert ["systemd-sysusers"] in systemd.asked
    assert not any("reconciler-watch.service" in argv for argv in systemd.asked)
    systemd.asked.clear()
    assert units.install(tmp_path, files) == []
    assert systemd.asked == []


@pytest.mark.parametrize("fails", ["systemd-sysusers", "daemon-reload"])
def test_what_an_earlier_try_left_is_made_up_for(tmp_path: Path, systemd: Systemd, fails: str) -> None:
    files = units.unit_files(tmp_path, PROGRAM, units.STATE_FILE)
    systemd.fails = fails
    with pytest.raises(HostError, match="A command failed"):
        units.install(tmp_path, files)
    systemd.fails, systemd.stale = "", {"reconciler-boot.service"}
    done = units.install(tmp_path, files)
    assert "Read anew: reconciler-boot.service" in done
    assert ("Made: the user reconciler-drift" in done) == (fails == "systemd-sysusers")
    assert (systemd.users, systemd.stale) == ({units.USER}, set())
    assert units.install(tmp_path, files) == []


def test_the_state_file_of_units_in_place(tmp_path: Path, systemd: Systemd) -> None:
    assert units.installed_state_file(tmp_path) == ""
    units.install(tmp_path, units.unit_files(tmp_path, PROGRAM, "/srv/states/r620.toml"))
    assert units.installed_state_file(tmp_path) == "/srv/states/r620.toml"
    boot = tmp_path / "etc/systemd/system/reconciler-boot.service"
    boot.write_text(boot.read_text().partition("\n")[2])
    assert units.installed_state_file(tmp_path) == ""


def test_what_the_drift_unit_could_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert units.out_of_reach(["/opt/r/bin/reconciler"], "/etc/reconciler/host.toml") == []
    found = units.out_of_reach(["/root/.local/bin/reconciler"], "/home/me/host.toml")
    assert found == [
        "the program is in /root: /root/.local/bin/reconciler",
        "the state file is in /home: /home/me/host.toml",
    ]
    monkeypatch.setattr(units, "_HIDDEN", (str(tmp_path / "home"),))
    (tmp_path / "home/venv").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    python = script(tmp_path / "home/venv/python", "exit 0")
    program = tmp_path / "bin/reconciler"
    program.write_text(f"#!{python} -I\n")
    assert units.out_of_reach([str(program)], "/etc/x.toml") == [
        f"the program's Python is in {tmp_path / 'home'}: {python}"
    ]
    link = tmp_path / "bin/link"
    link.symlink_to(tmp_path / "home/venv/python")
    assert "the program is in" in units.out_of_reach([str(link)], "/etc/x.toml")[0]


def test_an_empty_file_masks_a_unit(tmp_path: Path, systemd: Systemd) -> None:
    files = units.unit_files(tmp_path, PROGRAM, units.STATE_FILE)
    folder = tmp_path / "etc/systemd/system"
    folder.mkdir(parents=True)
    (folder / "reconciler-boot.service").write_text("")
    assert [("masks" in found) for found in units.not_ours(files)] == [True]


def test_removed_without_a_trace(tmp_path: Path, systemd: Systemd) -> None:
    files = units.unit_files(tmp_path, PROGRAM, units.STATE_FILE)
    units.install(tmp_path, files)
    systemd.asked.clear()
    assert len(units.remove(files)) == len(files)
    assert not any(file.path.exists() for file in files)
    assert systemd.asked[0][:3] == ["systemctl", "disable", "--now"]
    assert systemd.asked[-1] == ["systemctl", "daemon-reload"]
    systemd.asked.clear()
    assert (units.remove(files), systemd.asked) == ([], [])


def test_what_somebody_else_wrote_is_found_and_never_removed(tmp_path: Path, systemd: Systemd) -> None:
    files = units.unit_files(tmp_path, PROGRAM, units.STATE_FILE)
    folder = tmp_path / "etc/systemd/system"
    folder.mkdir(parents=True)
    (folder / "reconciler-boot.service").write_text("[Service]\nExecStart=/bin/true\n")
    (folder / "reconciler-guests.service").symlink_to("/dev/null")
    found = units.not_ours(files)
    assert ["reconciler-boot.service was not written" in found[0], "is a link to /dev/null" in found[1]] == [True, True]
    assert len(found) == 2
    assert units.remove(files) == []
    assert (folder / "reconciler-boot.service").exists()


def test_a_command_that_fails_is_an_error(tmp_path: Path, systemd: Systemd) -> None:
    systemd.fails = "enable"
    with pytest.raises(HostError) as error:
        units.install(tmp_path, units.unit_files(tmp_path, PROGRAM, units.STATE_FILE))
    assert "reconciler-boot.service was not enabled" in error.value.detail
    assert "Failed: no." in error.value.detail


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_the_program_is_tried_as_systemd_would_call_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "_FOLDERS", (str(tmp_path),))
    monkeypatch.setattr(units.sys, "executable", script(tmp_path / "python", "exit 1"))
    good = script(tmp_path / "reconciler", f"echo reconciler {__version__}")
    (tmp_path / "venv").mkdir()
    called = script(tmp_path / "venv/reconciler", f'[ -z "$PYTHONPATH" ] && echo reconciler {__version__}')
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    assert units.find_program(called) == [called]
    assert units.find_program("/src/reconciler/__main__.py") == [good]
    script(tmp_path / "reconciler", "echo reconciler 0.0.1")
    with pytest.raises(HostError, match="would not find reconciler"):
        units.find_program("/src/reconciler/__main__.py")


def test_each_unit_is_one_that_systemd_reads() -> None:
    """Sections and keys; what they mean to systemd is tried in the lab with systemd-analyze."""
    for source in units.source_folder().glob("*.service"):
        parser = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=True)
        parser.read_string(source.read_text())
        assert {"Unit", "Service"} <= set(parser.sections()), source


def test_no_target_waits_for_the_units_of_the_boot() -> None:
    """systemd.target(5), "Default Dependencies": a target waits for what it wants, unless that says no."""
    for name in ("reconciler-boot.service", "reconciler-guests.service"):
        assert "\nDefaultDependencies=no\n" in (units.source_folder() / name).read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_no_fault_in_them(tmp_path: Path) -> None:
    files = units.unit_files(tmp_path, [sys.executable, "-m", "reconciler"], units.STATE_FILE)
    folder = tmp_path / "etc/systemd/system"
    folder.mkdir(parents=True)
    for file in files:
        if file.is_unit:
            file.path.write_text(file.text)
    paths = [str(file.path) for file in files if file.is_unit]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *paths], capture_output=True, text=True, check=False, timeout=120
    )
    about_us = [line for line in done.stderr.splitlines() if "reconciler" in line]
    assert about_us == []
