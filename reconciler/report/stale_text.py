"""How a host has moved since a plan was made for it: in the words of the state file's fields."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from reconciler.report.actions import runs
from reconciler.report.folding import Affected, folded_by_pf
from reconciler.report.style import clean, listed
from reconciler.report.values import human


def render_beyond(beyond: Sequence[dict[str, Any]], moved: Sequence[dict[str, Any]]) -> list[str]:
    """What a fresh plan would do beyond the approved one, and which fields are behind it. ``beyond``: ``action`` as in
    the document, ``kind`` (new, class, domains), ``was``, ``domains``; ``moved``: as for `render_moved`."""
    beyond = clean(list(beyond))
    lines = [f"  {run.sentence}: not in the plan" for run in runs(_actions(beyond, "new"))]
    lines += [
        f"  {run.sentence}: now of class {run.disruption}, and was {item['was']}"
        for item in beyond
        if item["kind"] == "class"
        for run in runs([item["action"]])
    ]
    lines += [
        f"  {run.sentence}: now touches {_whom(item)} too"
        for item in beyond
        if item["kind"] == "domains"
        for run in runs([item["action"]])
    ]
    since = render_moved(moved)
    return lines + (["Since the plan was made:", *(f"  {line}" for line in since)] if since else [])


def _actions(beyond: Iterable[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [item["action"] for item in beyond if item["kind"] == kind]


def _whom(item: dict[str, Any]) -> str:
    """Guests with their NICs."""
    affected = Affected()
    impact = item["action"].get("impact") or {}
    nics = [nic for nic in impact.get("nics") or [] if nic.partition(": ")[0] in item["domains"]]
    affected.add({"domains": item["domains"], "nics": nics})
    return listed(affected.sentences())


def render_moved(moved: Sequence[dict[str, Any]]) -> list[str]:
    """One line for fields that have moved alike, on VFs of one PF: ``pf.int.vf.[0-3]: vlan was 100, as declared, and is
    7``. ``moved``: ``address``, ``field``, ``was``, ``now``, ``declared``."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for item in clean(list(moved)):
        name, was = item["field"], human(item["field"], item["was"])
        if item["was"] == item["declared"]:
            was += ", as declared,"
        alike.setdefault((name, was, human(name, item["now"])), []).append(item["address"])
    return [
        f"{where}: {name} was {was} and is {now}"
        for (name, was, now), addresses in alike.items()
        for where in folded_by_pf(addresses)
    ]
