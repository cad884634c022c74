"""The verdict of a plan in words: what it comes to, how much it disturbs and whom, what it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reconciler.disruption import CLASSES
from reconciler.report.folding import Affected, folded_by_pf
from reconciler.report.style import listed, plural

COLOURS = {"vf-traffic": "yellow", "vf-reset": "yellow", "guest": "red", "management": "red"}


def rank(disruption: str) -> int:
    """From 0 for ``none``; a class of a later version ranks above all that are known."""
    return list(CLASSES).index(disruption) if disruption in CLASSES else len(CLASSES)


@dataclass(slots=True)
class Outlook:
    """What carrying out all actions of a plan would mean."""

    worst: str
    affected: Affected
    policy: str
    """The worst that apply does without being told."""

    @property
    def allow(self) -> str:
        """The class that ``--allow`` has to name; "" when the policy permits the plan."""
        return self.worst if rank(self.worst) > rank(self.policy) else ""


def outlook(document: dict[str, Any]) -> Outlook:
    """The worst class of the actions and everybody whom a disruptive one touches."""
    worst, affected = "none", Affected()
    for action in document.get("actions") or []:
        disruption = action.get("disruption", "none")
        worst = max(worst, disruption, key=rank)
        if disruption != "none":
            affected.add(action.get("impact") or {})
    if not affected:
        for change in document.get("changes") or []:
            impact = change.get("disruption") or {}
            if impact.get("class", "none") != "none":
                affected.add(impact)
    policy = ((document.get("desired") or {}).get("policy") or {}).get("disruption") or "vf-reset"
    return Outlook(worst, affected, policy)


def host_name(document: dict[str, Any]) -> str:
    """The host's name, else ``this host``."""
    return (document.get("host") or {}).get("name") or "this host"


def source_path(document: dict[str, Any]) -> str:
    """The state file, else ``the state file``."""
    return (document.get("source") or {}).get("path") or "the state file"


def of_severity(document: dict[str, Any], severity: str) -> list[dict[str, Any]]:
    """The diagnostics of one severity."""
    return [item for item in document.get("diagnostics") or [] if item.get("severity") == severity]


def headline(document: dict[str, Any]) -> str:
    """The first line of every view of a plan."""
    host, summary = host_name(document), document.get("summary") or {}
    changes, actions = len(document.get("changes") or []), summary.get("actions", 0)
    if document["verdict"] == "blocked":
        errors = len(of_severity(document, "error"))
        return f"Blocked on {host}: {plural(errors, 'error')}. Nothing is applied until that is solved."
    if document["verdict"] == "in-sync":
        if document.get("unobserved"):
            return f"Nothing to do on {host} as far as can be seen: not all could be observed."
        if changes:
            return f"Nothing to do on {host} now; {plural(changes, 'difference')} can only wait."
        if document.get("targets") or document.get("dropped"):
            return f"In sync: the selected part of {source_path(document)} is what {host} has."
        return f"In sync: {host} is as {source_path(document)} declares."
    disruptive = summary.get("disruptive", 0)
    tail = f", {disruptive} of them disruptive" if disruptive else ", none of them disruptive"
    return f"{plural(changes, 'change')} in {plural(actions, 'action')} on {host}{tail}."


def counts_line(document: dict[str, Any]) -> str:
    """``Plan: 2 to create, 3 to update, …``."""
    summary = document.get("summary") or {}
    counts = ", ".join(f"{summary.get(op, 0)} to {op}" for op in ("create", "update", "replace", "delete"))
    actions = plural(summary.get("actions", 0), "action")
    return f"Plan: {counts}; {actions}, {summary.get('disruptive', 0)} disruptive."


def limits(document: dict[str, Any]) -> list[str]:
    """Sentences on what the plan is not about, each with a list of addresses."""
    told = (
        ("targets", "Limited to {} and what that depends on (--target)."),
        ("dropped", "Left out because of an error (--partial): {}."),
        ("unobserved", "Declared and could not be observed, so nothing is said of it: {}."),
    )
    return [text.format(listed(folded_by_pf(document[key]))) for key, text in told if document.get(key)]


def origin(document: dict[str, Any]) -> str:
    """From what and when the plan was made: ``states/r620-01.toml, commit 1a2b3c4d5e6f, planned 2026-…``."""
    source, git = document.get("source") or {}, (document.get("source") or {}).get("git") or {}
    parts = [source["path"]] if source.get("path") else []
    if git.get("commit"):
        parts.append(f"commit {git['commit'][:12]}" + (" with uncommitted changes" if git.get("dirty") else ""))
    if document.get("created_at"):
        parts.append(f"planned {document['created_at']}")
    return ", ".join(parts)
