"""A plan as text: verdict first, each change with reason and who notices, the order, the short list last."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from reconciler.disruption import MEANING
from reconciler.report.actions import runs
from reconciler.report.capacity import capacity_rows
from reconciler.report.diagnostics_text import diagnostic_lines
from reconciler.report.folding import Group, fold_changes
from reconciler.report.style import Style, clean, listed, paragraph, plural, table
from reconciler.report.values import before_after, human, place
from reconciler.report.verdict import (
    Outlook,
    counts_line,
    headline,
    limits,
    of_severity,
    origin,
    outlook,
    rank,
)

SYMBOLS = {"create": "+", "update": "~", "replace": "-/+", "delete": "-"}
_LEGEND = {
    "create": "create",
    "update": "update in place (now -> planned)",
    "replace": "take away and make again",
    "delete": "delete",
}
_OP_COLOURS = {"create": "green", "update": "yellow", "replace": "red", "delete": "red"}


def render_plan(document: dict[str, Any], *, color: bool, command: str = "reconciler", width: int = 0) -> str:
    """A ``reconciler-plan/1`` document as text. ``command``: how the tool is called for this host, to end with what
    carries the plan out; "" for no such end. ``width``: columns to wrap sentences at (0: never); what is worth copying
    is never broken."""
    document = clean(document)
    view = _View(document, Style(color), width)
    sections = [
        view.verdict(),
        view.changes(),
        view.order(),
        view.capacity(),
        view.diagnostics(),
        view.short_list(),
    ]
    if command:
        sections.append(view.hint(command))
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def disruptive_first(groups: list[Group]) -> list[Group]:
    """The groups from the most to the least disruptive, otherwise in their order."""
    return sorted(groups, key=lambda group: -rank(group.disruption))


def _meaning(disruption: str) -> str:
    return MEANING.get(disruption, "a class that this version does not know")


class _View:
    """The sections of one rendering; each is a list of lines."""

    def __init__(self, document: dict[str, Any], style: Style, width: int) -> None:
        self.document, self.style, self.width = document, style, width
        self.groups = disruptive_first(fold_changes(document.get("changes") or []))
        self.outlook: Outlook = outlook(document)
        self.path = (document.get("source") or {}).get("path", "")

    def verdict(self) -> list[str]:
        colour = {"in-sync": "green", "blocked": "red"}.get(self.document["verdict"], "yellow")
        lines = [self.style.paint(headline(self.document), "bold", colour)]
        worst, allow = self.outlook.worst, self.outlook.allow
        if worst != "none":
            lines += self._text(f"Worst disruption: {worst} ({_meaning(worst)}).", mark=worst)
            affected = self.outlook.affected.sentences()
            lines += self._text(f"Affected: {'; '.join(affected)}.") if affected else []
        if allow:
            text = f"The policy permits {self.outlook.policy}: apply refuses this without --allow {allow}."
            lines += self._text(text, mark=f"--allow {allow}")
        for sentence in limits(self.document):
            lines += self._text(sentence)
        made = origin(self.document)
        return [*lines, *([self.style.paint("  " + made, "dim")] if made and self.groups else [])]

    def _text(self, text: str, *, indent: int = 2, mark: str = "") -> list[str]:
        """Wrapped text; ``mark`` is kept on one line, and bold."""
        token = mark.replace(" ", "\0")
        lines = paragraph(text.replace(mark, token, 1), indent=indent, hang=2, width=self.width)
        return [line.replace(token, self.style.paint(mark, "bold")) for line in lines] if mark else lines

    def changes(self) -> list[str]:
        if not self.groups:
            return []
        used = [op for op in SYMBOLS if any(group.op == op for group in self.groups)]
        legend = "   ".join(f"{self._symbol(op).strip()} {_LEGEND[op]}" for op in used)
        lines = [f"Changes:  {legend}"]
        for group in self.groups:
            lines += ["", *self._change(group)]
        return lines

    def _symbol(self, op: str) -> str:
        return self.style.paint(SYMBOLS.get(op, "?"), "bold", _OP_COLOURS.get(op, "")) + " " * (
            3 - len(SYMBOLS.get(op, "?"))
        )

    def _change(self, group: Group) -> list[str]:
        where = self.style.paint(place(self.path, group.lines), "dim")
        count = f" ({plural(len(group.addresses), 'VF')})" if len(group.addresses) > 1 else ""
        head = f"{self._symbol(group.op)} {self.style.paint(group.address, 'bold')}{count}"
        lines = [f"{head}  {where}".rstrip(), *table(self._fields(group), indent=6)]
        if group.reason:
            lines += self._text(f"because {group.reason}", indent=6)
        affected = "; ".join(group.affected.sentences())
        if group.disruption != "none":
            known = group.disruption == self.outlook.worst  # It was explained above.
            text = f"disruption: {group.disruption}" + ("" if known else f" ({_meaning(group.disruption)})")
            lines += self._text(f"{text}, affects {affected}" if affected else text, indent=6, mark=group.disruption)
        elif affected:
            lines += self._text(f"in use by {affected}", indent=6)
        return lines

    def _fields(self, group: Group) -> Iterator[list[str]]:
        alone = len(group.addresses) == 1
        for item in [*([mac for _, mac in group.macs] if alone else []), *group.fields]:
            yield [item["name"], before_after(item["name"], item["before"], item["after"])]
        for address, mac in [] if alone else group.macs:
            index = address.rpartition(".vf.")[2]
            yield [f"mac of {index}", before_after("mac", mac["before"], mac["after"])]

    def order(self) -> list[str]:
        found = runs(self.document.get("actions") or [])
        if not found:
            return []
        final = [run for run in found if run.impossible]
        undo = "each can be taken back" if not final else f"{plural(len(final), 'step')} can't be taken back"
        numbers = max(len(run.numbers) for run in found)
        lines = [f"Order: ({undo})"]
        for run in found:
            note = f"  [{run.disruption}]" if run.disruption != "none" else ""
            lines.append(f"  {run.numbers:>{numbers}}.  {run.sentence}{note}")
            if run.impossible:
                lines += self._text(f"can't be taken back: {run.impossible}", indent=numbers + 7)
        return lines

    def capacity(self) -> list[str]:
        rows = capacity_rows(self.document)
        return ["VFs after this plan:", *table(rows, indent=2)] if rows else []

    def diagnostics(self) -> list[str]:
        diagnostics = self.document.get("diagnostics") or []
        return diagnostic_lines(diagnostics, path=self.path, style=self.style, width=self.width)[1:]

    def short_list(self) -> list[str]:
        if not self.groups and self.document["verdict"] == "in-sync":
            return []
        rows = []
        for group in self.groups:
            note = group.disruption if group.disruption != "none" else ""
            whom = listed(list(group.affected.domains)) if note else ""
            rows.append([SYMBOLS.get(group.op, "?").ljust(3), group.address, self._brief(group), note, whom])
        lines = ["Summary:", *self._coloured(table(rows, indent=2))]
        bang = self.style.paint("!", "bold", "red")
        for error in of_severity(self.document, "error"):
            lines.append(f"  {bang}    {error.get('address') or self.path}  {error['summary']}")
        lines.append(self.style.paint(counts_line(self.document), "bold"))
        if (self.document.get("summary") or {}).get("reboot"):
            lines.append("A reboot is needed before all of it is in effect.")
        return lines

    def _coloured(self, lines: list[str]) -> list[str]:
        """Colours the symbols of a table that was laid out without."""
        return [line[:2] + self._symbol(group.op) + line[5:] for line, group in zip(lines, self.groups, strict=True)]

    def _brief(self, group: Group) -> str:
        """One field with its values, several by name."""
        if group.op in ("create", "delete") and group.fields and group.fields[0]["name"] == "state":
            return human("state", group.fields[0]["after"])
        if len(group.fields) == 1 and not group.macs:
            item = group.fields[0]
            return f"{item['name']} {before_after(item['name'], item['before'], item['after'])}"
        return ", ".join(group.field_names)

    def hint(self, reconciler: str) -> list[str]:
        if self.document["verdict"] != "changes" or not self.path:
            return []
        allow = f" --allow {self.outlook.allow}" if self.outlook.allow else ""
        targets = "".join(f" --target {shlex.quote(target)}" for target in self.document.get("targets") or [])
        partial = " --partial" if self.document.get("dropped") else ""
        command = f"{reconciler} apply {shlex.quote(self.path)}{targets}{partial}{allow}"
        return ["Nothing was changed. To carry it out:", "    " + command]
