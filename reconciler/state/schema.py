"""The state file's JSON Schema, for editors: generated from the models, in words that every tool knows.

Draft 7, local definitions, no null alternatives: taplo, tombi and check-jsonschema all read it. It says less
than the rules do: what it accepts may still be refused, but what is valid it accepts.
"""

from __future__ import annotations

from typing import Any

from reconciler.state.shape import SCHEMA
from reconciler.state.spec import MAX_PAGES, StateSpecFile

_ORDER = (
    "$schema",
    "title",
    "description",
    "type",
    "$ref",
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "maxLength",
    "minProperties",
    "anyOf",
    "items",
    "properties",
    "patternProperties",
    "additionalProperties",
    "required",
    "definitions",
)


def state_schema() -> dict[str, Any]:
    """The schema as a document."""
    schema: dict[str, Any] = _plain(StateSpecFile.model_json_schema(by_alias=True))
    schema["$schema"] = "http://json-schema.org/draft-07/schema#"
    schema["properties"]["schema"]["enum"] = [SCHEMA]
    document: dict[str, Any] = _ordered(schema)
    return document


def _plain(node: Any) -> Any:
    """pydantic's schema without its newer words."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _plain(item) for key, item in node.items() if key != "default"}
    if "$defs" in node:
        node["definitions"] = node.pop("$defs")
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if "$ref" in node:
        node["$ref"] = node["$ref"].replace("#/$defs/", "#/definitions/")
    choices = node.pop("anyOf", None)
    if choices is not None:
        (choice,) = (choice for choice in choices if choice != {"type": "null"})
        node = {**choice, **node}
    if "$ref" in node:  # in draft 7 nothing counts beside it; the definition has title and description
        return {"$ref": node["$ref"]}
    return _named_keys(_one_or_many(_pages(node)))


def _pages(node: dict[str, Any]) -> dict[str, Any]:
    """A number of huge pages, or one for each NUMA node."""
    pattern = node.pop("x-pages", None)
    if pattern is not None:
        count = {"type": "integer", "minimum": 0, "maximum": MAX_PAGES}
        by_node = {"type": "object", "patternProperties": {pattern: count}, "additionalProperties": False}
        node["anyOf"] = [count, {**by_node, "minProperties": 1}]
    return node


def _one_or_many(node: dict[str, Any]) -> dict[str, Any]:
    """A list that may be written as its only element."""
    pattern = node.pop("x-one-or-many", None)
    if pattern is not None:
        one = {"type": "string", "pattern": pattern}
        del node["type"], node["items"]
        node["anyOf"] = [one, {"type": "array", "items": one, "minItems": 1}]
    return node


def _named_keys(node: dict[str, Any]) -> dict[str, Any]:
    """A table whose keys are names: the names' form is a pattern, and other keys are refused."""
    pattern = node.pop("x-keys", None)
    if pattern is not None:
        node["patternProperties"] = {pattern: node["additionalProperties"]}
        node["additionalProperties"] = False
    return node


def _ordered(node: Any) -> Any:
    """Keywords in a fixed order; the keys of a table as the model has them."""
    if isinstance(node, list):
        return [_ordered(item) for item in node]
    if not isinstance(node, dict):
        return node
    found: dict[str, Any] = {}
    for word in sorted(node, key=lambda word: _ORDER.index(word) if word in _ORDER else len(_ORDER)):
        tables = word in ("properties", "patternProperties", "definitions")
        value = node[word]
        found[word] = {name: _ordered(item) for name, item in value.items()} if tables else _ordered(value)
    return found
