"""A command that is run later by systemd, outside of this process and of the login session: a transient timer."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

import reconciler
from reconciler.host.local.child import NoAnswer, run
from reconciler.host.protocol import HostError

_SECONDS = 20.0
_UNIT = re.compile(r"reconciler-[0-9A-Za-z.-]+")
"""What `Countdown` names them."""


def arm(unit: str, seconds: int, argv: Sequence[str]) -> None:
    """Has systemd run a command as root after so many seconds, whatever becomes of who asked for it. It is gone after a
    reboot. Raises `HostError` when there is no systemd, or it refuses."""
    if not os.path.isdir("/run/systemd/system"):
        raise HostError(
            "There is no systemd to hold the timer.",
            "--confirm-within has the change taken back by a timer outside of this process, and that takes systemd. "
            "Nothing was changed.",
            code=64,
        )
    _systemd(
        [
            "systemd-run",
            "--quiet",
            "--collect",
            f"--unit={unit}",
            f"--on-active={seconds}s",
            "--timer-property=AccuracySec=100ms",
            f"--description=reconciler takes back what nobody confirmed ({unit})",
            f"--setenv=PYTHONPATH={_path()}",
            "--",
            *argv,
        ],
        "the timer could not be armed",
    )


def _path() -> str:
    """Where the command finds this package: systemd runs it in ``/`` and with none of our environment."""
    given = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    package = os.path.dirname(os.path.abspath(reconciler.__file__))
    return os.pathsep.join(dict.fromkeys([os.path.dirname(package), *map(os.path.abspath, given)]))


def disarm(unit: str) -> None:
    """Takes a timer away; one that is gone is fine. ``unit`` was read from a journal: only one of ours is stopped."""
    if not _UNIT.fullmatch(unit):
        raise HostError("This is no timer of reconciler.", f"{unit!r} stands in the run's journal, and is left alone.")
    _systemd(["systemctl", "stop", "--", f"{unit}.timer"], "the timer could not be stopped", missing_is_fine=True)


def _systemd(argv: list[str], failed: str, *, missing_is_fine: bool = False) -> None:
    try:
        done = run(argv, _SECONDS)
    except FileNotFoundError as error:
        raise HostError("A command is missing.", f"{failed}: {argv[0]} is not installed.") from error
    except NoAnswer as error:
        raise HostError("A command did not end in time.", f"{failed}: {argv[0]} took over {_SECONDS:.0f} s.") from error
    said = done.stderr.strip()
    if done.returncode != 0 and not (missing_is_fine and "not loaded" in said):
        raise HostError("systemd refused.", f"{failed}: {said or f'exit code {done.returncode}'}.")
