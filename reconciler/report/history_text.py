"""What was applied here, when, by whom and from which file: all runs as a table, or one run step by step."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from reconciler.exit_codes import ExitCode
from reconciler.report.step_values import Attributes, place_of, values_of
from reconciler.report.style import Style, clean, paragraph, plural, quoted, table
from reconciler.report.values import before_after

_WORDS = {
    "changed": "done",
    "unchanged": "already right",
    "failed": "FAILED",
    "skipped": "left out",
    "undone": "done, and taken back",
}
_NOT_OF_THE_PLAN = ("undo ", "repair ", "put back ")
"""How ids of actions begin that take others back, or put right what they left."""
_UNDO = re.compile(r"undo (?P<id>.*?)(?: \((?P<number>[0-9]{1,6})\))?")
"""Id of an undoing action: that of the action that it undoes, and the number of its step from the second on."""


def render_history(runs: Sequence[dict[str, Any]], *, color: bool) -> str:
    """``runs``, the last one first: ``name``, ``header`` (``at``, ``by``, ``file``, ``commit``, ``undoes``,
    ``confirms``), ``outcomes`` by action, ``unfinished``, ``end``, ``settled``, ``waits``, ``until``, ``begun`` and
    ``damage`` as their journals have them."""
    style = Style(color)
    if not runs:
        return "Nothing was applied here yet.\n"
    rows = [["run", "began", "by", "what", "from", "changed", "result"]]
    for run in clean(list(runs)):
        header = run["header"]
        changed = sum(
            item["outcome"] in ("changed", "undone")
            for key, item in run["outcomes"].items()
            if header.get("undoes") or not key.startswith(_NOT_OF_THE_PLAN)
        )
        when, who = header.get("at", "-"), header.get("by", "-")
        rows.append([run["name"], when, who, _what(run), _source(header), str(changed), _result(run)])
    lines = table(rows)
    return "\n".join([style.paint(lines[0], "dim"), *lines[1:]]) + "\n"


def heading(run: dict[str, Any], style: Style) -> list[str]:
    """What a run was, when, by whom and what it came to; ``run`` as for `render_history`, and clean."""
    header, end = run["header"], run["end"] or {}
    return [
        style.paint(f"Run {run['name']}: {_what(run)}, {_result(run)}", "bold"),
        *table(
            [
                ["began", header.get("at", "-")],
                ["ended", end.get("at", "-")],
                ["by", header.get("by", "-")],
                ["from", _source(header)],
                ["sha256", header.get("sha256") or "-"],
                ["with", f"reconciler {header.get('tool', '-')}"],
            ],
            indent=2,
        ),
    ]


def outcome_word(outcome: dict[str, Any] | None, *, begun: bool) -> str:
    """What became of a step."""
    if outcome is None:
        return "begun, and its end is not known" if begun else "not reached"
    return _WORDS.get(outcome["outcome"], str(outcome["outcome"]))


def render_run(
    run: dict[str, Any],
    document: dict[str, Any] | None,
    *,
    before: Attributes | None = None,
    later: Sequence[dict[str, Any]] = (),
    color: bool,
    width: int = 0,
) -> str:
    """One run as for `render_history`. ``document``: the plan that it carried out, ``None`` when that is lost;
    ``before``: the VFs' attributes before it; ``later``: actions that wait for the confirmation."""
    style, run = Style(color), clean(run)
    header, end = run["header"], run["end"] or {}
    lines = heading(run, style)
    for item in run["damage"]:
        lines += paragraph(f"Damaged: {item}", indent=2, hang=2, width=width)
    steps = _Steps(run, clean(document or {}), before or {}, width)
    if document is None:
        lines += ["", "Its plan can't be read: its steps are shown by their names alone."]
    lines += _section(style.paint("Steps:", "bold"), steps.own())
    lines += _section(style.paint("Taken back:", "bold"), steps.undoing())
    lines += _section(style.paint("Put right on the way:", "bold"), steps.others())
    waiting = [[place_of(item), item["op"], values_of(item, {})] for item in clean(list(later))]
    lines += _section(style.paint("Written when it is confirmed:", "bold"), table(waiting, indent=2))
    changes = _changes(clean(document)) if document is not None and not header.get("undoes") else []
    lines += _section(style.paint("Changes:", "bold"), table(changes, indent=2))
    for item in end.get("unmet") or []:
        lines += paragraph(f"Not as it should be: {item}", indent=2, hang=2, width=width)
    return "\n".join(lines) + "\n"


def _section(title: str, lines: list[str]) -> list[str]:
    return ["", title, *lines] if lines else []


