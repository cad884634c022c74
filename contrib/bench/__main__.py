"""``make bench``: runs the comparisons, prints the table, and stores it beside this file, with a plot."""

from __future__ import annotations

import argparse
import compileall
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from contrib.bench import inside, machine, results
from contrib.bench.measure import STORED_RUNS, CandidateFailed, Row
from contrib.bench.plot import draw
from contrib.bench.readme import refresh
from tests.lab.machinery import Lab, LabError

PLACES = ("plain", "lab")
_FIRST = ("startup", "plan_twin", "planning", "fleet")
"""Modules that go before the others of their place in the table."""


@dataclass(frozen=True)
class Part:
    """A module with measurements: ``IDS`` are the rows that it makes, by ``rows(runs)`` or, in the lab,
    ``rows(lab, runs)``."""

    place: str
    name: str
    module: ModuleType

    @property
    def ids(self) -> tuple[str, ...]:
        """Its rows."""
        ids: tuple[str, ...] = self.module.IDS
        return ids

    def prepare(self) -> None:
        """What it needs from this machine and may lack, so that it is told at once, and not after half an hour. Raises
        `CandidateFailed`."""
        prepare = getattr(self.module, "prepare", None)
        if prepare is not None:
            prepare()

    def asked(self, wanted: Sequence[str]) -> bool:
        """Whether any of these is meant for it: an ID, its name, or its place."""
        return not wanted or bool({self.place, self.name, *self.ids} & set(wanted))

    def chosen(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """Those of its rows that are asked for."""
        if not wanted or {self.place, self.name} & set(wanted):
            return self.ids
        return tuple(name for name in self.ids if name in wanted)


def parts() -> list[Part]:
    """All of them, in the order of the table."""
    found: list[Part] = []
    for place in PLACES:
        names = sorted(name for _, name, _ in iter_modules([str(Path(__file__).parent / place)]))
        names.sort(key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))
        found += [Part(place, name, import_module(f"contrib.bench.{place}.{name}")) for name in names]
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """0: all bars are reached; 1: one is missed, or something could not be measured; 2: wrong usage."""
    begun, load = datetime.now(UTC).isoformat(timespec="seconds"), round(os.getloadavg()[0], 1)
    known = parts()
    options = _options(argv, known)
    wanted = [part for part in known if part.asked(options.ids)]
    try:
        for part in wanted:
            part.prepare()
    except CandidateFailed as error:
        print(f"Nothing was measured: {part.name}: {error}", file=sys.stderr)
        return 1
    compileall.compile_dir(machine.CHECKOUT / "reconciler", quiet=1)  # As an installed one is.
    before = machine.versions()
    found = _measured(wanted, options)
    versions = machine.same(before, machine.versions())
    rows = [(row, results.Origin(begun, load, versions, lab)) for row, lab in found.rows]
    return _finish(results.document(rows, machine.machine()), found.failures, options, known)


