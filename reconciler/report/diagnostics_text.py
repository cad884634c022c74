"""Diagnostics, as text and as Markdown: a constant summary that one comes to know, the place, the detail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reconciler.report.folding import folded_address, split_vf
from reconciler.report.markdown import code, escaped
from reconciler.report.style import Style, paragraph, quoted
from reconciler.report.values import place

_ORDER = {"error": 0, "warning": 1, "note": 2}
_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def by_severity(diagnostics: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Errors, warnings, notes; otherwise in their order."""
    return sorted(diagnostics, key=lambda item: _ORDER.get(item["severity"], 3))


def _folded(diagnostics: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """By severity; what says the same of several VFs of one PF, by the same line of the file, is one."""
    same: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for item in by_severity(diagnostics):
        vf = split_vf(item.get("address", ""))
        key = (item["severity"], item["code"], item["summary"], item.get("detail"), item.get("line"))
        same.setdefault((*key, vf[0] if vf else item.get("address")), []).append(item)
    return [{**group[0], "address": folded_address([i.get("address", "") for i in group])} for group in same.values()]


def diagnostic_lines(diagnostics: Iterable[dict[str, Any]], *, path: str, style: Style, width: int = 0) -> list[str]:
    """Lines for all of them, with an empty line before each. ``path``: the file that their lines are in."""
    lines: list[str] = []
    for item in _folded(diagnostics):
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
    for item in _folded(diagnostics):
        where = item.get("address") or place(path, [item.get("line", 0)])
        before = f" {code(where)}:" if where else ""
        detail = escaped(item.get("detail", ""))
        word = escaped(item["severity"].capitalize())
        lines.append(f"- **{word}:**{before} {escaped(item['summary'])} {detail}".rstrip())
    return lines
