"""What is on record of earlier runs: their plans, the host before, what was done and what was left half done.

Nothing in a record is taken on trust: what is cut off, corrupt or of another type is damage, which is told and stops
nothing but what would have to rely on it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.apply.files import check_folder
from reconciler.apply.journal import BEFORE, FORMAT, LATER, MOVE, NOW, PLAN, read_records
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.files import read_regular
from reconciler.host.model import Snapshot
from reconciler.host.snapshot import load
from reconciler.json_data import read_json
from reconciler.plan.document import Plan, load_plan


@dataclass(slots=True)
class RecordedRun:
    """One run, as its journal tells it."""

    name: str
    folder: Path
    header: dict[str, Any] = field(default_factory=dict)
    """``at``, ``by``, ``file``, ``sha256``, ``commit``, ``boot_id``; ``undoes``: the run that it took back."""
    outcomes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By action: ``outcome``, ``error``, ``seconds``, ``written``."""
    unfinished: list[str] = field(default_factory=list)
    """Actions that were begun, and of which no end is known."""
    end: dict[str, Any] | None = None
    """``at``, ``code``, ``unmet``; ``None``: it was interrupted, or is under way."""
    armed: dict[str, Any] | None = None
    """``unit``, ``until`` (by CLOCK_BOOTTIME), ``at``: the timer that takes it back unless it is confirmed."""
    settled: str = ""
    """``confirmed``, ``taken-back``, ``given-up`` (a move), or ``caught-up``: it was interrupted, and a later apply
    found all as declared."""
    damage: list[str] = field(default_factory=list)
    """What of its journal can't be read, in words."""

    @property
    def known(self) -> bool:
        """Whether its journal says what run it is."""
        return bool(self.header)

    @property
    def begun(self) -> bool:
        """Whether it may have done anything: the first record is on disk before the first write."""
        return self.known or bool(self.damage)

    @property
    def is_move(self) -> bool:
        """Whether it moved a guest to another host: it has no plan, and rollback and confirm have no part in it."""
        return "moves" in self.header or (self.folder / MOVE).exists()

    @property
    def move_is_open(self) -> bool:
        """Whether it is a move that did not come to its end, and was not taken back since."""
        over = self.settled or (self.end is not None and self.end["code"] != ExitCode.PARTIAL)
        return self.is_move and self.begun and not over

    @property
    def boot_id(self) -> str:
        """In which boot of the host it was."""
        return str(self.header.get("boot_id", ""))

    @property
    def changed(self) -> set[str]:
        """Actions that changed something, or may have: of a journal that is damaged, any action of its plan. Each is
        judged by what is observed. Raises `ReconcilerError` 65 when that plan is damaged too."""
        if self.damage:
            return {action.id for action in self.done().actions}
        done = {
            key
            for key, item in self.outcomes.items()
            if item["outcome"] == "changed" or (item["outcome"] == "failed" and item.get("written"))
        }
        return done | set(self.unfinished)

    @property
    def waits(self) -> bool:
        """Whether it was to be confirmed, and neither was nor was taken back."""
        over = (ExitCode.ROLLED_BACK, ExitCode.FAILED, ExitCode.INTERRUPTED)
        return self.armed is not None and not self.settled and (self.end is None or self.end["code"] not in over)

    @property
    def partly_back(self) -> bool:
        """Whether it is a rollback that left something to do: another one goes on with it."""
        return "undoes" in self.header and (self.end is None or self.end["code"] != ExitCode.OK)

    def told(self) -> dict[str, Any]:
        """What views show of it."""
        names = ("name", "header", "outcomes", "unfinished", "end", "waits", "settled", "damage", "begun")
        until = "" if self.armed is None else str(self.armed.get("at", ""))
        return {name: getattr(self, name) for name in names} | {"until": until}

    def plan(self) -> Plan:
        """What it was to do. Raises `ReconcilerError` 65 when the file is damaged."""
        return self._plan(PLAN)

    def targets(self) -> list[str]:
        """What alone of the state file it was to do; empty for all. Raises `ReconcilerError` 65 when the file is
        damaged. The plan as a whole is not looked through for that."""
        try:
            document = read_json(self._read(PLAN))
        except ValueError as error:
            raise self._damaged(PLAN, ReconcilerError("It is not JSON.", f"{error}.")) from None
        targets = document.get("targets", []) if isinstance(document, dict) else None
        if not isinstance(targets, list):
            raise self._damaged(PLAN, ReconcilerError("It is no plan.", "It does not say what it was limited to."))
        return targets

    def done(self) -> Plan:
        """What of its plan was carried out: all, or the half that comes before a confirmation."""
        return self._plan(PLAN if self.armed is None else NOW)

    def later(self) -> Plan:
        """What is left for the confirmation to do."""
        return self._plan(LATER)

    def _plan(self, name: str) -> Plan:
        try:
            return load_plan(self._read(name), str(self.folder / name))
        except ReconcilerError as error:
            raise self._damaged(name, error) from None

    def before(self) -> Snapshot:
        """The host as it was when it began. Raises `ReconcilerError` 65 when the file is damaged."""
        try:
            return load(self._read(BEFORE), str(self.folder / BEFORE), own=True)
        except ReconcilerError as error:
            raise self._damaged(BEFORE, error) from None

    def lost(self) -> str:
        """Why it can't be taken back, "" when its record can be read."""
        try:
            self.done()
            self.before()
        except ReconcilerError as error:
            return f"{error.summary} {error.detail}"
        return ""

    def _read(self, name: str) -> bytes:
        path = self.folder / name
        try:
            return read_regular(path)
        except OSError as error:
            raise ReconcilerError("", f"{path}: {error.strerror or error}.", code=ExitCode.INVALID) from None

    def _damaged(self, name: str, error: ReconcilerError) -> ReconcilerError:
        why = error.detail.partition("Make one with:")[0].strip()
        return ReconcilerError("A run's record is damaged.", f"Run {self.name}, {name}: {why}", code=ExitCode.INVALID)


