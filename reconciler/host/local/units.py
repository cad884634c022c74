"""The units of systemd that come with this package, put in place and taken away: whole files of our own, with a first
line that says so, in the administrator's folders. What somebody else has written there is never touched.

A change of a user's own goes into a drop-in (``systemctl edit``), which stays.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import reconciler
from reconciler.files import replace_file, sync_folder
from reconciler.host.local.child import NoAnswer, run
from reconciler.host.local.own_files import is_own
from reconciler.host.local.systemd import booted
from reconciler.host.protocol import HostError

STATE_FILE = "/etc/reconciler/host.toml"
"""The state file that the units name."""
UNITS = "etc/systemd/system"
SYSUSERS = "etc/sysusers.d"
ENABLED: dict[str, bool] = {
    "reconciler-boot.service": False,
    "reconciler-guests.service": False,
    "reconciler-drift.timer": True,
}
"""Those that are enabled, and whether they are started at once, too. The others are put in place only."""

USER = "reconciler-drift"
"""Whom the drift unit runs as: the file in `SYSUSERS` declares it."""
_HIDDEN = ("/root", "/home", "/run/user", "/tmp", "/var/tmp")
"""What the drift unit doesn't see: ProtectHome= and PrivateTmp= (systemd.exec(5))."""
_NAMED_FILE = re.compile(r"^ConditionPathExists=(/.+)$", re.MULTILINE)
_MEASURED = "reconciler-drift.service"
"""Its metrics stay in memory when it ends, and are not to be collected any more once it is gone."""

_HEADER = (
    "# Written by reconciler install-units, which also overwrites and removes it. Changes of yours: "
    "systemctl edit {name}\n"
)
_PROGRAM = re.compile(r"^(Exec\w+=[-+!:|]*)reconciler(?= )", re.MULTILINE)
_GIT_FOLDER = re.compile(r"(GIT_CONFIG_VALUE_0=)/etc/reconciler$", re.MULTILINE)
_PLAIN = re.compile(r"/[A-Za-z0-9/._+@-]+")
"""A path that means itself in a unit: systemd splits at blanks and expands % and $ (systemd.service(5))."""
_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin")
"""Where systemd looks for programs (systemd.exec(5), "Environment Variables in Spawned Processes")."""
_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class UnitFile:
    """One file, and where it belongs."""

    name: str
    path: Path
    text: str

    @property
    def is_unit(self) -> bool:
        """Rather than a configuration file."""
        return not self.name.endswith(".conf")


def source_folder() -> Path:
    """Where they are in this package: installed in it, or beside it in a checkout. Raises `HostError`."""
    package = Path(reconciler.__file__).resolve().parent
    for folder in (package / "systemd", package.parent / "contrib/systemd"):
        if folder.is_dir():
            return folder
    raise HostError(
        "The units are missing.",
        f"Neither {package / 'systemd'} nor {package.parent / 'contrib/systemd'} is there. Install the package anew.",
    )


def find_program(called: str) -> list[str]:
    """How systemd is to call this program: as it was called just now, else as systemd finds it in its own folders, else
    by this Python. It is tried, with systemd's environment instead of ours. Raises `HostError` when none does."""
    path = f"PATH={os.pathsep.join(_FOLDERS)}"
    tries = [[os.path.abspath(called)]] if os.path.basename(called) == "reconciler" else []
    tries += [[f"{folder}/reconciler"] for folder in _FOLDERS]
    tries += [[sys.executable, "-m", "reconciler"]]
    for argv in tries:
        try:
            done = run(["/usr/bin/env", "--ignore-environment", "--chdir=/", "--", path, *argv, "--version"], _SECONDS)
        except (OSError, NoAnswer):
            continue
        if done.stdout.strip() == f"reconciler {reconciler.__version__}":
            return argv
    told = ", ".join(" ".join(argv) for argv in tries)
    raise HostError(
        "The units would not find reconciler.",
        f"None of these is this version of it ({reconciler.__version__}) for systemd, which has no PYTHONPATH and no "
        f"virtual environment: {told}. Install it, or link to it from /usr/local/bin.",
    )


