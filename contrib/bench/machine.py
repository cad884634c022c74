"""What the figures are from: this machine, and the versions of what was run on it."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import reconciler

CHECKOUT = Path(__file__).resolve().parent.parent.parent
_PACKAGES = ("typer", "pydantic", "tomli", "msgspec")
"""What start-up and reading are compared with, or rest on."""


def machine() -> dict[str, str | int | bool]:
    """The machine; ``virtual``: it is one itself. The lab is emulated on any machine, without KVM."""
    cpu = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    flags = [line for line in _lines("/proc/cpuinfo") if line.startswith("flags")]
    memory = [int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    return {
        "cpu": cpu[0] if cpu else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": memory[0] // 1024,
        "kernel": platform.release(),
        "virtual": any(" hypervisor" in line for line in flags),
    }


def versions() -> dict[str, str]:
    """Of the code, Python and its packages; ``+`` behind a commit: with changes that are not committed."""
    git = ["git", "-C", str(CHECKOUT)]
    commit = _said([*git, "rev-parse", "--short=12", "HEAD"])
    # What the bench itself writes doesn't make the code another one.
    changed = _said([*git, "status", "--porcelain", "--", "reconciler", "contrib/bench", ":!contrib/bench/results.*"])
    return {
        "reconciler": reconciler.__version__,
        "commit": f"{commit}{'+' if changed else ''}",
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in _PACKAGES},
    }


def same(before: dict[str, str], after: dict[str, str]) -> dict[str, str]:
    """The versions of a run; what has changed while it went on is told with both."""
    return {name: was if was == after[name] else f"{was} to {after[name]}" for name, was in before.items()}


def _said(argv: list[str]) -> str:
    """What a program says; "" where there is no git, or no checkout."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30).stdout.strip()
    except OSError:
        return ""


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()
