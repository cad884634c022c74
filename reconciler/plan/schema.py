"""JSON Schemas of plan and drift. Readers ignore keys that they don't know, so none is forbidden."""

from __future__ import annotations

from typing import Any

from reconciler.disruption import CLASSES
from reconciler.kinds.operations import OPERATIONS
from reconciler.plan.document import PLAN_FORMAT
from reconciler.plan.drift_document import DRIFT_FORMAT, LABELS

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_ANY: Schema = {}


def _object(required: dict[str, Schema], **optional: Schema) -> Schema:
    return {"type": "object", "properties": {**required, **optional}, "required": list(required)}


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def _head(title: str) -> Schema:
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": title}


_HOST = _object({"name": _TEXT, "machine_id": _TEXT, "boot_id": _TEXT, "kernel": _TEXT})
_SOURCE = _object({"path": _TEXT, "sha256": _TEXT}, git=_object({"commit": _TEXT, "dirty": {"type": "boolean"}}))
_LINE = _object({"line": _COUNT})
_DIAGNOSTIC = _object(
    {
        "severity": {"enum": ["error", "warning", "note"]},
        "code": _TEXT,
        "summary": _TEXT,
        "detail": _TEXT,
        "address": _TEXT,
    },
    line=_COUNT,
)
_CAPACITY = _object(
    {
        "pfs": _list(
            _object(
                {
                    "address": _TEXT,
                    **dict.fromkeys(("vfs", "pooled", "running", "off", "other", "declared", "free"), _COUNT),
                }
            )
        ),
        "pools": _list(
            _object(
                {
                    "address": _TEXT,
                    "vfs": _COUNT,
                    "running": _list(_TEXT),
                    "off": _list(_TEXT),
                    "other": _COUNT,
                    "free": _COUNT,
                }
            )
        ),
    }
)


def plan_schema() -> Schema:
    """``reconciler-plan/1``."""
    names = _list(_TEXT)
    impact = _object({"class": {"enum": list(CLASSES)}, "domains": names}, nics=names, host=names)
    step = _object({"op": {"enum": sorted(OPERATIONS)}, "address": _TEXT, "args": {"type": "object"}})
    change = _object(
        {
            "address": _TEXT,
            "op": {"enum": ["create", "update", "replace", "delete"]},
            "fields": _list(_object({"name": _TEXT, "before": _ANY, "after": _ANY})),
            "reason": _TEXT,
            "disruption": _ref("impact"),
            "source": _LINE,
        }
    )
    action = _object(
        {
            "id": _TEXT,
            "op": {"enum": sorted(OPERATIONS)},
            "address": _TEXT,
            "args": {"type": "object"},
            "needs": names,
            "undo": _object({}, steps=_list(_ref("step")), impossible=_TEXT),
            "disruption": {"enum": list(CLASSES)},
        },
        impact=_object({}, domains=names, nics=names, host=names),
    )
    counts = dict.fromkeys(("create", "update", "replace", "delete", "actions", "disruptive"), _COUNT)
    document = _object(
        {
            "format": {"const": PLAN_FORMAT},
            "tool": _object({"name": _TEXT, "version": _TEXT}),
            "created_at": _TEXT,
            "host": _ref("host"),
            "source": _ref("source"),
            "desired": {"type": "object"},
            "verdict": {"enum": ["in-sync", "changes", "blocked"]},
            "summary": _object({**counts, "reboot": {"type": "boolean"}}),
            "changes": _list(_ref("change")),
            "actions": _list(_ref("action")),
            "diagnostics": _list(_ref("diagnostic")),
        },
        targets=names,
        dropped=names,
        unobserved=names,
        capacity=_ref("capacity"),
    )
    definitions = {
        "host": _HOST,
        "source": _SOURCE,
        "impact": impact,
        "step": step,
        "change": change,
        "action": action,
        "diagnostic": _DIAGNOSTIC,
        "capacity": _CAPACITY,
    }
    return {**_head("A plan of reconciler"), **document, "definitions": definitions}


def drift_schema() -> Schema:
    """``reconciler-drift/1``."""
    field = _object(
        {
            "address": _TEXT,
            "field": _TEXT,
            "label": {"enum": [label for label in LABELS if label != "in-sync"]},
            "declared": _ANY,
            "applied": _ANY,
            "observed": _ANY,
            "holder": _TEXT,
            "source": _LINE,
        },
        note=_TEXT,
    )
    document = _object(
        {
            "format": {"const": DRIFT_FORMAT},
            "created_at": _TEXT,
            "host": _ref("host"),
            "source": _ref("source"),
            "verdict": {"enum": ["in-sync", "drift", "unknown"]},
            "counts": {"type": "object", "additionalProperties": _COUNT},
            "fields": _list(_ref("field")),
            "diagnostics": _list(_ref("diagnostic")),
        },
        applied_at=_TEXT,
        ignored=_COUNT,
    )
    definitions = {"host": _HOST, "source": _SOURCE, "field": field, "diagnostic": _DIAGNOSTIC}
    return {**_head("Drift, as reconciler finds it"), **document, "definitions": definitions}
