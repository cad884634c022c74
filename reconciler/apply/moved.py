"""What is on record of a move: both definitions, kept before the first order is given, so that whatever happens the
guest can be had again from here."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from reconciler.apply.journal import MOVE, Journal, add_record, header_of, read_records, run_name
from reconciler.apply.runs import RecordedRun
from reconciler.clock import now
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.files import read_regular
from reconciler.host.guests import Essence, MovingGuest
from reconciler.plan.move import FORMAT, Move

SEEN = "seen"
"""Record of the definition as the destination gives it back: by that it is known again as ours."""
LEFT = "left"
"""Record of the definition as it is here without the NICs that were taken out: nothing else is replaced."""
GIVEN_UP = "given-up"
"""Record that nobody is to go on with a move."""
Undefined = Literal["", "begun", "done"]


@dataclass(slots=True)
class Cargo:
    """What is moved."""

    name: str
    uuid: str
    to: str
    """URI of the destination."""
    original: str
    """The definition as it was here."""
    original_essence: Essence
    sent: str
    """The same without the NICs that name a VF of this host."""
    sent_essence: Essence
    autostart: bool
    identity: str = ""
    """Of the host that it is on, and of the one that it goes to."""
    identity_there: str = ""
    seen: list[str] = field(default_factory=list)
    """As the destination has given it back, if it has."""
    left: list[str] = field(default_factory=list)
    """As it was read back here without those NICs."""
    undefined: Undefined = ""
    """How far the order to undefine it here has come."""
    record: str = ""
    """The file with all this, for messages."""

    @property
    def nics(self) -> list[str]:
        """The NICs that it has here and are not sent, in words."""
        return [name for name in self.original_essence if name not in self.sent_essence]


def cargo_of(guest: MovingGuest, to: str, identity: str, identity_there: str) -> Cargo:
    """What is moved of a guest, between which hosts."""
    definition = guest.definition
    return Cargo(
        definition.name,
        definition.uuid,
        to,
        definition.xml,
        definition.essence,
        guest.stripped,
        guest.stripped_essence,
        definition.autostart,
        identity,
        identity_there,
    )


def begin(state_dir: Path, move: Move, cargo: Cargo, boot_id: str) -> Journal:
    """The journal of a new run, with all that it takes to take it back."""
    name = run_name()
    kept = {"format": FORMAT, "document": move.document(), "cargo": asdict(cargo)}
    files = {MOVE: json.dumps(kept, ensure_ascii=False) + "\n"}
    header = {**header_of(boot_id), "moves": cargo.name, "to": cargo.to}
    journal = Journal(state_dir, name, files, header)
    cargo.record = str(journal.folder / MOVE)
    return journal


def read_document(run: RecordedRun) -> dict[str, Any]:
    """The plan of a recorded move. Raises `ReconcilerError` 65 when it is damaged."""
    document = _read(run).get("document")
    if not isinstance(document, dict) or not _is_document(document):
        raise _damaged(run, f"{MOVE} has no plan that can be shown")
    return document


def _is_document(document: dict[str, Any]) -> bool:
    """Whether it has all that is shown of a move that is over."""
    steps = document.get("steps")
    return (
        all(isinstance(document.get(key), str) for key in ("domain", "host", "destination"))
        and all(_is_texts(document.get(key)) for key in ("pools", "toml", "resets"))
        and isinstance(steps, list)
        and all(
            isinstance(step, dict) and all(isinstance(step.get(key), str) for key in ("id", "side", "text"))
            for step in steps
        )
    )


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def read_cargo(run: RecordedRun) -> Cargo:
    """What a recorded move was about. Raises `ReconcilerError` 65 when it is damaged."""
    given = _read(run).get("cargo")
    texts = ("name", "uuid", "to", "original", "sent", "identity", "identity_there")
    essences = ("original_essence", "sent_essence")
    if (
        not isinstance(given, dict)
        or not all(isinstance(given.get(key), str) and given[key] for key in texts)
        or not all(_is_essence(given.get(key)) for key in essences)
        or not isinstance(given.get("autostart"), bool)
    ):
        raise _damaged(run, f"{MOVE} lacks what was moved")
    cargo = Cargo(**{key: given[key] for key in (*texts, *essences, "autostart")})
    kept = {SEEN: cargo.seen, LEFT: cargo.left}
    for _, record in read_records(run.folder).items:
        if record.get("event") in kept and isinstance(record.get("xml"), str):
            kept[record["event"]].append(record["xml"])
    outcome = run.outcomes.get("undefine", {}).get("outcome")
    cargo.undefined = "done" if outcome == "changed" else "begun" if outcome or "undefine" in run.unfinished else ""
    cargo.record = str(run.folder / MOVE)
    return cargo


def is_of(run: RecordedRun, name: str, uuid: str) -> bool:
    """Whether a recorded move is of this guest: by UUID, since guests are renamed; by name where one is not known."""
    try:
        known = read_cargo(run).uuid
    except ReconcilerError:
        known = ""
    return known == uuid if known and uuid else run.header.get("moves") == name


def give_up(run: RecordedRun) -> None:
    """Notes that nobody is to go on with a move, whatever it has left."""
    add_record(run.folder, GIVEN_UP, at=now())


def settle(run: RecordedRun, code: ExitCode | None = None) -> None:
    """Notes that an earlier move is over: taken back, or with this code come to its end after all."""
    if code in (None, ExitCode.PARTIAL):
        add_record(run.folder, "taken-back", at=now())
    elif code is not None:
        add_record(run.folder, "end", at=now(), code=int(code), unmet=[])


def _is_essence(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for pair in value.items() for item in pair)


def _read(run: RecordedRun) -> dict[str, Any]:
    try:
        kept = json.loads(read_regular(run.folder / MOVE))
    except OSError as error:
        raise _damaged(run, f"{MOVE}: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise _damaged(run, f"{MOVE} is no JSON") from None
    if not isinstance(kept, dict) or kept.get("format") != FORMAT:
        raise _damaged(run, f"{MOVE} is no {FORMAT} document")
    return kept


def _damaged(run: RecordedRun, why: str) -> ReconcilerError:
    what = f"move of {run.header.get('moves', 'a guest')}"
    return ReconcilerError(
        "A run's record is damaged.",
        f"Run {run.name}, {what}: {why}. Look with `virsh list --all` on both hosts which has the guest.",
        code=ExitCode.INVALID,
    )