def _changes(document: dict[str, Any]) -> list[list[str]]:
    return [
        [change["address"], item["name"], before_after(item["name"], item["before"], item["after"])]
        for change in document.get("changes") or []
        for item in change.get("fields") or []
    ]


class _Steps:
    """The steps of one run as tables: where, what, from which value to which, what came of it."""

    def __init__(self, run: dict[str, Any], document: dict[str, Any], before: Attributes, width: int) -> None:
        self.run, self.before, self.width = run, before, width
        self.actions = {action["id"]: action for action in document.get("actions") or []}
        self.all_back = (run["end"] or {}).get("code") == ExitCode.ROLLED_BACK
        known = dict.fromkeys([*run["outcomes"], *run["unfinished"]])
        self.undone = {key: step for key in known if (step := self._undo_step(key)) is not None}
        self.rest = [key for key in known if key not in self.actions and key not in self.undone]

    def own(self) -> list[str]:
        """Those of the plan. A rollback has none of its own."""
        if self.run["header"].get("undoes"):
            return []
        return self._table([(key, action) for key, action in self.actions.items()])

    def undoing(self) -> list[str]:
        """Those that took others back."""
        return self._table(list(self.undone.items()))

    def others(self) -> list[str]:
        """Those that no plan has foreseen, by their names."""
        return self._table([(key, {"address": key, "op": "", "args": {}}) for key in self.rest])

    def _undo_step(self, key: str) -> dict[str, Any] | None:
        """The step behind the id of an undoing action; what it sets back is the action."""
        found = _UNDO.fullmatch(key)
        action = self.actions.get(found["id"]) if found is not None else None
        if found is None or action is None:
            return None
        steps = (action.get("undo") or {}).get("steps") or []
        number = int(found["number"] or 1)
        if not 1 <= number <= len(steps):
            return None
        return {**steps[number - 1], "undo": {"steps": [action]}}

    def _table(self, steps: list[tuple[str, dict[str, Any]]]) -> list[str]:
        rows = [
            [place_of(step), step["op"], values_of(step, self.before) if step["op"] else "", self._word(key)]
            for key, step in steps
        ]
        lines = table(([cell for cell in row if cell] for row in rows), indent=2)
        return [part for line, (key, _) in zip(lines, steps, strict=True) for part in (line, *self._error(key))]

    def _word(self, key: str) -> str:
        outcome = self.run["outcomes"].get(key)
        if outcome is None or key in self.run["unfinished"]:
            return "begun, and its end is not known" if key in self.run["unfinished"] else "not reached"
        kind = outcome["outcome"]
        seconds = outcome.get("seconds") or 0.0
        took = f" ({seconds:.1f} s)" if seconds >= 0.05 else ""
        if kind == "changed" and self.all_back and key not in self.undone:
            kind = "undone"
        return f"{_WORDS.get(kind, kind)}{took}"

    def _error(self, key: str) -> Iterator[str]:
        outcome = self.run["outcomes"].get(key) or {}
        if outcome.get("error") and outcome.get("outcome") in ("failed", "undone"):
            yield from quoted(outcome["error"], indent=4, width=self.width)


def _what(run: dict[str, Any]) -> str:
    header = run["header"]
    if header.get("undoes"):
        return f"rollback of {header['undoes']}"
    if header.get("confirms"):
        return f"confirmation of {header['confirms']}"
    if header.get("moves"):
        return f"move of {header['moves']} to {header.get('to', '-')}"
    if header.get("resets"):
        return f"reset of {header['resets']}"
    return "apply" if header else "-"


def _source(header: dict[str, Any]) -> str:
    commit = (header.get("commit") or "")[:12]
    return f"{header.get('file') or '-'}" + (f" at {commit}" if commit else "")


def _result(run: dict[str, Any]) -> str:
    if not run["begun"]:
        return "killed before it began"
    damage = f"damaged: {run['damage'][0]}" if run["damage"] else ""
    if not run["header"]:
        return damage
    words = {"taken-back": ", later taken back", "confirmed": ", confirmed", "given-up": ", later given up"}
    then = words.get(run["settled"], "")
    if run["waits"]:
        then = f", waits for its confirmation until {run['until']}"
    return _came_to(run) + then + (f" ({damage})" if damage else "")


def _came_to(run: dict[str, Any]) -> str:
    if run["end"] is None:
        count = len(run["unfinished"])
        return "interrupted" + (f" during {plural(count, 'step')}" if count else "")
    match run["end"].get("code"):
        case ExitCode.OK:
            return "done"
        case ExitCode.ROLLED_BACK:
            return "not completed, taken back"
        case ExitCode.INTERRUPTED:
            return "interrupted, nothing changed"
        case ExitCode.FAILED:
            return "failed, nothing changed"
        case _:
            return "failed part-way"
