"""What is secret is neither shown nor recorded: the environment, and a password in libvirt's URI."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.exit_codes import ExitCode
from tests.unit.cli.test_commands import Folder
from tests.unit.cli.test_history import FILE, sim

SECRET = "hunter2"


def test_the_environment_is_neither_shown_nor_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBVIRT_TOKEN", SECRET)
    folder = Folder(tmp_path)
    folder.write("host.toml", FILE)
    done = [folder.run("sim", "new", "host.sim", "--profile", "igb-lab")]
    done += [sim(folder, "-v", *arguments) for arguments in (["apply", "host.toml", "--yes"], ["history"], ["doctor"])]
    done += [sim(folder, "-v", "snapshot", "-o", "x.json"), sim(folder, "-v", "rollback", "--yes")]
    assert [item.returncode for item in done[:3]] == [ExitCode.OK] * 3
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(kept) > 8
    assert not [path for path in kept if SECRET.encode() in path.read_bytes()]
    assert not [item for item in done if SECRET in item.stdout + item.stderr]


def test_a_password_in_the_uri_is_refused_and_not_repeated(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    for command in (["inspect"], ["plan", "host.toml"], ["apply", "host.toml", "--yes"], ["rollback", "--yes"]):
        done = folder.run("-v", "--libvirt", f"qemu+tcp://admin:{SECRET}@198.51.100.1/system", *command)
        assert done.returncode == ExitCode.USAGE, done.stderr
        assert "password" in done.stderr
        assert SECRET not in done.stdout + done.stderr
