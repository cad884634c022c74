"""What is wrong before anything has a meaning: size, encoding, TOML."""

from __future__ import annotations

import pytest

from reconciler.state.text import MAX_BYTES
from tests.unit.state.support import desired, errors, found


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"schema = 1\n\xff", "2:1  not-utf8"),
        ("schema = 1\nä".encode() + b"\x80", "2:2  not-utf8"),
        (b"\xef\xbb\xbfschema = 1\n# \xc3", "2:3  not-utf8"),
        (b"\x7fELF\x02\x01\x00\x80", "1:8  not-utf8"),
        (b"\x00\x01", "1:1  toml-syntax"),
        (b"schema = 1\nx", "2:2  toml-syntax"),
        (b"schema = 1\nschema = 1\n", "2:11  toml-syntax"),
        (b"[pf.int]\n[pf.int]\n", "2:8  toml-syntax"),
        (b"schema = 1\r", "1:11  toml-syntax"),
        (b"a = " + b"9" * 5000, "1:1  toml-syntax"),
        (b"a = " + b"[" * 5000, "1:1  toml-nesting"),
        (b"a = " + b"[" * 90 + b"]" * 90, "1:69  toml-nesting"),
        (b"a." * 70 + b"b = 1", "1:129  toml-nesting"),
        (b"a." * 100000 + b"b = 1", "1:1  toml-nesting"),
    ],
)
def test_broken(data: bytes, expected: str) -> None:
    assert errors(data) == [expected]


def test_not_utf8_says_where() -> None:
    (error,) = found(b"schema = 1\nab\xff")
    assert "0xff at offset 13" in error.detail
    (error,) = found(b"\xef\xbb\xbfab\xff")
    assert "0xff at offset 5" in error.detail
    (error,) = found("schema = 1".encode("utf-16"))
    assert "UTF-16" in error.detail


def test_too_large_is_refused_without_reading() -> None:
    (error,) = found(b"\xff" * 50_000_000)
    assert error.code == "file-too-large"
    assert "50000000 bytes" in error.detail
    assert str(MAX_BYTES) in error.detail


@pytest.mark.parametrize("data", [b"", b"\n\n", b"# nothing\n", b"\xef\xbb\xbf"])
def test_empty(data: bytes) -> None:
    (error,) = found(data)
    assert (error.code, error.line, error.column, error.address) == ("schema-missing", 1, 1, "")
    assert "schema = 1" in error.detail


def test_line_ends_and_byte_order_mark() -> None:
    assert desired("\ufeffschema = 1\r\n[pf.a]\r\nmatch.name = 'b'\r\n").line("pf.a", "match.name") == 3
