from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.state.refs import (
    INDEXES_PATTERN,
    RefError,
    format_indexes,
    is_single,
    lowest_index,
    parse_indexes,
    parse_vfs,
)


@pytest.mark.parametrize(
    ("text", "indexes"),
    [
        ("0", [0]),
        ("65535", [65535]),
        ("4-7", [4, 5, 6, 7]),
        ("3-3", [3]),
        ("1,3,5-7", [1, 3, 5, 6, 7]),
        ("7,1", [1, 7]),
    ],
)
def test_indexes(text: str, indexes: list[int]) -> None:
    assert parse_indexes(text) == tuple(indexes)
    assert lowest_index(text) == indexes[0]
    assert re.search(INDEXES_PATTERN, text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no VF"),
        ("x", "names no VF"),
        ("-1", "names no VF"),
        ("1-", "names no VF"),
        ("1,,2", "names no VF"),
        ("1, 2", "names no VF"),
        ("1-2-3", "names no VF"),
        ("٣", "names no VF"),
        ("3\n", "names no VF"),
        ("1.5", "names no VF"),
        ("03", 'leading zeros: write "3"'),
        ("00", 'leading zeros: write "0"'),
        ("7-4", 'runs backwards: write "4-7"'),
        ("1,3-4,4", "names VF 4 twice"),
        ("65536", "absurd"),
        ("0-99999999999999999999", "absurd"),
        ("9" * 10000, "absurd"),
    ],
)
def test_indexes_that_cannot_be_read(text: str, says: str) -> None:
    with pytest.raises(RefError, match=re.escape(says)) as caught:
        parse_indexes(text)
    assert len(str(caught.value)) < 200


def test_references() -> None:
    assert parse_vfs("int/3") == ("int", (3,))
    assert parse_vfs("a-b_c/1,3-4") == ("a-b_c", (1, 3, 4))
    for text in ("int", "int/", "/3", "", "int/a/3", "int 3"):
        with pytest.raises(RefError):
            parse_vfs(text)


def test_single() -> None:
    assert [is_single(text) for text in ("3", "3-3", "1,2", "")] == [True, False, False, False]


@given(st.sets(st.integers(0, 300), min_size=1))
def test_format_is_read_back(indexes: set[int]) -> None:
    text = format_indexes(indexes)
    assert parse_indexes(text) == tuple(sorted(indexes))
    assert re.search(INDEXES_PATTERN, text)


@given(st.text(alphabet="0123456789-,", max_size=12))
def test_the_pattern_for_editors_accepts_what_is_valid(text: str) -> None:
    try:
        parse_indexes(text)
    except RefError:
        return
    assert re.search(INDEXES_PATTERN, text)
