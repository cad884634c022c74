"""Diagnostics, as text and as Markdown: a constant summary that one comes to know, the place, the detail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reconciler.report.markdown import code, escaped
from reconciler.report.style import Style, paragraph, quoted
from reconciler.report.values import place

_ORDER = {"error": 0, "warning": 1, "note": 2}
_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def by_severity(diagnostics: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Errors, warnings, notes; otherwise in their order."""
    return sorted(diagnostics, key=lambda item: _ORDER.get(item["severity"], 3))


def diagnostic_lines(diagnostics: Iterable[dict[str, Any]], *, path: str, style: Style, width: int = 0) -> list[str]:
    """Lines for all of them, with an empty line before each. ``path``: the file that their lines are in."""
    lines: list[str] = []
    for item in by_severity(diagnostics):
        word = style.paint(item["severity"].capitalize() + ":", "bold", _COLOURS.get(item["severity"], ""))
        code = style.paint(f"[{item['code']}]", "dim")
        where = "  ".join(filter(None, [item.get("address", ""), place(path, [item.get("line", 0)])]))
        lines += ["", f"{word} {item['summary']} {code}"]
        lines += paragraph(where, indent=2, width=0) if where else []
        lines += quoted(item["detail"], width=width) if item.get("detail") else []
    return lines


def md_diagnostics(diagnostics: Iterable[dict[str, Any]], path: str) -> list[str]:
    """The items of a Markdown list."""
    lines = []
    for item in by_severity(diagnostics):
        where = item.get("address") or place(path, [item.get("line", 0)])
        before = f" {code(where)}:" if where else ""
        detail = escaped(item.get("detail", ""))
        word = escaped(item["severity"].capitalize())
        lines.append(f"- **{word}:**{before} {escaped(item['summary'])} {detail}".rstrip())
    return lines
