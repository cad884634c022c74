"""A rehearsal as text: each step with its time, what guests would lose and for how long, and where the host ends."""

from __future__ import annotations

from typing import Any

from reconciler.report.actions import Run, runs
from reconciler.report.apply_text import render_result
from reconciler.report.style import Style, clean, paragraph, plural, table
from reconciler.report.verdict import host_name, outlook

_WORDS = {"changed": "", "unchanged": "already right", "failed": "FAILED", "skipped": "left out"}


def render_rehearsal(
    document: dict[str, Any], rehearsal: dict[str, Any], *, inventory: str, color: bool, width: int = 0
) -> str:
    """``document``: the plan. ``rehearsal``: ``outcomes`` and ``unmet`` as for `render_result`; ``moments`` (``id``,
    ``at``, ``seconds``, ``outcome``) of its actions; ``losses`` (``domain``, ``nic``, ``vf``, ``reason``, ``since``,
    ``until``) of running guests; ``seconds`` in all. ``inventory``: the host at the end, rendered."""
    view = _View(clean(document), clean(rehearsal), Style(color), width)
    end = [view.style.paint("The host would then be:", "bold"), inventory.rstrip("\n")]
    sections = [view.steps(), view.losses(), *view.trouble(), end, [view.verdict()]]
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


class _View:
    def __init__(self, document: dict[str, Any], rehearsal: dict[str, Any], style: Style, width: int) -> None:
        self.document, self.rehearsal, self.style, self.width = document, rehearsal, style, width
        self.moments = {moment["id"]: moment for moment in rehearsal["moments"]}
        self.failed = any(outcome["outcome"] in ("failed", "skipped") for outcome in rehearsal["outcomes"])

    def steps(self) -> list[str]:
        """When each step begins, and how long it takes."""
        found = runs(self.document.get("actions") or [])
        if not found:
            return []
        rows = [self._step(run) for run in found]
        title = f"Rehearsed on a twin of {host_name(self.document)}; the seconds are its estimates:"
        return [self.style.paint(title, "bold"), *table(rows, indent=2)]

    def _step(self, run: Run) -> list[str]:
        moments = [self.moments[action["id"]] for action in run.actions if action["id"] in self.moments]
        if not moments:
            return ["", "", f"{run.numbers}.", f"{run.sentence}: left out"]
        at = min(moment["at"] for moment in moments)
        took = max(moment["at"] + moment["seconds"] for moment in moments) - at
        words = dict.fromkeys(_WORDS.get(moment["outcome"], "") for moment in moments)
        note = ", ".join(word for word in words if word)
        return [f"{at:7.1f} s", f"+{took:.1f} s", f"{run.numbers}.", run.sentence + (f": {note}" if note else "")]

    def losses(self) -> list[str]:
        """By guest: which NIC, since when, for how long, why."""
        losses = self.rehearsal["losses"]
        if not losses:
            return ["No running guest would lose anything."] if self.document.get("actions") else []
        rows = []
        for loss in sorted(losses, key=lambda item: (item["domain"], item["since"])):
            lasting = loss["until"] is None
            took = "for good" if lasting else f"{loss['until'] - loss['since']:.1f} s"
            rows.append([loss["domain"], loss["nic"], loss["vf"], f"at {loss['since']:.1f} s", took, loss["reason"]])
        return [self.style.paint("What running guests would lose:", "bold", "yellow"), *table(rows, indent=2)]

    def trouble(self) -> list[list[str]]:
        """What failed and what is left, as apply would tell it."""
        if not self.failed and not self.rehearsal["unmet"]:
            return []
        text = render_result(
            self.document,
            self.rehearsal["outcomes"],
            unmet=self.rehearsal["unmet"],
            color=self.style.enabled,
            width=self.width,
        )
        return [section.split("\n") for section in text.rstrip("\n").split("\n\n")[:-1]]  # The verdict is apply's.

    def verdict(self) -> str:
        count = plural(len(self.document.get("actions") or []), "action")
        if self.failed or self.rehearsal["unmet"]:
            return self.style.paint("It does not arrive at what is declared. Nothing on the host was changed.", "red")
        if not self.document.get("actions"):
            return self.style.paint("Nothing to do: the host is as declared.", "green")
        allow = outlook(self.document).allow
        text = f"It arrives: {count} in about {self.rehearsal['seconds']:.0f} s, and a new plan is empty."
        needs = f" apply would take --allow {allow}." if allow else ""
        return "\n".join(
            paragraph(self.style.paint(text, "bold", "green") + f"{needs} Nothing on the host was changed.")
        )
