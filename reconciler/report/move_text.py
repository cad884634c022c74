"""A move of a guest: its plan, what it came to, and what is to be done after it, from its document."""

from __future__ import annotations

from typing import Any

from reconciler.report.history_text import heading, outcome_word
from reconciler.report.style import Style, clean, paragraph, quoted, table

_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def render_move(
    document: dict[str, Any], *, nothing_changed: bool = True, command: str = "reconciler", color: bool, width: int = 0
) -> str:
    """The plan of a move (``reconciler-move/1``): all that stands in its way, or its steps. ``command``: how this
    tool is called for this host."""
    style, document = Style(color), clean(document)
    to = document["destination"] + (f" ({document['host']})" if document["host"] else "")
    lines = [style.paint(f"Move of {document['domain']} from {document['source']} to {to}", "bold")]
    for finding in document["findings"]:
        severity = finding["severity"]
        title = f"{severity.capitalize()}: {finding['summary']} [{finding['code']}]"
        lines += ["", style.paint(title, _COLOURS[severity]), *quoted(finding["detail"], width=width)]
    if document["verdict"] == "ready":
        lines += ["", style.paint("Order: (all of it is taken back if a step before the undefining fails)", "bold")]
        rows = [[f"{number}.", f"{step['side']}:", step["text"]] for number, step in enumerate(document["steps"], 1)]
        lines += table(rows, indent=2)
        lines += _after(document, command, style, width)
    else:
        why = "It is blocked." if document["verdict"] == "blocked" else "It is refused."
        lines += ["", style.paint(f"{why} Nothing was changed." if nothing_changed else why, "bold")]
    return "\n".join(lines) + "\n"


def render_done(document: dict[str, Any], *, command: str = "reconciler", color: bool, width: int = 0) -> str:
    """That it is done, and what is to be done now."""
    style, document = Style(color), clean(document)
    where = document["host"] or document["destination"]
    lines = [style.paint(f"Moved: {document['domain']} is defined on {where}, and no longer here.", "green")]
    return "\n".join([*lines, *_after(document, command, style, width)]) + "\n"


def render_moved(run: dict[str, Any], document: dict[str, Any] | None, *, color: bool, width: int = 0) -> str:
    """A recorded move step by step; ``run`` as for `render_history`, ``document``: ``None`` when that is lost."""
    style, run = Style(color), clean(run)
    lines = heading(run, style)
    for item in run["damage"]:
        lines += paragraph(f"Damaged: {item}", indent=2, hang=2, width=width)
    if document is None:
        lines += ["", "Its plan can't be read."]
        return "\n".join(lines) + "\n"
    lines += ["", style.paint("Steps:", "bold")]
    for step in clean(document)["steps"]:
        outcome = run["outcomes"].get(step["id"])
        word = outcome_word(outcome, begun=step["id"] in run["unfinished"]).replace("already right", "it is the same")
        lines += paragraph(f"{step['side']}: {step['text']}: {word}", indent=2, hang=2, width=width)
        if outcome and outcome.get("error"):
            lines += quoted(outcome["error"], indent=4, width=width)
    for item in (run["end"] or {}).get("unmet") or []:
        lines += paragraph(f"Not as it should be: {item}", indent=2, hang=2, width=width)
    return "\n".join(lines) + "\n"


def _after(document: dict[str, Any], command: str, style: Style, width: int) -> list[str]:
    name = document["domain"]
    lines = ["", style.paint("After it:", "bold")]
    if document["pools"]:
        text = f"NICs on the pool {', '.join(document['pools'])} need nothing: they get a VF from the one there."
        lines += paragraph(text, indent=2, hang=2, width=width)
        text = (
            "What this host's file declares for them beside MAC and VLAN (rates, trust, …) is not in the definition: "
            "take it over to the file of the destination."
        )
        lines += paragraph(text, indent=2, hang=2, width=width)
    if document["toml"]:
        text = (
            "The other NICs are left out. Declare them in the state file of the destination, with its own name for "
            'the port in place of "…", and run reconciler apply there:'
        )
        lines += paragraph(text, indent=2, hang=2, width=width)
        lines += [f"      {line}".rstrip() for line in document["toml"]]
    text = f"Take {name} out of this host's state file, if it is in it, or its next plan is blocked."
    lines += paragraph(text, indent=2, hang=2, width=width)
    if document["resets"]:
        text = (
            "VFs here that are not at their driver's defaults, and may keep what this guest had, unless the file says "
            "what they are to be like:"
        )
        lines += [
            *paragraph(text, indent=2, hang=2, width=width),
            f"      {command} reset {' '.join(document['resets'])}",
        ]
    return lines
