"""``make bench``: runs the comparisons, prints the table, and stores it beside this file, with a plot."""

from __future__ import annotations

import argparse
import compileall
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
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
    load = os.getloadavg()[0]
    known = parts()
    options = _options(argv, known)
    wanted = [part for part in known if part.asked(options.ids)]
    compileall.compile_dir(machine.CHECKOUT / "reconciler", quiet=1)  # As an installed one is.
    rows: list[Row] = []
    failures: list[str] = []
    lab = None
    versions: dict[str, str] = {}
    try:
        if any(part.place == "lab" for part in wanted):
            lab = _Lab()
        for part in wanted:
            print(f"measuring {part.name}: {', '.join(part.chosen(options.ids))}", file=sys.stderr, flush=True)
            try:
                if part.place == "lab":
                    assert lab is not None
                    made = part.module.rows(lab.fresh(), options.runs)
                    versions = versions or inside.versions(lab.machine)
                else:
                    made = part.module.rows(options.runs)
                rows += [row for row in made if row.id in part.chosen(options.ids)]
            except (CandidateFailed, LabError) as error:
                failures.append(f"{part.name} could not be measured: {error}")
                print(failures[-1], file=sys.stderr, flush=True)
    finally:
        if lab is not None:
            lab.close()
    return _finish(rows, failures, options, known, versions, load)


class _Lab:
    """The lab, once somebody needs it: the plain rows are measured while nothing else runs."""

    def __init__(self) -> None:
        self.machine = Lab(os.environ.get("LAB_NAME") or f"bench-{os.getpid()}")
        self._ran_before = self.machine.running()
        self._ready = False

    def fresh(self) -> Lab:
        """As each module begins."""
        if not self._ready:
            inside.make_ready(self.machine)
            self._ready = True
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
    rows: list[Row],
    failures: list[str],
    options: argparse.Namespace,
    known: Sequence[Part],
    lab: dict[str, str],
    load: float,
) -> int:
    print(results.table(rows))
    missed = [row.id for row in rows if not row.met()]
    reason = _why_not_stored(rows, failures, options)
    if reason:
        print(f"Nothing was stored: {reason}.", file=sys.stderr)
    else:
        stored = merged(results.read(), results.document(rows, machine.machine(), machine.versions(), lab, load), known)
        store(stored)
        print(results.told(stored))
    if missed:
        print(f"Missed: {', '.join(missed)}", file=sys.stderr)
    for failure in failures:
        print(f"Failed: {failure}", file=sys.stderr)
    return 1 if missed or failures else 0


def _why_not_stored(rows: Sequence[Row], failures: Sequence[str], options: argparse.Namespace) -> str:
    if not options.store:
        return "--no-store"
    if failures:
        return "something could not be measured"
    if not rows:
        return "nothing was measured"
    return f"it takes at least {STORED_RUNS} runs" if options.runs < STORED_RUNS else ""


def merged(before: dict[str, Any], measured: dict[str, Any], known: Sequence[Part]) -> dict[str, Any]:
    """What was measured now, with the rows of earlier that were not: only those of the same machine, since figures of
    two machines don't belong into one table."""
    order = [name for part in known for name in part.ids]
    fresh = {row["id"]: row for row in measured["rows"]}
    kept = {row["id"]: row for row in before["rows"]} if before["machine"] == measured["machine"] else {}
    rows = {name: row for name, row in {**kept, **fresh}.items() if name in order}
    lab = measured["lab"] or (before["lab"] if kept else {})
    return {**measured, "lab": lab, "rows": sorted(rows.values(), key=lambda row: order.index(row["id"]))}


def store(stored: dict[str, Any]) -> None:
    """Writes the document, and what is made of it."""
    rows = results.rows_of(stored)
    results.JSON.write_text(results.dump(stored), encoding="utf-8")
    results.TABLE.write_text(f"{results.table(rows)}\n{results.told(stored)}\n", encoding="utf-8")
    results.PLOT.write_text(draw(rows), encoding="utf-8")
    refresh(stored)


if __name__ == "__main__":
    sys.exit(main())
