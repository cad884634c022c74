"""Services, asked of systemd and set by it through systemctl: D-Bus has no more to tell, and would be one more library
that has to fit."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from reconciler.host.local.child import NoAnswer, run
from reconciler.host.model import Services, ServiceUnit
from reconciler.host.protocol import HostError

_SUFFIX = ".service"
_PROPERTIES = (
    "Id,Names,LoadState,ActiveState,SubState,UnitFileState,Type,RemainAfterExit,TriggeredBy,WantedBy,RequiredBy,"
    "UpheldBy,ActiveEnterTimestampMonotonic"
)
_SECONDS = 20.0
"""For an answer; systemd that is reloading its units answers late."""
_ALL_SECONDS = 60.0
"""For all services: systemd reads the files of those that it hasn't loaded."""
_MOMENT = 1.0
"""Seconds after which a service that was started is taken for one that runs."""
_TURN = 15.0
"""For a service to get its turn while the machine boots."""
_LINES, _WIDTH = 4, 200
"""Of a failed service's log: how many lines, and how much of each."""

_REFUSAL = re.compile(r"(Failed|Job|Unit|Access|A dependency)\b")
"""Beginnings of the lines of systemctl that say what is wrong; others say what it is doing, or what to look at."""

Properties = dict[str, str]


def read_services(root: Path, names: Collection[str] | None, notes: list[str]) -> Services:
    """The services with these names, ``None``: all of them. Nothing is asked for no names."""
    if names is not None and not names:
        return Services()
    if not booted(root):
        notes.append("Services are not known: systemd does not run here (there is no /run/systemd/system).")
        return Services(None)
    try:
        return _all() if names is None else _some(list(names))
    except (OSError, NoAnswer) as error:
        why = (
            error.strerror
            if isinstance(error, OSError)
            else f"it did not answer in {_ALL_SECONDS if names is None else _SECONDS:g} s"
        )
        notes.append(f"Services are not known: systemctl failed: {why}.")
        return Services(None)


def booted(root: Path) -> bool:
    """Whether systemd runs here (sd_booted(3))."""
    return (root / "run/systemd/system").is_dir()


def _all() -> Services:
    loaded = _show([f"*{_SUFFIX}"], seconds=_ALL_SECONDS)
    known = {name for unit in loaded for name in unit["Names"].split()}
    files = [name for name in _unit_files() if f"{name}{_SUFFIX}" not in known]
    shown = [*loaded, *(_show([f"{name}{_SUFFIX}" for name in files], seconds=_ALL_SECONDS) if files else [])]
    found: dict[str, ServiceUnit] = {}
    for unit in shown:
        if unit["LoadState"] != "not-found" and unit["UnitFileState"] != "transient":
            service = _service(unit)
            found |= dict.fromkeys((name.removesuffix(_SUFFIX) for name in unit["Names"].split()), service)
    _add_triggers(shown, found)
    return Services(dict(sorted(found.items())), complete=True)


def _some(names: list[str]) -> Services:
    shown = _show([f"{name}{_SUFFIX}" for name in names])
    by_name = {name: unit for unit in shown for name in unit["Names"].split()}
    found = {name: _service(unit) for name in names if (unit := by_name.get(f"{name}{_SUFFIX}")) is not None}
    _add_triggers(shown, found)
    for service in found.values():
        if service.active == "failed" or service.sub == "auto-restart":
            service.words = last_words(service.unit)
    lacking = any(service.load == "not-found" for service in found.values())
    return Services(found, names=sorted(_unit_files()) if lacking else [])


def _unit_files() -> list[str]:
    """Names of all services that are installed, without templates."""
    lines = _ask(["list-unit-files", "--type=service", "--no-legend", "--no-pager"]).splitlines()
    names = [line.split()[0].removesuffix(_SUFFIX) for line in lines if line.strip()]
    return [name for name in names if not name.endswith("@")]


def _show(units: Sequence[str], properties: str = _PROPERTIES, seconds: float = _SECONDS) -> list[Properties]:
    text = _ask(["show", f"--property={properties}", "--", *units], seconds)
    return parse(text)


def parse(text: str) -> list[Properties]:
    """What ``systemctl show`` says: a block of lines per unit, with an empty line between two."""
    blocks = text.strip().split("\n\n")
    return [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in blocks if block]


def _ask(argv: Sequence[str], seconds: float = _SECONDS) -> str:
    done = run(["systemctl", *argv], seconds)
    if done.returncode != 0 and not done.stdout:
        raise OSError(0, done.stderr.strip() or f"exit code {done.returncode}")
    return done.stdout


def _service(unit: Properties) -> ServiceUnit:
    since = unit.get("ActiveEnterTimestampMonotonic", "")
    began = int(since) / 1e6 if since.isdecimal() else 0.0
    wanting = {name for key in ("WantedBy", "RequiredBy", "UpheldBy") for name in unit.get(key, "").split()}
    return ServiceUnit(
        unit["Id"],
        load=unit["LoadState"],
        active=unit["ActiveState"],
        sub=unit["SubState"],
        enabled=unit["UnitFileState"],
        once=unit["Type"] == "oneshot" and unit["RemainAfterExit"] != "yes",
        settled=unit["ActiveState"] != "active" or time.monotonic() - began >= _MOMENT,
        wanted_by=sorted(wanting),
    )