def out_of_reach(program: list[str], state_file: str) -> list[str]:
    """What of this the drift unit could not read, in sentences: the program's own file, the Python that it names in its
    first line, this package, and the state file, each with what links lead to."""
    found = []
    parts = [("the program", Path(program[0]))]
    parts += [("the program's Python", python)] if (python := _interpreter(Path(program[0]))) is not None else []
    if program[0] in (os.path.abspath(sys.argv[0]), sys.executable):
        parts.append(("the program's package", Path(reconciler.__file__)))
    for what, path in [*parts, ("the state file", Path(state_file))]:
        for place in dict.fromkeys((path, path.resolve())):
            hidden = next((folder for folder in _HIDDEN if place.is_relative_to(folder)), "")
            if hidden:
                found.append(f"{what} is in {hidden}: {place}")
    return found


def _interpreter(program: Path) -> Path | None:
    """Whom a script names in its first line ("#!/opt/venv/bin/python3 -I")."""
    try:
        with program.open("rb") as file:
            line = file.readline(512)
    except OSError:
        return None
    words = line[2:].decode(errors="replace").split() if line.startswith(b"#!") else []
    return Path(words[0]) if words and words[0].startswith("/") else None


def installed_state_file(root: Path) -> str:
    """The state file of the units that are in place, "" when there are none of ours. Raises `HostError`."""
    text = _text(root / UNITS / "reconciler-boot.service") or ""
    found = _NAMED_FILE.search(text) if is_own(text) else None
    return found[1] if found is not None else ""


def unit_files(root: Path, program: list[str], state_file: str) -> list[UnitFile]:
    """All of them, for this program and this state file. Raises `HostError` for a path that can't stand in a unit."""
    for what in (program[0], state_file):
        if not _PLAIN.fullmatch(what):
            raise HostError(
                "A path can't stand in a unit.",
                f"{what!r}: only absolute paths of letters, digits and /._+@- mean themselves there.",
                code=64,
            )
    return list(_files(root, " ".join(program), state_file))


def _files(root: Path, program: str, state_file: str) -> Iterator[UnitFile]:
    for source in sorted(source_folder().iterdir()):
        if source.suffix not in (".service", ".timer", ".conf"):
            continue
        text = _PROGRAM.sub(lambda found: found[1] + program, source.read_text(encoding="utf-8"))
        text = _GIT_FOLDER.sub(lambda found: found[1] + str(Path(state_file).parent), text)
        folder = SYSUSERS if source.suffix == ".conf" else UNITS
        text = _HEADER.format(name=source.name) + text.replace(STATE_FILE, state_file)
        yield UnitFile(source.name, root / folder / source.name, text)


def not_ours(files: list[UnitFile]) -> list[str]:
    """Files of these names that somebody else has put there, in sentences. Raises `HostError`."""
    found = []
    for file in files:
        if file.path.is_symlink():
            found.append(
                f"{file.path} is a link to {file.path.readlink()}: a unit that is masked, or of somebody else."
            )
        elif (text := _text(file.path)) is not None and not text.strip():
            found.append(f"{file.path} is empty, which masks what has its name: somebody wants none of it.")
        elif text is not None and not is_own(text):
            found.append(f"{file.path} was not written by reconciler install-units: its first line doesn't say so.")
    return found


