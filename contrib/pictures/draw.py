"""Draws the README's picture: python -m contrib.pictures.draw"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PICTURE = HERE / "r620-x520.svg"
_HOST = "--host sim:host.sim"
_COMMANDS = (
    "sim new host.sim --profile r620-x520",
    f"{_HOST} apply {HERE / 'r620-x520.toml'} --yes --color never",
    f"{_HOST} inspect --format svg",
)


def draw() -> str:
    """The picture of a simulated host to which the file beside it was applied."""
    root = HERE.parent.parent
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with tempfile.TemporaryDirectory() as folder:
        for command in _COMMANDS:
            argv = [sys.executable, "-m", "reconciler", *command.split()]
            done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"reconciler {command}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
