from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli
from jsonschema import Draft7Validator

from reconciler.state.schema import state_schema
from tests.unit.state.support import STATES, errors, file
from tests.unit.state.test_rules import TABLES
from tests.unit.state.test_shape import CASES

ROOT = Path(__file__).parents[3]
CHECK = Path(sys.executable).parent / "check-jsonschema"
VALIDATOR = Draft7Validator(state_schema())


def accepts(text: str) -> bool:
    document = json.loads(json.dumps(tomli.loads(text), default=str))
    return VALIDATOR.is_valid(document)


def test_it_is_a_schema_of_draft_7() -> None:
    Draft7Validator.check_schema(state_schema())


def nodes(node: Any) -> list[dict[str, Any]]:
    inside = node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
    below = [found for item in inside for found in nodes(item)]
    return [node, *below] if isinstance(node, dict) else below


def test_only_words_that_every_editor_knows() -> None:
    newer = {"$defs", "prefixItems", "unevaluatedProperties", "unevaluatedItems", "const", "x-keys"}
    for node in nodes(state_schema()):
        assert not newer & set(node)
        assert node.get("type") != "null"
        assert "x-one-or-many" not in node
        if node.get("type") == "object":
            assert node["additionalProperties"] is False
        assert "$ref" not in node or list(node) == ["$ref"]


def test_everything_is_described() -> None:
    schema = state_schema()
    for table in [schema, *schema["definitions"].values()]:
        assert table["title"]
        assert table["description"]
        for field in table["properties"].values():
            assert "$ref" in field or (field["title"] and field["description"])


@pytest.mark.parametrize("path", sorted(STATES.glob("*.toml")), ids=lambda path: path.name)
def test_accepts_the_example_hosts(path: Path) -> None:
    assert accepts(path.read_text())


@pytest.mark.parametrize("text", [text for text, expected in TABLES if not expected])
def test_accepts_what_is_valid(text: str) -> None:
    assert errors(text) == []
    assert accepts(text)


# JSON knows no difference between 9000 and 9000.0, and has no numbers of 5,000 digits.
JSON_CASES = [text for text, _ in CASES if not text.endswith(("= 1.0", "= 9000.0")) and len(text) < 1000]


@pytest.mark.parametrize("text", JSON_CASES)
def test_refuses_wrong_keys_types_and_limits(text: str) -> None:
    assert not accepts(text)


def test_says_what_is_required() -> None:
    assert not accepts("")
    assert not accepts("schema = 1\n[pf.x]\nvfs = 1")
    assert not accepts("schema = 1\npf.x.match = {}")
    assert accepts("schema = 1")


@pytest.mark.skipif(not CHECK.exists(), reason="check-jsonschema is not installed")
def test_with_the_tool_that_users_have(tmp_path: Path) -> None:
    tool = str(CHECK)
    schema = str(ROOT / "schemas/host-state.schema.json")
    good = [str(path) for path in STATES.glob("*.toml")]
    bad = tmp_path / "bad.toml"
    bad.write_text(file("vlan = 3"))
    assert subprocess.run([tool, "--schemafile", schema, *good], check=False).returncode == 0
    assert subprocess.run([tool, "--schemafile", schema, str(bad)], check=False).returncode == 1
