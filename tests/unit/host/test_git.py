"""Where a state file stands in git, and that asking leaves the work tree alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from reconciler.host.local.git import describe


@pytest.fixture
def committed(tmp_path: Path) -> Path:
    """A file that is committed in a work tree of its own."""
    path = tmp_path / "host.toml"
    path.write_text("schema = 1\n")
    for command in (["init", "-q"], ["add", "host.toml"], ["commit", "-q", "-m", "x"]):
        name = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", *name, "-C", str(tmp_path), *command], check=True)
    return path


def test_the_commit_and_whether_the_file_differs_from_it(committed: Path) -> None:
    head = subprocess.run(["git", "-C", str(committed.parent), "rev-parse", "HEAD"], capture_output=True, text=True)
    assert describe(committed) == (head.stdout.strip(), False)
    committed.write_text("schema = 2\n")
    assert describe(committed) == (head.stdout.strip(), True)


def test_asking_leaves_the_index_as_it_is(committed: Path) -> None:
    index = committed.parent / ".git" / "index"
    os.utime(committed, (1, 1))  # A plain `git status` would note the file's new time in the index.
    before = index.read_bytes(), index.stat().st_ino
    assert describe(committed) is not None
    assert (index.read_bytes(), index.stat().st_ino) == before


def test_outside_of_git_there_is_none(tmp_path: Path) -> None:
    assert describe(tmp_path / "host.toml") is None


@pytest.mark.parametrize("trap", ["core.fsmonitor", "filter.x.clean", "core.pager", "hooks"])
def test_nothing_that_the_work_tree_names_is_run(committed: Path, tmp_path: Path, trap: str) -> None:
    """The tree may be somebody else's: what its configuration names would run as root. `git status` falls into the
    first two traps; what is asked for here into none."""
    marker, program = tmp_path / "marker", tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {marker}\ncat\n")
    program.chmod(0o755)
    git = ["git", "-C", str(committed.parent)]
    if trap == "hooks":
        for hook in ("post-checkout", "post-index-change", "reference-transaction"):
            (committed.parent / ".git" / "hooks" / hook).symlink_to(program)
    else:
        subprocess.run([*git, "config", trap, str(program)], check=True)
    (committed.parent / ".git" / "info" / "attributes").write_text("*.toml filter=x\n")
    committed.write_text("schema = 3\n")
    found = describe(committed)
    assert found is not None
    assert found[1] is True
    assert not marker.exists()
    if trap in ("core.fsmonitor", "filter.x.clean"):
        subprocess.run([*git, "status"], check=False, capture_output=True)
        assert marker.exists(), "the trap is none"


def test_a_file_that_is_not_committed_differs(committed: Path) -> None:
    other = committed.with_name("-x y.toml")
    other.write_text("schema = 1\n")
    found = describe(other)
    assert found is not None
    assert found[1] is True


def test_a_pipe_is_not_read_twice(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert describe(tmp_path / "pipe") is None
