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
