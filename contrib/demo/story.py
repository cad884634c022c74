"""The story that ``make demo`` and ``make demo-lab`` tell: chapters with the commands of a working day, and what each
must end with. Who tells it brings a way to run a command."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Run = Callable[[str], int]
"""Runs a shell command whose output goes to the reader of the story; returns its exit code."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """One command, with what leads to it and its exit code when all goes well."""

    title: str
    command: str
    code: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where the story plays."""

    reconciler: str
    """The command with its global options."""
    state: str
    """The state file."""
    guest: str
    """A guest that runs and has VFs in the end."""
    look: str
    """What shows the guest's VFs by other means than our own."""
    meddling: str
    """What somebody changes by hand: undisruptive, and more than one thing."""
    fewer: str
    """Writes ``{state}`` with fewer VFs on a PF whose VFs guests have to the file in `changed`."""
    changed: str


def chapters(place: Place) -> list[Chapter]:
    """The story in this place."""
    command, state = place.reconciler, place.state
    return [
        Chapter("The host as it is: cards, no VFs, guests.", f"{command} inspect"),
        Chapter("What the state file says, in short.", f"grep -v '^ *#' {state} | sed -n '1,40p'; echo '…'"),
        Chapter("The plan: what would be done, in order, and why. Nothing is changed.", f"{command} plan {state}"),
        Chapter("It is carried out, each step read back.", f"{command} apply {state} --yes"),
        Chapter(f"{place.guest} has its VFs.", place.look),
        Chapter("A second plan has nothing to do.", f"{command} plan {state}"),
        Chapter("Somebody changes things by hand …", place.meddling),
        Chapter("… which the drift check finds (exit code 2) …", f"{command} drift {state}", 2),
        Chapter("… and apply mends: this, and nothing else.", f"{command} apply {state} --yes"),
        Chapter(
            "A change that looks harmless: fewer VFs. The kernel can only do that by removing them all, and guests "
            "have some. It is refused (exit code 5).",
            f"{place.fewer}; {command} apply {place.changed} --yes",
            5,
        ),
        Chapter("In sync, as before.", f"{command} drift {state}"),
    ]


def tell(story: Sequence[Chapter], run: Run) -> int:
    """Tells it; 1 as soon as a command ends otherwise than the story says."""
    for number, chapter in enumerate(story, 1):
        print(f"\n━━ {number}. {chapter.title}\n$ {chapter.command}\n", flush=True)
        code = run(chapter.command)
        if code != chapter.code:
            print(f"\nThe story ends here: exit code {code}, expected {chapter.code}.", file=sys.stderr)
            return 1
    return 0
