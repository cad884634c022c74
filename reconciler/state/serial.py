"""`Desired` as a JSON document and back: every plan carries it, so that it can be planned again."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from reconciler.json_data import as_type, to_data
from reconciler.state.desired import Desired


def desired_to_json(desired: Desired) -> dict[str, Any]:
    """Plain JSON values in the order of the declarations; what is not declared is left out.

    An empty list stays where it says something: ``blacklist = []`` empties the tool's own list.
    """
    document: dict[str, Any] = _without_nothing(to_data(desired))
    for name, listed in (
        ("cmdline", desired.cmdline),
        ("blacklist", desired.blacklist),
        ("load", desired.load),
    ):
        if listed is not None:
            document[name] = list(listed)
    for nic in _nics(document):
        if not nic.get("spread"):
            nic.pop("spread", None)
        if len(nic.get("pf", [])) == 1:
            nic["pf"] = nic["pf"][0]
    return document


def desired_from_json(document: dict[str, Any]) -> Desired:
    """What `desired_to_json` was given. Keys that are not known are ignored, as in all documents.

    Raises pydantic.ValidationError, a ValueError, when it is no such document.
    """
    document = copy.deepcopy(document)
    for nic in _nics(document):
        if isinstance(nic.get("pf"), str):
            nic["pf"] = [nic["pf"]]
    return as_type(document, Desired)


def _nics(document: Any) -> Iterator[dict[str, Any]]:
    """The NICs of a document, as far as it has the shape of one."""
    tables: list[Any] = [document]
    for key in ("domains", None, "nics", None):
        tables = [
            item
            for table in tables
            if isinstance(table, dict)
            for item in (table.values() if key is None else [table.get(key)])
        ]
    yield from (nic for nic in tables if isinstance(nic, dict))


def _without_nothing(value: Any) -> Any:
    """Without None, and without what is empty in a table; names of things stay, whatever they hold. Tuples are lists,
    as they are when the document has been read."""
    if not isinstance(value, dict):
        return [_without_nothing(item) for item in value] if isinstance(value, (list, tuple)) else value
    slim = {key: _without_nothing(item) for key, item in value.items()}
    return {key: item for key, item in slim.items() if item is not None and item not in ({}, [])}
