"""What was applied here, when, by whom and from which file: all runs as a table, or one run step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reconciler.exit_codes import ExitCode
from reconciler.report.actions import sentence
from reconciler.report.style import Style, clean, paragraph, plural, quoted, table
from reconciler.report.values import before_after

_WORDS = {
    "changed": "done",
    "unchanged": "already right",
    "failed": "FAILED",
    "skipped": "left out",
    "undone": "done, and taken back",
}


def render_history(runs: Sequence[dict[str, Any]], *, color: bool) -> str:
    """``runs``, the last one first: ``name``, ``header`` (``at``, ``by``, ``file``, ``commit``, ``undoes``),
    ``outcomes`` by action, ``unfinished`` and ``end`` as their journals have them."""
    style = Style(color)
    if not runs:
        return "Nothing was applied here yet.\n"
    rows = [["run", "began", "by", "what", "from", "changed", "result"]]
    for run in clean(list(runs)):
        header = run["header"]
        changed = sum(item.get("outcome") == "changed" for item in run["outcomes"].values())
        when, who = header.get("at", "-"), header.get("by", "-")
        rows.append([run["name"], when, who, _what(run), _source(header), str(changed), _result(run)])
    lines = table(rows)
    return "\n".join([style.paint(lines[0], "dim"), *lines[1:]]) + "\n"


def render_run(run: dict[str, Any], document: dict[str, Any] | None, *, color: bool, width: int = 0) -> str:
    """One run as for `render_history`. ``document``: its plan, ``None`` when that is lost."""
    style, run = Style(color), clean(run)
    header = run["header"]
    lines = [
        style.paint(f"Run {run['name']}: {_what(run)}, {_result(run)}", "bold"),
        *table(
            [
                ["began", header.get("at", "-")],
                ["ended", (run["end"] or {}).get("at", "-")],
                ["by", header.get("by", "-")],
                ["from", _source(header)],
                ["sha256", header.get("sha256") or "-"],
            ],
            indent=2,
        ),
    ]
    if document is None:
        return "\n".join([*lines, "", "Its plan can't be read."]) + "\n"
    document = clean(document)
    lines += ["", style.paint("Steps:", "bold")]
    actions = {action["id"]: action for action in document.get("actions") or []}
    for key in dict.fromkeys([*actions, *run["outcomes"], *run["unfinished"]]):
        lines += _step(key, actions.get(key), run, width)
    changes = [
        [change["address"], item["name"], before_after(item["name"], item["before"], item["after"])]
        for change in document.get("changes") or []
        for item in change.get("fields") or []
    ]
    if changes:
        lines += ["", style.paint("Changes:", "bold"), *table(changes, indent=2)]
    for item in (run["end"] or {}).get("unmet") or []:
        lines += paragraph(f"Not as it should be: {item}", indent=2, hang=2, width=width)
    return "\n".join(lines) + "\n"


def _step(key: str, action: dict[str, Any] | None, run: dict[str, Any], width: int) -> list[str]:
    outcome = run["outcomes"].get(key)
    what = sentence(action) if action is not None else key
    if outcome is None:
        word = "begun, and its end is not known" if key in run["unfinished"] else "not reached"
        return [f"  {what}: {word}"]
    seconds = outcome.get("seconds") or 0.0
    took = f" ({seconds:.1f} s)" if seconds >= 0.05 else ""
    lines = [f"  {what}: {_WORDS.get(outcome.get('outcome', ''), outcome.get('outcome', '?'))}{took}"]
    if outcome.get("error") and outcome.get("outcome") == "failed":
        lines += quoted(outcome["error"], indent=4, width=width)
    return lines


def _what(run: dict[str, Any]) -> str:
    undoes = run["header"].get("undoes")
    return f"rollback of {undoes}" if undoes else "apply"


def _source(header: dict[str, Any]) -> str:
    commit = (header.get("commit") or "")[:12]
    return f"{header.get('file') or '-'}" + (f" at {commit}" if commit else "")


def _result(run: dict[str, Any]) -> str:
    if run["end"] is None:
        count = len(run["unfinished"])
        return "interrupted" + (f" during {plural(count, 'step')}" if count else "")
    match run["end"].get("code"):
        case ExitCode.OK:
            return "done"
        case ExitCode.ROLLED_BACK:
            return "failed, rolled back"
        case ExitCode.INTERRUPTED:
            return "interrupted, nothing changed"
        case ExitCode.FAILED:
            return "failed, nothing changed"
        case _:
            return "failed part-way"
