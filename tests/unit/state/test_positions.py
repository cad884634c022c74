from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import tomli
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.state.positions import Path, Position, TooDeepError, positions
from tests.unit.state.support import STATES

AWKWARD = '''# a comment = 1
schema = 1
[pf.int] # [pf.no]
match = { name = "p#1]}", address.x = 1 }
"a b".'c.d'."e\\"f" = [ "x", 1979-05-27 07:32:00, [1,2], {a=1} , # c ]
 """a"b""c""""", \'\'\'it''s\'\'\'\'\',
]
[[list.x]]
k=1
[list.x.sub]
[[list.x]]
[[list.x.in]]
z = inf
[pf.int.vf."4-7"]
\t"\\u0061\tb"\t= """
[not.a.table]
"""
 [ dotted . "key" ]
w = { a = [ { b = 1 }, { b = [] } ], c = {} }
'''


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every path of a parsed document."""
    if path:
        yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield from paths(item, (*path, key))


@pytest.mark.parametrize("text", [AWKWARD, AWKWARD.replace("\n", "\r\n"), "", "a=1", "[a]", "#", "a='''\n'''"])
def test_every_path_has_a_place_and_no_other(text: str) -> None:
    assert set(positions(text)) == set(paths(tomli.loads(text)))


def test_example_hosts() -> None:
    for file in STATES.glob("*.toml"):
        text = file.read_text()
        assert set(positions(text)) == set(paths(tomli.loads(text)))


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("schema",), (2, 1)),
        (("pf",), (3, 2)),
        (("pf", "int"), (3, 5)),
        (("pf", "int", "match"), (4, 1)),
        (("pf", "int", "match", "name"), (4, 11)),
        (("pf", "int", "match", "address", "x"), (4, 35)),
        (("pf", "int", "a b", "c.d", 'e"f'), (5, 13)),
        (("pf", "int", "a b", "c.d", 'e"f', 1), (5, 29)),
        (("pf", "int", "a b", "c.d", 'e"f', 2, 1), (5, 53)),
        (("pf", "int", "a b", "c.d", 'e"f', 3, "a"), (5, 58)),
        (("pf", "int", "a b", "c.d", 'e"f', 5), (6, 18)),
        (("list", "x"), (8, 8)),
        (("list", "x", 0, "sub"), (10, 9)),
        (("list", "x", 1), (11, 1)),
        (("list", "x", 1, "in", 0, "z"), (13, 1)),
        (("pf", "int", "vf", "4-7"), (14, 12)),
        (("pf", "int", "vf", "4-7", "a\tb"), (15, 2)),
        (("dotted", "key"), (18, 13)),
        (("dotted", "key", "w", "a", 1, "b"), (19, 26)),
    ],
)
def test_places(path: Path, place: tuple[int, int]) -> None:
    assert positions(AWKWARD)[path] == Position(*place)


def test_a_tables_own_header_goes_before_that_of_a_subtable() -> None:
    found = positions("[pf.int.vf.0]\nmac = 1\n[pf.int]\nvfs = 1\n")
    assert found["pf", "int"] == (3, 5)
    assert found["pf", "int", "vf"] == (1, 9)


def test_depth_is_bounded() -> None:
    with pytest.raises(TooDeepError):
        positions("[" + ".".join("a" * 65) + "]")
    with pytest.raises(TooDeepError):
        positions("a = " + "[" * 65 + "]" * 65)


scalars = st.none().map(lambda _: 1) | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text()
keys = st.text(max_size=4) | st.sampled_from(["a", "b-c", "4-7"])
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3))


@given(st.dictionaries(keys, values, max_size=4))
@settings(max_examples=60, deadline=None)
def test_any_document(document: dict[str, Any]) -> None:
    try:
        text = tomlkit.dumps(document)
        parsed = tomli.loads(text)
    except (ValueError, tomlkit.exceptions.TOMLKitError):
        return  # not every text is a key that tomlkit writes
    found = positions(text)
    assert set(found) == set(paths(parsed))
    lines = text.replace("\r\n", "\n").split("\n")
    assert all(1 <= place.column <= len(lines[place.line - 1]) for place in found.values())
