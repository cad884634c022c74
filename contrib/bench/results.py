"""What was measured, as documents: results.json, and the table that is made of it."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from contrib.bench.measure import Bar, Row, Spread

HERE = Path(__file__).parent
JSON, TABLE, PLOT = HERE / "results.json", HERE / "results.md", HERE / "results.svg"
FORMAT = "reconciler-bench/2"
_COLUMNS = ("what", "command", "ours", "against", "bar", "median (min to max)", "")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a figure is from. Rows of several runs may stand in one document, so each has its own."""

    at: str
    """When its run began."""
    load: float
    """The load average then, which is that of others."""
    versions: Mapping[str, str]
    lab: Mapping[str, str]
    """Versions in the lab; none of a row that was not measured there."""


def document(rows: Iterable[tuple[Row, Origin]], machine: Mapping[str, Any]) -> dict[str, Any]:
    """The document of a run, all of it on this machine."""
    return {
        "format": FORMAT,
        "machine": dict(machine),
        "rows": [{**_as_json(row), "measured": asdict(origin)} for row, origin in rows],
    }


def _as_json(row: Row) -> dict[str, Any]:
    bar = row.bar
    return {
        "id": row.id,
        "what": row.what,
        "command": row.command,
        "unit": row.unit,
        "runs": len(row.ours),
        "bar": None if bar is None else {"how": bar.how, "limit": bar.limit, "peer": bar.peer},
        "met": row.met(),
        "ours": [round(value, 6) for value in row.ours],
        "peers": {name: [round(value, 6) for value in values] for name, values in row.peers.items()},
        "ratios": {
            name: {"faster": row.faster(name), **Spread.of([round(r, 3) for r in row.ratios(name)])._asdict()}
            for name in row.peers
        },
        "note": row.note,
    }


def rows_of(stored: Mapping[str, Any]) -> list[Row]:
    """The rows of a document."""
    return [
        Row(
            id=item["id"],
            what=item["what"],
            command=item["command"],
            bar=None if item["bar"] is None else Bar(**item["bar"]),
            ours=item["ours"],
            peers=item["peers"],
            unit=item["unit"],
            note=item["note"],
        )
        for item in stored["rows"]
    ]


def read(path: Path = JSON) -> dict[str, Any]:
    """The document that is stored; without rows if there is none."""
    if not path.exists():
        return {"format": FORMAT, "machine": {}, "rows": []}
    stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return stored


def dump(stored: Mapping[str, Any]) -> str:
    """The document's text; a line per list of figures."""
    lines = json.dumps({key: value for key, value in stored.items() if key != "rows"}, indent=1)[:-2]
    rows = ",\n  ".join(json.dumps(row) for row in stored["rows"])
    return f'{lines},\n "rows": [\n  {rows}\n ]\n}}\n'


def table(rows: Sequence[Row], notes: Mapping[str, int] = MappingProxyType({})) -> str:
    """The rows in Markdown: a line per peer, one for a row without any. ``notes``: the number of a row's note."""
    lines = [line for row in rows for line in _table_lines(row, notes.get(row.id))]
    return _line(*_COLUMNS) + _line(*["---"] * len(_COLUMNS)) + "".join(lines)


def _table_lines(row: Row, note: int | None) -> list[str]:
    bar = row.bar
    what = f"{row.what} ({note})" if note else row.what
    ours = figure(statistics.median(row.ours), row.unit)
    if not row.peers:
        low, median, high = row.reached()
        told = f"{_number(median)} {row.unit} ({_number(low)} to {_number(high)})"
        return [_line(what, f"`{row.command}`", ours, "", bar.text(row.unit) if bar else "", told, _mark(row))]
    lines: list[str] = []
    for name, values in row.peers.items():
        low, median, high = Spread.of(row.ratios(name))
        theirs = f"{name}: {figure(statistics.median(values), row.unit)}"
        of_bar = bar is not None and bar.peer in (name, "")
        told = f"{_number(median)} ×{' faster' if row.faster(name) else ''} ({_number(low)} to {_number(high)})"
        lines.append(
            _line(
                what if not lines else "",
                f"`{row.command}`" if not lines else "",
                ours if not lines else "",
                theirs,
                bar.text(row.unit) if bar is not None and of_bar else "",
                told,
                _mark(row) if of_bar else "",
            )
        )
    return lines


def _mark(row: Row) -> str:
    return "" if row.bar is None else "met" if row.met() else "**missed**"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def figure(value: float, unit: str) -> str:
    """``64 ms``, ``1.52 s``, ``212 MB``."""
    if unit == "s" and value < 0.9995:
        return f"{_number(value * 1000)} ms"
    return f"{_number(value)} {unit}"


def _number(value: float) -> str:
    """Three digits of it, and never fewer than those before the point."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def text(stored: Mapping[str, Any]) -> str:
    """The table with what has to be known about it below."""
    if not stored["rows"]:
        return ""
    notes = _notes(stored["rows"])
    numbers = {name: number for number, ids in enumerate(notes.values(), 1) for name in ids}
    below = "".join(f"{number}. {note}\n" for number, note in enumerate(notes, 1))
    return f"{table(rows_of(stored), numbers)}\n{below}{chr(10) if below else ''}{told(stored)}\n"


def _notes(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Each note once, with the rows that it belongs to."""
    return _grouped((row["note"], row["id"]) for row in rows if row["note"])


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def told(stored: Mapping[str, Any]) -> str:
    """Where, when and with which versions; what is not the same for all rows is told of each."""
    machine, rows = stored["machine"], stored["rows"]
    runs = sorted({row["runs"] for row in rows})
    kind = "a virtual machine" if machine["virtual"] else "a machine"
    sentences = [
        f"Measured on {kind} with {machine['cores']} cores ({machine['cpu']}), {machine['memory_mb'] / 1024:.0f} GB, "
        f"kernel {machine['kernel']}; {' to '.join(map(str, dict.fromkeys((runs[0], runs[-1]))))} runs each, in turn "
        "with the peers."
    ]
    origins = _grouped((_origin(row["measured"], machine["cores"]), row["id"]) for row in rows)
    sentences += [f"{_of(ids, len(rows))}{origin}." for origin, ids in origins.items()]
    labs = _grouped((_listed(row["measured"]["lab"]), row["id"]) for row in rows if row["measured"]["lab"])
    sentences += [
        f"{'' if len(labs) == 1 else _of(ids, len(rows))}The lab is emulated without KVM: {lab}."
        for lab, ids in labs.items()
    ]
    return " ".join(sentences)


def _origin(measured: Mapping[str, Any], cores: int) -> str:
    others = {name: version for name, version in measured["versions"].items() if name not in ("reconciler", "commit")}
    text = (
        f"{measured['at'][:10]}: reconciler {measured['versions']['reconciler']} ({measured['versions']['commit']}), "
    )
    text += _listed(others)
    if measured["load"] >= 0.3 * cores:
        text += f"; others were at work on the machine, too (load average {measured['load']})"
    return text


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items() if version)


def _of(ids: Sequence[str], count: int) -> str:
    """Which rows are spoken of, unless it is all of them."""
    return "" if len(ids) == count else f"{', '.join(f'`{name}`' for name in ids)}: "
