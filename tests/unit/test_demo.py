"""``make demo`` tells its story to the end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


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
