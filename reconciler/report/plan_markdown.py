"""A plan as Markdown for a pull request: what hurts first, details folded away, bounded in length."""

from __future__ import annotations

from typing import Any

from reconciler.disruption import MEANING
from reconciler.report.actions import runs
from reconciler.report.capacity import capacity_rows
from reconciler.report.diagnostics_text import md_diagnostics
from reconciler.report.folding import Group, fold_changes
from reconciler.report.markdown import Part, code, details, escaped, fence, md_table, page
from reconciler.report.plan_text import disruptive_first
from reconciler.report.style import clean, plural
from reconciler.report.values import before_after, place
from reconciler.report.verdict import (
    counts_line,
    headline,
    limits,
    of_severity,
    origin,
    outlook,
)

_DIFF = {"create": "+", "update": "!", "replace": "!", "delete": "-"}
"""What makes GitHub and GitLab colour a line of a ``diff`` fence."""
_MOST_ROWS = 200


def render_plan_markdown(document: dict[str, Any], max_bytes: int = 60000) -> str:
    """A ``reconciler-plan/1`` document as a comment. GitHub refuses one of more than 65536 characters; what
    doesn't fit ``max_bytes`` is left out from the details up, and that is said."""
    document = clean(document)
    groups = disruptive_first(fold_changes(document.get("changes") or []))
    parts = [
        Part([f"### {escaped(headline(document))}"]),
        Part(_warning(document)),
        Part(_errors(document), "the details of errors", 1),
        Part(_overview(groups), "the table of changes", 2),
        Part(_counts(document, groups)),
        Part(_capacity(document), "the VFs after this plan", 6),
        Part(_fields(document, groups), "the fields of each change", 4),
        Part(_order(document), "the order of actions", 5),
        Part(_remarks(document), "warnings and notes", 3),
        Part(_origin(document)),
    ]
    return page(parts, max_bytes, "reconciler plan")


def _warning(document: dict[str, Any]) -> list[str]:
    view = outlook(document)
    if view.worst == "none":
        return []
    meaning = MEANING.get(view.worst, "a class that this version does not know")
    lines = ["> [!WARNING]", f"> **Disruption: {escaped(view.worst)}** ({escaped(meaning)})."]
    affected = view.affected.sentences()
    lines += [f"> - {escaped(sentence)}" for sentence in affected[:_MOST_ROWS]]
    if len(affected) > _MOST_ROWS:
        lines.append(f"> - and {len(affected) - _MOST_ROWS} more")
    if view.allow:
        policy, flag = escaped(view.policy), code(f"--allow {view.allow}")
        lines += [">", f"> The policy permits {policy}: `apply` refuses this without {flag}."]
    return lines


def _errors(document: dict[str, Any]) -> list[str]:
    return md_diagnostics(of_severity(document, "error"), _path(document))


def _remarks(document: dict[str, Any]) -> list[str]:
    found = [*of_severity(document, "warning"), *of_severity(document, "note")]
    lines = md_diagnostics(found, _path(document))
    return details(f"Warnings and notes ({len(lines)})", lines) if lines else []


def _path(document: dict[str, Any]) -> str:
    return str((document.get("source") or {}).get("path", ""))


def _overview(groups: list[Group]) -> list[str]:
    rows = []
    for group in groups[:_MOST_ROWS]:
        disruption = f"**{escaped(group.disruption)}**" if group.disruption != "none" else ""
        whom = escaped("; ".join(group.affected.sentences())) if disruption else ""
        what = code(", ".join(group.field_names))
        rows.append([escaped(group.op), code(group.address), what, disruption, whom])
    if len(groups) > _MOST_ROWS:
        rows.append(["", f"and {len(groups) - _MOST_ROWS} more", "", "", ""])
    return md_table(["change", "what", "fields", "disruption", "who notices"], rows) if rows else []


def _counts(document: dict[str, Any], groups: list[Group]) -> list[str]:
    if not groups and document["verdict"] == "in-sync":
        return []
    lines = [f"**{escaped(counts_line(document))}**"]
    if (document.get("summary") or {}).get("reboot"):
        lines += ["", "A reboot is needed before all of it is in effect."]
    for sentence in limits(document):
        lines += ["", escaped(sentence)]
    return lines


def _capacity(document: dict[str, Any]) -> list[str]:
    rows = [[code(address), escaped(told)] for address, told in capacity_rows(document)]
    return details("VFs after this plan", md_table(["of", "how many, and for whom"], rows)) if rows else []


def _fields(document: dict[str, Any], groups: list[Group]) -> list[str]:
    path, lines = _path(document), []
    for group in groups:
        sign = _DIFF.get(group.op, "!")
        lines.append(f"{sign} {group.op} {group.address}   {place(path, group.lines)}".rstrip())
        for item in group.fields:
            lines.append(f"      {item['name']}: {before_after(item['name'], item['before'], item['after'])}")
        for address, item in group.macs:
            index = f" of {address.rpartition('.vf.')[2]}" if len(group.addresses) > 1 else ""
            lines.append(f"      mac{index}: {before_after('mac', item['before'], item['after'])}")
        if group.reason:
            lines.append(f"      because {group.reason}")
    return details("Changes, field by field", fence(lines, "diff")) if lines else []


def _order(document: dict[str, Any]) -> list[str]:
    lines = []
    for run in runs(document.get("actions") or []):
        note = f" [{run.disruption}]" if run.disruption != "none" else ""
        final = f" (can't be taken back: {run.impossible})" if run.impossible else ""
        lines.append(f"{run.numbers}. {run.sentence}{note}{final}")
    count = plural(len(document.get("actions") or []), "action")
    return details(f"Order of {count}", fence(lines, "text")) if lines else []


def _origin(document: dict[str, Any]) -> list[str]:
    text = origin(document)
    return [f"<sub>{escaped(text)}</sub>"] if text else []
