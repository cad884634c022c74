"""The hardening of contrib/systemd's drift unit, for other commands: read from the unit itself."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

UNIT = Path(__file__).resolve().parents[2] / "contrib" / "systemd" / "reconciler-drift.service"

_NOT_HARDENING = frozenset({"Type", "ExecStart", "SuccessExitStatus", "TimeoutStartSec", "SyslogIdentifier"})


def settings() -> Iterator[tuple[str, str]]:
    """What the unit's [Service] section sets, in its order."""
    section = ""
    for line in UNIT.read_text().splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and line and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield name, value


def in_sandbox(command: str) -> str:
    """A command line of the lab's shell that runs a command with all of the unit's hardening."""
    properties = [f"--property={name}={value}" for name, value in settings() if name not in _NOT_HARDENING]
    return f"systemd-run --quiet --wait --pipe --collect {shlex.join(properties)} -- {command}"