@dataclass
class _Found:
    """What was measured, with the versions in the lab, and what could not be."""

    rows: list[tuple[Row, dict[str, str]]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def _measured(wanted: Sequence[Part], options: argparse.Namespace) -> _Found:
    """A part that fails takes none of the others with it: they took half an hour."""
    found = _Found()
    lab = _Lab() if any(part.place == "lab" for part in wanted) else None
    try:
        for part in wanted:
            chosen = part.chosen(options.ids)
            print(f"measuring {part.name}: {', '.join(chosen)}", file=sys.stderr, flush=True)
            try:
                if part.place == "lab":
                    assert lab is not None
                    made = part.module.rows(lab.fresh(), options.runs)
                else:
                    made = part.module.rows(options.runs)
            except Exception as error:  # noqa: BLE001  a part's own fault must not cost what the others have measured
                if not isinstance(error, CandidateFailed | LabError):
                    traceback.print_exc()
                found.failures.append(f"{part.name} could not be measured: {error or type(error).__name__}")
                print(found.failures[-1], file=sys.stderr, flush=True)
                continue
            in_lab = lab.versions if lab is not None and part.place == "lab" else {}
            found.rows += [(row, in_lab) for row in made if row.id in chosen]
    finally:
        if lab is not None:
            lab.close()
    return found


class _Lab:
    """The lab, once somebody needs it: the plain rows are measured while nothing else runs."""

    def __init__(self) -> None:
        self.machine = Lab(os.environ.get("LAB_NAME") or f"bench-{os.getpid()}")
        self.versions: dict[str, str] = {}
        self._ran_before = self.machine.running()
        self._refused: LabError | None = None

    def fresh(self) -> Lab:
        """As each module begins. A lab that doesn't come up is not tried again for each of them."""
        if self._refused is not None:
            raise self._refused
        if not self.versions:
            try:
                inside.make_ready(self.machine)
                self.versions = inside.versions(self.machine)
            except LabError as error:
                self._refused = error
                raise
        self.machine.restore(inside.READY)
        return self.machine

    def close(self) -> None:
        """Takes it down, unless it ran before."""
        if not self._ran_before:
            self.machine.down()


def _options(argv: Sequence[str] | None, known: Sequence[Part]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m contrib.bench", description=__doc__)
    parser.add_argument("ids", nargs="*", metavar="ID", help="rows, modules, plain or lab [default: all]")
    parser.add_argument("--runs", type=int, default=STORED_RUNS, help="of each candidate [default: %(default)s]")
    parser.add_argument("--store", action=argparse.BooleanOptionalAction, default=True, help="store what was measured")
    parser.add_argument("--list", action="store_true", help="what there is")
    options = parser.parse_args(argv)
    if options.list:
        print("".join(f"{part.place:6} {part.name:16} {' '.join(part.ids)}\n" for part in known), end="")
        raise SystemExit(0)
    names = {name for part in known for name in (part.place, part.name, *part.ids)}
    unknown = [name for name in options.ids if name not in names]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; --list shows what there is")
    if options.runs < 1:
        parser.error("--runs: at least 1")
    return options


def _finish(
    measured: dict[str, Any], failures: Sequence[str], options: argparse.Namespace, known: Sequence[Part]
) -> int:
    print(results.text(measured), end="")
    missed = [row["id"] for row in measured["rows"] if not row["met"]]
    reason = _why_not_stored(measured, options)
    if reason:
        print(f"Nothing was stored: {reason}.", file=sys.stderr)
    else:
        store(merged(results.read(), measured, known))
    if missed:
        print(f"Missed: {', '.join(missed)}", file=sys.stderr)
    for failure in failures:
        print(f"Failed: {failure}", file=sys.stderr)
    return 1 if missed or failures else 0


def _why_not_stored(measured: dict[str, Any], options: argparse.Namespace) -> str:
    if not options.store:
        return "--no-store"
    if not measured["rows"]:
        return "nothing was measured"
    return f"it takes at least {STORED_RUNS} runs" if options.runs < STORED_RUNS else ""


def merged(before: dict[str, Any], measured: dict[str, Any], known: Sequence[Part]) -> dict[str, Any]:
    """What was measured now, with the rows of earlier that were not, each with the time and versions that it is from:
    only those of the same machine, since figures of two machines don't belong into one table."""
    order = [name for part in known for name in part.ids]
    comparable = (before["format"], before["machine"]) == (measured["format"], measured["machine"])
    kept = {row["id"]: row for row in before["rows"]} if comparable else {}
    fresh = {row["id"]: row for row in measured["rows"]}
    rows = {name: row for name, row in {**kept, **fresh}.items() if name in order}
    return {**measured, "rows": sorted(rows.values(), key=lambda row: order.index(row["id"]))}


def store(stored: dict[str, Any]) -> None:
    """Writes the document, and what is made of it."""
    rows = results.rows_of(stored)
    results.JSON.write_text(results.dump(stored), encoding="utf-8")
    results.TABLE.write_text(results.text(stored), encoding="utf-8")
    results.PLOT.write_text(draw(rows), encoding="utf-8")
    refresh(stored)


if __name__ == "__main__":
    sys.exit(main())
