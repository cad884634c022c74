"""What doctor found, as text: problems first, then warnings and notes, and at the end what is fine."""

from __future__ import annotations

from typing import Any

from reconciler.report.style import Style, clean, paragraph, plural
from reconciler.report.values import place
from reconciler.report.verdict import host_name

_LOOKS = {"problem": ("✗", "red"), "warning": ("!", "yellow"), "note": ("·", "cyan")}


def render_doctor(document: dict[str, Any], *, color: bool, width: int = 0) -> str:
    """A ``reconciler-doctor/1`` document as text."""
    document, style = clean(document), Style(color)
    path = (document.get("source") or {}).get("path", "")
    blocks = [[_headline(document, path, style)]]
    blocks += [_finding(item, path, style, width) for item in document["findings"] if item["code"] != "no-card"]
    blocks += [_checked(document["checked"], style, width), _unread(document, style, width)]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _headline(document: dict[str, Any], path: str, style: Style) -> str:
    findings = document["findings"]
    without: str | None = next((item["seen"] for item in findings if item["code"] == "no-card"), None)
    if without is not None:
        return style.paint(f"{host_name(document)}: ", "bold") + without
    counts = [
        plural(count, severity)
        for severity in _LOOKS
        if (count := sum(item["severity"] == severity for item in findings))
    ]
    if any(item["severity"] == "problem" for item in findings):
        verdict = f"not ready for {path}" if path else "not ready for SR-IOV"
    else:
        verdict = f"ready for {path}" if path else "ready for SR-IOV"
    told = f" ({', '.join(counts)})" if counts else ""
    return style.paint(f"{host_name(document)}: {verdict}", "bold") + f"{told}."


def _finding(item: dict[str, Any], path: str, style: Style, width: int) -> list[str]:
    """The subject and what was seen; why and what to do below, each with its word in front."""
    sign, colour = _LOOKS.get(item["severity"], ("?", ""))
    where = "  ".join(filter(None, [item["address"], place(path, [item["line"]]) if item["line"] else ""]))
    shown = style.paint(f"  {where}", "dim") if where else ""
    code = style.paint(f"[{item['code']}]", "dim")
    lines = [
        f"{style.paint(' '.join((sign, item['subject'])), 'bold', colour)} {code}{shown}",
    ]
    lines += paragraph(item["seen"], indent=2, width=width)
    for word, key in (("why", "why"), ("do", "todo")):
        if item[key]:
            lines += paragraph(f"{word}:{' ' * (4 - len(word))}{item[key]}", indent=2, hang=5, width=width)
    return lines


def _checked(items: list[dict[str, Any]], style: Style, width: int) -> list[str]:
    """One line per subject, whatever number of things was looked at."""
    by_subject: dict[str, list[str]] = {}
    for item in items:
        by_subject.setdefault(item["subject"], []).append(item["seen"])
    sign = style.paint("✓", "green")
    lines: list[str] = []
    for subject, seen in by_subject.items():
        told = paragraph(f"{subject}: {'; '.join(seen)}", indent=2, width=width)
        lines += [f"{sign}{told[0][1:]}", *told[1:]]
    return lines


def _unread(document: dict[str, Any], style: Style, width: int) -> list[str]:
    if not document["unread"]:
        return []
    lines = [line for note in document["unread"] for line in paragraph(f"- {note}", indent=2, hang=2, width=width)]
    return [style.paint("Could not be read", "bold"), *lines]
