"""Several state files for one host. What is on record belongs to the host and not to a file, so that the last apply
counts, whichever file it was of; but it is told."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.output import say
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.cli.options import Options
    from reconciler.host.model import Snapshot
    from reconciler.plan.document import Plan
    from reconciler.plan.several import Said
    from reconciler.state.desired import Desired

_SHOWN = 10
"""Fields that are listed; of more, the number is told."""


@dataclass(frozen=True, slots=True)
class FileOnHost:
    """A state file, and the host that it is for."""

    path: str
    desired: Desired
    observed: Snapshot


def contradicting(read: list[FileOnHost]) -> Iterator[ReconcilerError]:
    """An error for each two files that are for one host and can't both be as declared."""
    from reconciler.plan.several import contradictions

    for one, other in combinations(read, 2):
        names = {name for name in (one.desired.host_name, other.desired.host_name) if name}
        if one.observed.host.machine_id != other.observed.host.machine_id or len(names) > 1:
            continue
        found = [
            f"{_told(first, one.path)}, and {_told(second, other.path)}"
            for first, second in contradictions(one.desired, other.desired, one.observed)
        ]
        if found:
            lines = [
                f"{one.path} and {other.path} are for {one.observed.host.name}, where applying one takes back what the "
                "other declares. Put all that is for one host into one file.",
                *found[:_SHOWN],
                *([f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []),
            ]
            yield ReconcilerError(
                "Two files for one host contradict one another.", "\n  ".join(lines), code=ExitCode.FAILED
            )


def _told(said: Said, path: str) -> str:
    from reconciler.report.values import human, place

    return f"{said.what} is {human(said.what.rpartition('.')[2], said.value)} in {place(path, [said.line]) or path}"


def note_taken_over(options: Options, plan: Plan, desired: Desired, observed: Snapshot) -> None:
    """Notes what this plan changes that was last applied from another file."""
    from reconciler.apply.runs import run_named
    from reconciler.plan.several import taken_over

    by_file: dict[str, list[str]] = {}
    for name, fields in taken_over(plan, desired, observed).items():
        try:
            run = run_named(options.state_dir, name)
        except ReconcilerError:
            continue  # A record that can't be read costs the note; an apply says later what is wrong with it.
        file = str(run.header.get("file", "")) if run is not None else ""
        if file and plan.source.path and not _same(file, plan.source.path):
            by_file.setdefault(file, []).extend(fields)
    for file, fields in by_file.items():
        more = f" and {len(fields) - _SHOWN} more" if len(fields) > _SHOWN else ""
        say(
            f"Note: {', '.join(fields[:_SHOWN])}{more} was last applied from {file}, and {plan.source.path} declares "
            "otherwise. If both files are for this host, each apply takes back the other's: put all into one."
        )


def _same(one: str, other: str) -> bool:
    """Whether two paths may be of one file: a run has on record what was typed, and not in which folder."""
    first, second = Path(one), Path(other)
    return first.name == second.name and (first == second or not (first.is_absolute() and second.is_absolute()))
