"""Whatever the bytes are: a `Desired` or StateFileError, and every error is one line with a place."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.diagnostics import StateFileError
from reconciler.state.errors import format_error
from reconciler.state.load import load
from reconciler.state.serial import desired_from_json, desired_to_json
from tests.unit.state.support import STATES

SAMPLES = [path.read_bytes() for path in sorted(STATES.glob("*.toml"))]
PIECES = [
    *(sign.encode() for sign in "\"'[]{}=.,\n#\\\r\0\x85\u2028"),
    *(b"[[", b'"""', b"{}", b"[]", b"\xff", b"x" * 300, b"0x" + b"f" * 400),
    *(b"3", b"-1", b"99999999", b"true", b"nan", b"1979-05-27", b"int/3", b"4-7", b"9-0"),
    *(b"ext", b"none", b"pf", b"vf", b"mac", b"domain", b"pool", b"hostdev"),
    *(b"\nstate = 'absent'\n", b"\nschema = 1\n", b"[pf.int]", b"[kernel]\n", b"pf = ['a']"),
]
VALUES = [b"3", b'"3"', b"true", b"[]", b"{}", b'["int/3"]', b"1.5", b'"none"', b'"int/3"', b"-1", b'"int"']


def check(data: bytes) -> None:
    try:
        host = load("host.toml", data)
    except StateFileError as error:
        diagnostics = error.diagnostics
    else:
        assert desired_from_json(desired_to_json(host)) == host
        return
    assert diagnostics
    for diagnostic in diagnostics:
        assert 1 <= diagnostic.line <= data.count(b"\n") + 1
        assert diagnostic.column >= 1
        assert diagnostic.code
        assert diagnostic.detail
        assert format_error(diagnostic).isprintable()


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes(data: bytes) -> None:
    check(data)


@given(st.text(max_size=200))
@settings(max_examples=60, deadline=None)
def test_any_text(text: str) -> None:
    check(("schema = 1\n" + text).encode("utf-8", "replace"))


def test_valid_files_with_mistakes() -> None:
    """Bytes cut, moved, doubled and put in; a fixed seed, so that a failure can be repeated."""
    dice = random.Random(1)
    for _ in range(150):
        data = bytearray(dice.choice(SAMPLES))
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(data) or 1)
            end = min(len(data), at + dice.choice([0, 0, 1, 3, 20, 200]))
            data[at:end] = dice.choice([*PIECES, data[at:end] * 2, b""])
        check(bytes(data))


def test_valid_files_with_wrong_values() -> None:
    """Still TOML: another value behind a key."""
    dice = random.Random(2)
    for _ in range(150):
        lines = dice.choice(SAMPLES).split(b"\n")
        keys = [number for number, line in enumerate(lines) if b" = " in line and not line.startswith(b"#")]
        for number in dice.sample(keys, min(3, len(keys))):
            lines[number] = lines[number].split(b" = ")[0] + b" = " + dice.choice(VALUES)
        check(b"\n".join(lines))


def test_valid_files_without_a_line() -> None:
    for sample in SAMPLES:
        lines = sample.split(b"\n")
        for number in range(len(lines)):
            check(b"\n".join(lines[:number] + lines[number + 1 :]))
