"""The timer of ``--confirm-within``, as it is asked of systemd."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import reconciler
from reconciler.host.local import timer
from reconciler.host.protocol import HostError

ARM = """
import json, os, subprocess, sys
from reconciler.host.local import timer
os.path.isdir = lambda path: True
timer.run = lambda argv, seconds: print(json.dumps(argv)) or subprocess.CompletedProcess(argv, 0, "", "")
timer.arm("reconciler-x-1", 60, [sys.executable, "-m", "reconciler", "--version"])
"""


def test_a_command_of_a_source_tree_is_found_from_anywhere(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(Path(reconciler.__file__).parent, tree / "reconciler", ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "reconciler" / "__init__.py").write_text('"""A tree."""\n\n__version__ = "98.76"\n')
    (tree / "more").mkdir()
    asked = subprocess.run(
        [sys.executable, "-c", ARM],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": "more"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    argv = json.loads(asked.stdout)
    given = dict(item.removeprefix("--setenv=").split("=", 1) for item in argv if item.startswith("--setenv="))
    assert given == {"PYTHONPATH": f"{tree}:{tree / 'more'}"}
    command = argv[argv.index("--") + 1 :]
    done = subprocess.run(command, cwd="/", env=given, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "98.76" in done.stdout) == (0, True), done.stderr


def test_only_timers_of_ours_are_stopped() -> None:
    with pytest.raises(HostError, match=r"This is no timer of reconciler\."):
        timer.disarm("ssh.service")
