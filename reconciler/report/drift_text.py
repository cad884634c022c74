"""Drift as text and as Markdown. The first line always says how much was checked, also when all is well."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from reconciler.plan.drift_document import LABELS, MOVED
from reconciler.report.diagnostics_text import diagnostic_lines, md_diagnostics
from reconciler.report.folding import folded_address, split_vf
from reconciler.report.markdown import Part, code, escaped, md_table, page
from reconciler.report.style import Style, clean, listed, plural, table
from reconciler.report.values import human, place
from reconciler.report.verdict import host_name, source_path

_MEANING = {
    "drift": "the host moved away from what was applied",
    "conflict": "both the file and the host moved since the last apply",
    "unrecorded": "it differs and was never applied here",
    "unknown": "it could not be observed; that is not in sync",
    "pending": "the file moved and was not applied yet",
    "deferred": "there is nothing to compare now",
    "pending-reboot": "written, and effective after a reboot",
    "pending-restart": "written, and effective after a restart",
    "unverifiable": "the driver can't report it; it was written in this boot",
}
_HEAD = ["field", "declared", "applied", "observed", "where", "held by"]


@dataclass(slots=True)
class _Row:
    """Fields that are told as one: a field alone, or the same of several VFs of a PF."""

    item: dict[str, Any]
    addresses: list[str] = field(default_factory=list)
    holders: dict[str, None] = field(default_factory=dict)
    lines: list[int] = field(default_factory=list)

    def cells(self, path: str) -> list[str]:
        item, name = self.item, self.item["field"]
        unseen = "?" if item["label"] == "unknown" else "-"
        return [
            f"{folded_address(self.addresses)}.{name}",
            human(name, item["declared"], missing="-"),
            human(name, item["applied"], missing="never"),
            human(name, item["observed"], missing=unseen),
            place(path, self.lines) or "-",
            "; ".join(self.holders) or "-",
        ]


def _fold(fields: Iterable[dict[str, Any]]) -> dict[str, list[_Row]]:
    """Rows by label, the labels in the order in which they are shown."""
    rows: dict[Any, _Row] = {}
    for number, item in enumerate(fields):
        vf = split_vf(item["address"])
        values = [item[key] for key in ("declared", "applied", "observed")]
        key: Any = number
        if vf:
            key = (vf[0], item["field"], item["label"], item.get("note"), json.dumps(values, sort_keys=True))
        row = rows.setdefault(key, _Row(item))
        row.addresses.append(item["address"])
        row.lines.append((item.get("source") or {}).get("line", 0))
        if item.get("holder"):
            row.holders[item["holder"]] = None
    by_label: dict[str, list[_Row]] = {label: [] for label in LABELS}
    for row in rows.values():
        by_label.setdefault(row.item["label"], []).append(row)
    return {label: found for label, found in by_label.items() if found}


def drift_headline(document: dict[str, Any]) -> str:
    """The heartbeat: the verdict and how many fields it is about."""
    host, counts = host_name(document), document.get("counts") or {}
    checked = plural(sum(counts.values()), "field")
    if document["verdict"] == "drift":
        told = listed([f"{counts[label]} {label}" for label in LABELS if label in MOVED and counts.get(label)])
        unknown = f" {counts['unknown']} could not be observed." if counts.get("unknown") else ""
        return f"Drift on {host}: {told} of {checked} checked.{unknown}"
    if document["verdict"] == "unknown":
        count = counts.get("unknown", 0)
        return f"Not known on {host}: {count} of {checked} could not be observed."
    waiting = [f"{counts[label]} {label}" for label in LABELS if counts.get(label) and label != "in-sync"]
    tail = f", of which {listed(waiting)}" if waiting else ""
    return f"In sync: {checked} checked on {host}{tail}."


def _ignored(document: dict[str, Any]) -> list[str]:
    count = document.get("ignored") or 0
    verbs = "differs was" if count == 1 else "differ were"
    return [f"{plural(count, 'field')} that {verbs} left out by --ignore."] if count else []


def _notes(rows: Iterable[_Row], path: str) -> list[str]:
    """A sentence per note, after the field that it is about, or after the number of such fields."""
    noted: dict[str, list[str]] = {}
    for row in rows:
        if row.item.get("note"):
            noted.setdefault(row.item["note"], []).append(row.cells(path)[0])
    return [
        f"{fields[0] if len(fields) == 1 else plural(len(fields), 'field')}: {note}" for note, fields in noted.items()
    ]


def render_drift(document: dict[str, Any], *, color: bool, width: int = 0) -> str:
    """A ``reconciler-drift/1`` document as text, by label, the worst first."""
    document, style = clean(document), Style(color)
    path = (document.get("source") or {}).get("path", "")
    colour = {"in-sync": "green", "drift": "red"}.get(document["verdict"], "yellow")
    blocks = [[style.paint(drift_headline(document), "bold", colour), *_ignored(document)]]
    for label, rows in _fold(document.get("fields") or []).items():
        count = sum(len(row.addresses) for row in rows)
        title = style.paint(f"{label} ({count})", "bold", "red" if label in MOVED else "yellow")
        lines = table([_HEAD, *(row.cells(path) for row in rows)], indent=2)
        lines = [f"{title}: {_MEANING.get(label, '')}", style.paint(lines[0], "dim"), *lines[1:]]
        blocks.append(lines + [f"  note on {note}" for note in _notes(rows, path)])
    diagnostics = document.get("diagnostics") or []
    blocks.append(diagnostic_lines(diagnostics, path=path, style=style, width=width)[1:])
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def render_drift_markdown(document: dict[str, Any], max_bytes: int = 60000) -> str:
    """The same as Markdown; tables of what is no drift are the first to be left out when it gets too long."""
    document = clean(document)
    path = (document.get("source") or {}).get("path", "")
    parts = [Part([f"### {escaped(drift_headline(document))}", *_ignored(document)])]
    for rank, (label, rows) in enumerate(_fold(document.get("fields") or []).items(), 1):
        cells = ([code(row[0]), *map(escaped, row[1:])] for row in (row.cells(path) for row in rows))
        title = f"**{escaped(label)}**: {escaped(_MEANING.get(label, ''))}"
        notes = [f"- {escaped(note)}" for note in _notes(rows, path)]
        lines = [title, "", *md_table(_HEAD, cells), *([""] if notes else []), *notes]
        parts.append(Part(lines, f"the table of {label}", rank))
    remarks = md_diagnostics(document.get("diagnostics") or [], path)
    parts.append(Part(remarks, "diagnostics", len(LABELS) + 1))
    return page(parts, max_bytes, f"reconciler drift {source_path(document)}")