def recorded_runs(state_dir: Path) -> list[RecordedRun]:
    """All runs, the last one first, also those whose record is damaged."""
    return list(_runs(state_dir))


def run_named(state_dir: Path, name: str) -> RecordedRun | None:
    """A run by its name; ``None`` when it isn't on record any more."""
    folder = state_dir / "runs" / name
    return _read_run(folder) if folder.is_dir() else None


def last_run(state_dir: Path) -> RecordedRun | None:
    """The last run of a plan that is on record and may have done anything."""
    return next((run for run in _runs(state_dir) if run.begun and not run.is_move), None)


def open_moves(state_dir: Path) -> list[RecordedRun]:
    """Moves that did not come to their end, the last one first. Of runs that have a plan, which are many after some
    years, no journal is read."""
    return [run for run in _runs(state_dir, planned=False) if run.move_is_open]


def _runs(state_dir: Path, *, planned: bool = True) -> Iterator[RecordedRun]:
    """The last one first, each read when it is its turn. ``planned``: also those that surely are no moves."""
    runs = state_dir / "runs"
    try:
        check_folder(state_dir)
        check_folder(runs)
        names = sorted((entry.name for entry in os.scandir(runs) if entry.is_dir(follow_symlinks=False)), reverse=True)
    except FileNotFoundError:
        return
    except OSError as error:
        denied = isinstance(error, PermissionError)
        raise ReconcilerError(
            "The runs can't be read.",
            f"{runs}: {error.strerror}." + (" Run it as root." if denied else ""),
            code=ExitCode.NOT_PERMITTED if denied else ExitCode.FAILED,
        ) from None
    for name in names:
        if planned or not (runs / name / PLAN).exists() or (runs / name / MOVE).exists():
            yield _read_run(runs / name)


def _read_run(folder: Path) -> RecordedRun:
    records = read_records(folder)
    run = RecordedRun(folder.name, folder, damage=records.damage)
    for number, record in records.items:
        event = record.get("event")
        wrong = _wrong(event, record)
        if wrong:
            run.damage.append(f"line {number} of the journal is no record of {event!r}: {wrong}")
        elif event == "run":
            given = record.get("format", FORMAT)
            if given != FORMAT:
                run.damage.append(f"its format is {given!r}, which takes another version of reconciler")
                break
            run.header = {key: value for key, value in record.items() if key not in ("event", "format")}
        elif isinstance(event, str):
            _note(run, event, record)
    if not run.known and (run.damage or records.items):
        run.damage.append("the record of how it began is lost")
    return run


def _note(run: RecordedRun, event: str, record: dict[str, Any]) -> None:
    match event:
        case "begin":
            run.unfinished += record["actions"]
        case "done":
            run.outcomes |= record.get("outcomes", {})
            run.unfinished = [item for item in run.unfinished if item not in record["actions"]]
        case "end":
            run.end = record
        case "armed":
            run.armed = record
        case "confirmed" | "taken-back" | "caught-up" | "given-up":
            run.settled = event


def _wrong(event: Any, record: dict[str, Any]) -> str:
    """What is wrong with a record, "" when nothing is. Events of a later version are none of our business."""
    if not isinstance(event, str):
        return "it has no name"
    needed, perhaps = _SHAPES.get(event, ({}, {}))
    lacking = [name for name in needed if name not in record]
    other = [name for name, fits in {**needed, **perhaps}.items() if name in record and not fits(record[name])]
    return " and ".join(
        [*(f"it has no {name!r}" for name in lacking), *(f"{name!r} is something else" for name in other)]
    )


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


def _code(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _outcomes(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(item, dict) and _outcome(item) for item in value.values())


def _outcome(item: dict[str, Any]) -> bool:
    told = _text(item.get("error", "")) and _number(item.get("seconds", 0))
    return told and _text(item.get("outcome")) and isinstance(item.get("written", False), bool)


_Shape = dict[str, Callable[[Any], bool]]
_HEADER: _Shape = dict.fromkeys(
    ("at", "by", "file", "sha256", "commit", "boot_id", "undoes", "confirms", "tool", "moves", "to"), _text
)
_SHAPES: dict[str, tuple[_Shape, _Shape]] = {
    "run": ({}, _HEADER),
    "begin": ({"actions": _texts}, {}),
    "done": ({"actions": _texts}, {"outcomes": _outcomes}),
    "end": ({"code": _code}, {"at": _text, "unmet": _texts}),
    "armed": ({"unit": _text, "until": _number}, {"at": _text}),
}
"""By event: what its record must have, and what it may have."""
