"""``make demo`` tells its story to the end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from contrib.demo import lab
from reconciler.state.load import load

ROOT = Path(__file__).parents[2]


def test_the_labs_file_with_fewer_vfs_is_a_valid_one(tmp_path: Path) -> None:
    command = lab.PLACE.fewer.replace(lab.STATE, str(ROOT / "states/lab.toml"))
    subprocess.run(["sh", "-c", command.replace(lab.PLACE.changed, str(tmp_path / "fewer.toml"))], check=True)
    fewer = load("fewer.toml", (tmp_path / "fewer.toml").read_bytes())
    assert {pf.vfs for pf in fewer.pfs.values()} == {6}


def test_the_story_arrives(tmp_path: Path) -> None:
    (tmp_path / "states").symlink_to(ROOT / "states")
    done = subprocess.run(
        [sys.executable, "-m", "contrib.demo.twin"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "In sync: r620-01 is as states/r620-x520.toml declares." in done.stdout
    assert "Drift on r620-01: 3 drift of" in done.stdout
    assert "To do it all the same: --allow guest" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
