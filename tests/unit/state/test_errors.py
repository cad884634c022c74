from __future__ import annotations

import ast
from pathlib import Path

import pytest

import reconciler.state
from reconciler.diagnostics import Diagnostic
from reconciler.state.errors import SUMMARIES, format_error
from tests.unit.state.support import found


def diagnostic(**changes: object) -> Diagnostic:
    values: dict[str, object] = {
        "severity": "error",
        "code": "x",
        "summary": "It is wrong.",
        "detail": "vlan = 5000.",
        "address": "pf.int",
        "path": "host.toml",
        "line": 3,
        "column": 7,
    }
    return Diagnostic(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "host.toml:3:7: pf.int: It is wrong. vlan = 5000."),
        ({"detail": ""}, "host.toml:3:7: pf.int: It is wrong."),
        ({"address": ""}, "host.toml:3:7: It is wrong. vlan = 5000."),
        ({"line": 0, "column": 0}, "host.toml: pf.int: It is wrong. vlan = 5000."),
        ({"severity": "warning"}, "host.toml:3:7: pf.int: warning: It is wrong. vlan = 5000."),
        ({"path": "a\nb", "detail": "[bold]"}, "a\\nb:3:7: pf.int: It is wrong. [bold]"),
        ({"detail": "\x1b[31m\r\x07\u2028\u202e\x9b"}, "host.toml:3:7: pf.int: It is wrong. "
         "\\x1b[31m\\r\\x07\\u2028\\u202e\\x9b"),
        ({"detail": "ü 日本 …"}, "host.toml:3:7: pf.int: It is wrong. ü 日本 …"),
    ],
)  # fmt: skip
def test_one_line(changes: dict[str, object], line: str) -> None:
    assert format_error(diagnostic(**changes)) == line


NASTY = [
    "\\n",
    "\\u001b[31m",
    "\\u0000",
    "\\r",
    "\\u0085",
    "\\u2028",
    "\\u202e",
    "\\t",
    " x",
    "x ",
    "",
    "/",
    "a/b",
]


@pytest.mark.parametrize("name", NASTY)
@pytest.mark.parametrize(
    "text",
    [
        'schema = 1\n[pf."{}"]\nvfs = "x"\n',
        'schema = 1\n[pool."{}"]\npf = 3\n',
        'schema = 1\n[domain."{}".nic.x]\nvf = 3\n',
        'schema = 1\n[domain.x.nic."{}"]\nvf = "{}"\n',
        'schema = 1\n["{}"]\n',
        'schema = 1\nmodules.blacklist = ["{}"]\npolicy."{}" = "{}"\n',
        'schema = 1\n[pf.x.vf."{}"]\n"{}" = "{}"\nmac = "{}"\n',
    ],
)
def test_no_name_breaks_a_line(name: str, text: str) -> None:
    lines = [format_error(error) for error in found(text.replace("{}", name))]
    assert lines
    assert all(line.isprintable() for line in lines)


def test_every_code_has_a_sentence_and_is_used() -> None:
    used = set()
    for file in Path(reconciler.state.__path__[0]).glob("*.py"):
        if file.name == "errors.py":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and node.value in SUMMARIES:
                used.add(node.value)
    assert used == set(SUMMARIES)
    assert all(sentence.endswith(".") for sentence in SUMMARIES.values())