def _add_triggers(shown: Iterable[Properties], found: dict[str, ServiceUnit]) -> None:
    """Of the units that can start a service, those that may do it: a socket that doesn't listen starts none."""
    triggers = {unit["Id"]: unit["TriggeredBy"].split() for unit in shown if unit["TriggeredBy"]}
    names = sorted({name for listed in triggers.values() for name in listed})
    if not names:
        return
    states = {unit["Id"]: unit for unit in _show(names, "Id,ActiveState,UnitFileState")}
    for service in found.values():
        service.triggered_by = sorted(
            name
            for name in triggers.get(service.unit, [])
            if (state := states.get(name)) is not None
            and (state["ActiveState"] in ("active", "activating") or state["UnitFileState"] == "enabled")
        )


def last_words(unit: str) -> list[str]:
    """The last lines of a service's log; none without the right to read it."""
    argv = ["journalctl", "--quiet", "--no-pager", "--boot", "--output=cat", f"--lines={_LINES}", f"--unit={unit}"]
    try:
        done = run(argv, _SECONDS)
    except (OSError, NoAnswer):
        return []
    return [line[:_WIDTH] for line in done.stdout.splitlines() if line.strip()]


# ---------------------------------------------------------------------------- writing


def queued(root: Path, names: Iterable[str]) -> list[str]:
    """Of these services, those that systemd is yet to start while the machine boots: ordered after others. Raises
    OSError or `NoAnswer`."""
    wanted = list(names)
    if not wanted or not booted(root) or not _starting():
        return []
    waiting = _waiting_jobs()
    shown = _show([f"{name}{_SUFFIX}" for name in wanted], "Id,Names")
    units = {name: unit["Id"] for unit in shown for name in unit["Names"].split()}
    return [name for name in wanted if units.get(f"{name}{_SUFFIX}") in waiting]


def _starting() -> bool:
    """Whether the machine boots (systemctl(1), is-system-running); its exit status says the same."""
    return run(["systemctl", "is-system-running"], _SECONDS).stdout.strip() in ("initializing", "starting")


def _in_boot() -> bool:
    try:
        return _starting()
    except (OSError, NoAnswer):
        return False  # The start itself says what is wrong.


def _waiting_jobs() -> set[str]:
    """Units that are to be started, and wait for others. Each line: number, unit, what, state."""
    lines = [line.split() for line in _ask(["list-jobs", "--no-legend", "--no-pager"]).splitlines()]
    return {words[1] for words in lines if len(words) >= 4 and words[2:4] == ["start", "waiting"]}


def _is_waiting(unit: str) -> bool:
    try:
        return unit in _waiting_jobs()
    except (OSError, NoAnswer) as error:
        raise HostError("systemd can't be asked.", f"systemctl list-jobs: {error}.") from error


def _start_in_boot(root: Path, unit: str, failed: str, seconds: float) -> None:
    """Starts it while the machine boots, without waiting for one that may be ordered after this very run: both would
    wait for each other."""
    _command(root, ["start", "--no-block", "--no-ask-password", "--", unit], failed, _SECONDS)
    until = time.monotonic() + min(seconds, _TURN)
    while _is_waiting(unit):
        if time.monotonic() >= until:
            raise HostError(
                "The service waits for its turn in the boot.",
                f"{unit} is ordered after units that are still starting, of which this run may be one. systemd starts "
                "it when they are through.",
            )
        time.sleep(_MOMENT / 2)


def set_service(root: Path, unit: str, running: bool, seconds: float) -> None:
    """Starts or stops it, and waits until systemd has. While the machine boots one that waits for others is a
    HostError; one that is starting is left to the caller to wait for."""
    if running:
        # One that failed too often in a row is not started until that is forgotten (StartLimitBurst=).
        _command(root, ["reset-failed", "--", unit], "", _SECONDS)
    verb = "start" if running else "stop"
    failed = f"{unit} could not be {'started' if running else 'stopped'}"
    if running and _in_boot():
        _start_in_boot(root, unit, failed, seconds)
        return
    _command(root, [verb, "--no-ask-password", "--", unit], failed, seconds)


def set_service_at_boot(root: Path, unit: str, enabled: bool) -> None:
    """Enables or disables it."""
    verb = "enable" if enabled else "disable"
    _command(root, [verb, "--no-ask-password", "--", unit], f"{unit} could not be {verb}d", 60.0)


def _command(root: Path, argv: Sequence[str], failed: str, seconds: float) -> None:
    """``failed``: what to say when it is refused, "" if that doesn't matter."""
    if not booted(root):
        raise HostError("Services can't be set.", "systemd does not run here (there is no /run/systemd/system).")
    try:
        done = run(["systemctl", *argv], seconds)
    except FileNotFoundError as error:
        raise HostError("A command is missing.", "systemctl is not installed (package systemd).") from error
    except NoAnswer as error:
        raise HostError(
            "A command did not end in time.",
            f"{failed}: systemctl {argv[0]} did not end in {seconds:g} s. systemd may still be at it.",
        ) from error
    if done.returncode == 0 or not failed:
        return
    lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
    said = next((line for line in lines if _REFUSAL.match(line)), lines[-1])
    words = last_words(argv[-1]) if argv[0] in ("start", "stop") else []
    log = f" Its log: {'; '.join(words)}." if words else ""
    denied = any(word in done.stderr for word in ("Access denied", "not permitted", "uthentication required"))
    raise HostError(
        "systemd refused a change of a service.",
        f"{failed}: {said.strip().rstrip('.')}.{log}",
        code=77 if denied else 1,
    )
