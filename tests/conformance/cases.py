"""Cases: what is done, as data."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CASES = Path(__file__).parent / "cases"
_MAC = re.compile(r"[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}")
OUTSIDE = ("reboot", "pull", "cable")
"""First words of what happens to the machine from outside."""

Step = dict[str, Any]
"""``{"run": COMMAND}``, or ``{"write": METHOD, …}``, a call of the writer's method with those arguments. More keys say
when its effect can be expected: ``gone = [DOMAIN, ALIAS]`` waits until the running guest has given back that NIC,
``pause = SECONDS`` waits for what must not happen."""


@dataclass(frozen=True, slots=True)
class Case:
    """One case."""

    name: str
    title: str
    steps: list[Step]
    netdevsim: bool = False
    """The clean host has a netdevsim device beside its cards: ``netdevsim1``, its netdev with the altname ``sim``."""
    macs: frozenset[str] = field(default_factory=frozenset)
    """MACs that the case itself gives; all others are made up by somebody."""


def load_cases() -> list[Case]:
    """All cases, by name."""
    return [load_case(path) for path in sorted(CASES.glob("*.toml"))]


def load_case(path: Path) -> Case:
    """One case from its file. A step that is a plain string is a command."""
    content = path.read_text()
    found = tomllib.loads(content)
    steps = [{"run": step} if isinstance(step, str) else step for step in found["steps"]]
    macs = frozenset(mac.lower() for mac in _MAC.findall(content))
    return Case(path.stem, found["title"], steps, found.get("netdevsim", False), macs)


def is_outside(step: Step) -> bool:
    """Whether a step is done to the machine, and not on it."""
    return str(step.get("run", "")).split(" ")[0] in OUTSIDE


def text(step: Step) -> str:
    """A step on one line."""
    if "run" in step:
        return str(step["run"])
    arguments = ", ".join(f"{key}={_shown(value)}" for key, value in step.items() if key not in _NO_ARGUMENTS)
    return f"{step['write']}({arguments})"


def arguments(step: Step) -> dict[str, Any]:
    """A writer step's arguments."""
    return {key: value for key, value in step.items() if key not in _NO_ARGUMENTS}


_NO_ARGUMENTS = ("write", "gone", "pause")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={_shown(item)}" for key, item in value.items()) + "}"
    return repr(value)
