"""Commands that are under way, as processes of their own, on a simulated host whose seconds last."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from reconciler.exit_codes import ExitCode
from tests.unit.cli.inside import Inside
from tests.unit.cli.test_history import FILE

COMMAND = [sys.executable, "-u", "-m", "reconciler", "--host", "sim:host.sim"]
ENVIRONMENT = {**os.environ, "NO_COLOR": "1"}


def paced(path: Path) -> Inside:
    """A host on which the file's three steps take about two seconds: link, VFs, VLAN."""
    made = Inside(path)
    made.write("host.toml", FILE)
    assert made.run("sim", "new", "host.sim", "--profile", "igb-lab").returncode == ExitCode.OK
    pace(made, 1.0)
    return made


def pace(folder: Inside, seconds: float) -> None:
    """From now on each of the host's seconds lasts so long."""
    twin = json.loads((folder.path / "host.sim").read_text())
    folder.write("host.sim", json.dumps({**twin, "pace": seconds}))


class Running:
    """One command under way. ``said``: all that it has said so far."""

    def __init__(self, folder: Inside, *arguments: str) -> None:
        self.said = ""
        self._process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=folder.path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=ENVIRONMENT,
        )
        self.pid = self._process.pid

    def until(self, text: str) -> None:
        """Waits until it says this, from now on."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said += line
            if text in line:
                return
        raise AssertionError(f"it never said {text!r}:\n{self.said}")

    def send(self, number: int) -> None:
        """Sends it a signal."""
        self._process.send_signal(number)

    def end(self) -> int:
        """Its exit code, once it has ended."""
        assert self._process.stdout is not None
        self.said += self._process.stdout.read()
        self._process.stdout.close()
        assert "Traceback" not in self.said, self.said
        return self._process.wait(timeout=60)
