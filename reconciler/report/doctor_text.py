"""What doctor found, as text: problems first, then warnings and notes, then what is unknown, then what is fine."""

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
    blocks += [_finding(item, path, style, width) for item in document["findings"]]
    blocks += [
        _unchecked(document["unchecked"], style, width),
        _checked(document["checked"], style, width),
        _unread(document, style, width),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _headline(document: dict[str, Any], path: str, style: Style) -> str:
    """Ready only if everything that matters was looked at."""
    findings, subjects = document["findings"], _by_subject(document["unchecked"])
    ready = f"ready for {path}" if path else "ready for SR-IOV"
    if any(item["severity"] == "problem" for item in findings):
        verdict = f"not {ready}"
    elif subjects:
        verdict = "no problem found in what could be read"
    else:
        verdict = f"{ready}, as far as could be read" if document["unread"] else ready
    counts = [
        plural(count, severity)
        for severity in _LOOKS
        if (count := sum(item["severity"] == severity for item in findings))
    ]
    told = f" ({', '.join(counts)})" if counts else ""
    left = f"; {plural(len(subjects), 'thing')} could not be checked" if subjects else ""
    return style.paint(f"{host_name(document)}: {verdict}", "bold") + f"{told}{left}."


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
    sign = style.paint("✓", "green")
    return _lines({subject: "; ".join(seen) for subject, seen in _by_subject(items, "seen").items()}, sign, width)


def _unchecked(items: list[dict[str, Any]], style: Style, width: int) -> list[str]:
    sign = style.paint("?", "yellow")
    told = {subject: f"not known: {'; '.join(what)}" for subject, what in _by_subject(items).items()}
    return _lines(told, sign, width)


def _by_subject(items: list[dict[str, Any]], key: str = "missing") -> dict[str, list[str]]:
    """Whatever number of things was looked at, one line per subject."""
    found: dict[str, list[str]] = {}
    for item in items:
        found.setdefault(item["subject"], []).append(item[key])
    return found


def _lines(told: dict[str, str], sign: str, width: int) -> list[str]:
    lines: list[str] = []
    for subject, text in told.items():
        wrapped = paragraph(f"{subject}: {text}", indent=2, width=width)
        lines += [f"{sign}{wrapped[0][1:]}", *wrapped[1:]]
    return lines


def _unread(document: dict[str, Any], style: Style, width: int) -> list[str]:
    if not document["unread"]:
        return []
    lines = [line for note in document["unread"] for line in paragraph(f"- {note}", indent=2, hang=2, width=width)]
    return [style.paint("Could not be read", "bold"), *lines]
