"""The script that libvirt runs: it must neither cost a guest that has no VF, nor run one without its isolation."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

HOOKS = Path(__file__).parents[2] / "contrib/libvirt-hooks"
WITH_VF = "<domain><devices><interface type='hostdev'/></devices></domain>"
WITHOUT = "<domain><devices><interface type='bridge'/></devices></domain>"


@pytest.fixture
def hook(tmp_path: Path) -> Path:
    """The installed hook; the program notes how it was called, and what it was given."""
    program = tmp_path / "bin/reconciler"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && exit\n{{ echo "$@"; cat; }} >>{tmp_path}/calls\nexit ${{EXIT:-0}}\n'
    )
    program.chmod(0o755)
    environment = {**os.environ, "DESTDIR": str(tmp_path), "RECONCILER": "bin/reconciler"}
    subprocess.run([HOOKS / "install"], env=environment, cwd=tmp_path, check=True, capture_output=True)
    return tmp_path / "etc/libvirt/hooks/qemu.d/50-reconciler"


def run(hook: Path, *arguments: str, xml: str = WITH_VF, **environment: str) -> int:
    return subprocess.run([hook, *arguments], input=xml, text=True, env={**os.environ, **environment}).returncode


def calls(hook: Path) -> str:
    noted = hook.parents[4] / "calls"
    return noted.read_text() if noted.exists() else ""


def test_the_program_gets_the_guest_and_its_xml_and_decides(hook: Path) -> None:
    assert run(hook, "-web", "start", "begin", "-", EXIT="1") == 1
    assert calls(hook) == f"hook -- -web start begin -\n{WITH_VF}"


@pytest.mark.parametrize("operation", [("prepare", "begin"), ("started", "begin"), ("reconnect", "begin")])
def test_of_all_else_nothing_is_asked(hook: Path, operation: tuple[str, str]) -> None:
    assert run(hook, "web", *operation, "-", EXIT="1") == 0
    assert calls(hook) == ""


def test_a_guest_without_a_device_of_the_host_starts_whatever_became_of_the_program(hook: Path) -> None:
    (hook.parents[4] / "bin/reconciler").unlink()
    assert run(hook, "web", "start", "begin", "-", xml=WITHOUT) == 0
    assert run(hook, "web", "release", "end", "-") == 0
    assert run(hook, "web", "start", "begin", "-") != 0


def test_it_is_taken_away_again(hook: Path) -> None:
    environment = {**os.environ, "DESTDIR": str(hook.parents[4])}
    subprocess.run([HOOKS / "install", "--remove"], env=environment, check=True, capture_output=True)
    assert not hook.exists()


def test_a_path_that_a_shell_would_read_otherwise_is_refused(tmp_path: Path) -> None:
    odd = tmp_path / "a$b/reconciler"
    odd.parent.mkdir()
    odd.write_text("#!/bin/sh\n")
    odd.chmod(0o755)
    environment = {**os.environ, "DESTDIR": str(tmp_path), "RECONCILER": str(odd)}
    done = subprocess.run([HOOKS / "install"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "can't stand in a hook" in done.stderr
    assert not (tmp_path / "etc").exists()
