"""What was measured, as documents: results.json, and the table that is made of it."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contrib.bench.measure import Bar, Row, Spread

HERE = Path(__file__).parent
JSON, TABLE, PLOT = HERE / "results.json", HERE / "results.md", HERE / "results.svg"
FORMAT = "reconciler-bench/1"
_COLUMNS = ("what", "command", "ours", "against", "bar", "median (min to max)", "")


def document(
    rows: Iterable[Row],
    machine: Mapping[str, Any],
    versions: Mapping[str, str],
    lab: Mapping[str, str],
    load: float = 0.0,
) -> dict[str, Any]:
    """The document of a run. ``load``: the load average when it began, which is that of others."""
    return {
        "format": FORMAT,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load": round(load, 1),
        "machine": dict(machine),
        "versions": dict(versions),
        "lab": dict(lab),
        "rows": [_as_json(row) for row in rows],
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
        return {"format": FORMAT, "machine": {}, "versions": {}, "lab": {}, "rows": []}
    stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return stored


def dump(stored: Mapping[str, Any]) -> str:
    """The document's text; a line per list of figures."""
    lines = json.dumps({key: value for key, value in stored.items() if key != "rows"}, indent=1)[:-2]
    rows = ",\n  ".join(json.dumps(row) for row in stored["rows"])
    return f'{lines},\n "rows": [\n  {rows}\n ]\n}}\n'


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown: a line per peer, one for a row without any."""
    return (
        _line(*_COLUMNS) + _line(*["---"] * len(_COLUMNS)) + "".join(line for row in rows for line in _table_lines(row))
    )


def _table_lines(row: Row) -> list[str]:
    bar = row.bar
    ours = figure(statistics.median(row.ours), row.unit)
    if not row.peers:
        low, median, high = row.reached()
        told = f"{_number(median)} {row.unit} ({_number(low)} to {_number(high)})"
        return [_line(row.what, f"`{row.command}`", ours, "", bar.text(row.unit) if bar else "", told, _mark(row))]
    lines: list[str] = []
    for name, values in row.peers.items():
        low, median, high = Spread.of(row.ratios(name))
        theirs = f"{name}: {figure(statistics.median(values), row.unit)}"
        of_bar = bar is not None and bar.peer in (name, "")
        told = f"{_number(median)} ×{' faster' if row.faster(name) else ''} ({_number(low)} to {_number(high)})"
        lines.append(
            _line(
                row.what if not lines else "",
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


def told(stored: Mapping[str, Any]) -> str:
    """One sentence on when, where and with which versions."""
    machine, versions, lab = stored["machine"], stored["versions"], stored["lab"]
    runs = sorted({row["runs"] for row in stored["rows"]})
    kind = "a virtual machine" if machine["virtual"] else "a machine"
    text = (
        f"Measured {stored['measured_at'][:10]} on {kind} with {machine['cores']} cores ({machine['cpu']}), "
        f"{machine['memory_mb'] / 1024:.0f} GB, kernel {machine['kernel']}: reconciler {versions['reconciler']} "
        f"({versions['commit']}), Python {versions['python']}"
    )
    if stored.get("load", 0.0) >= 0.3 * machine["cores"]:
        text += f"; others were at work on it, too (load average {stored['load']})"
    if lab:
        text += "; in the lab, which is emulated without KVM, " + ", ".join(f"{k} {v}" for k, v in lab.items() if v)
    return f"{text}. {' to '.join(map(str, dict.fromkeys((runs[0], runs[-1]))))} runs each, in turn with the peers."