def install(root: Path, files: list[UnitFile]) -> list[str]:
    """Writes what is not as it should be, and enables what is to be. Returns what was done, in sentences; nothing when
    all is as it should be. Raises `HostError`."""
    done = [f"Written: {file.path}" for file in files if _write(file)]
    if any(file.path.parent == root / SYSUSERS for file in files) and not _has_user():
        _command(["systemd-sysusers"], "The user of the drift unit was not made")
        if not _has_user():
            raise HostError(
                "A command failed.",
                f"systemd-sysusers made no user {USER}, whom the drift unit runs as. Something of the same name in "
                "/etc/sysusers.d may be in the way.",
            )
        done.append(f"Made: the user {USER}")
    written = any(line.startswith("Written: ") for line in done)
    stale = [] if written else _stale(files)  # An earlier try may have come no further.
    if written or stale:
        _command(["systemctl", "daemon-reload"], "systemd did not read its units anew")
    done += [f"Read anew: {name}" for name in stale]
    for name, now in ENABLED.items():
        if _state(["systemctl", "is-enabled", "--", name]) != "enabled":
            _command(["systemctl", "enable", "--", name], f"{name} was not enabled")
            done.append(f"Enabled: {name}")
        if now and _state(["systemctl", "is-active", "--", name]) != "active":
            _command(["systemctl", "start", "--", name], f"{name} was not started")
            done.append(f"Started: {name}")
    return done


def remove(files: list[UnitFile]) -> list[str]:
    """Disables, stops and deletes those of them that are ours. Returns what was done, in sentences."""
    ours = [file for file in files if not file.path.is_symlink() and is_own(_text(file.path) or "")]
    units = [file.name for file in ours if file.is_unit]
    if units:
        _command(["systemctl", "disable", "--now", "--", *units], "The units were not disabled")
        if _MEASURED in units:
            _state(["systemctl", "reset-failed", "--", _MEASURED])  # Nothing is cleaned of one that has failed.
            _command(["systemctl", "clean", "--what=runtime", "--", _MEASURED], "The metrics were not removed")
    for file in ours:
        _delete(file.path)
    if units:
        _command(["systemctl", "daemon-reload"], "systemd did not read its units anew")
    return [f"Removed: {file.path}" for file in ours]


def need_systemd(root: Path) -> None:
    """Raises `HostError` where systemd doesn't run."""
    if not booted(root):
        raise HostError("Units can't be installed.", "systemd does not run here (there is no /run/systemd/system).")


def _has_user() -> bool:
    return bool(_state(["getent", "passwd", USER]))


def _stale(files: list[UnitFile]) -> list[str]:
    """Units of which systemd knows another text than the file has. One that it hasn't loaded it reads when it does."""
    names = [file.name for file in files if file.is_unit]
    shown = _state(["systemctl", "show", "--property=Id,NeedDaemonReload", "--", *names])
    units = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in shown.split("\n\n")]
    return [unit.get("Id", "") for unit in units if unit.get("NeedDaemonReload") == "yes"]


def _state(argv: list[str]) -> str:
    """What `systemctl is-enabled` and `is-active` say in one word; their exit status says the same."""
    try:
        return run(argv, _SECONDS).stdout.strip()
    except (OSError, NoAnswer) as error:
        raise HostError("systemd can't be asked.", f"{' '.join(argv)}: {error}.") from error


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _not_written(path, error) from error


def _write(file: UnitFile) -> bool:
    if _text(file.path) == file.text:
        return False
    try:
        file.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        replace_file(file.path, file.text)
    except OSError as error:
        raise _not_written(file.path, error) from error
    return True


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> HostError:
    code = 77 if isinstance(error, PermissionError) else 1
    return HostError("A unit's file can't be read or written.", f"{path}: {error.strerror}.", code=code)


def _command(argv: list[str], failed: str) -> None:
    try:
        done = run(argv, _SECONDS)
    except FileNotFoundError as error:
        raise HostError("A command is missing.", f"{failed}: {argv[0]} is not installed (package systemd).") from error
    except (OSError, NoAnswer) as error:
        raise HostError("A command failed.", f"{failed}: {' '.join(argv)}: {error}.") from error
    if done.returncode != 0:
        said = done.stderr.strip() or f"exit code {done.returncode}"
        raise HostError("A command failed.", f"{failed}: {' '.join(argv)}: {said}")
