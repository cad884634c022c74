"""Text from outside is harmless, columns are aligned, nothing is cut."""

from __future__ import annotations

import re

import pytest

from reconciler.report.style import Style, clean, listed, paragraph, plural, quoted, table, visible


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("web\n1", "web\\n1"),
        ("\x1b[2Jweb1", "\\x1b[2Jweb1"),
        ("a\rb\tc", "a\\rb\\tc"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egnp", "\\u202egnp"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("bytes\udcff", "bytes\\udcff"),
        ("[bold]web[/bold]", "[bold]web[/bold]"),
        ("gäst-1", "gäst-1"),
    ],
)
def test_what_is_not_printable_is_written_out(hostile: str, shown: str) -> None:
    assert visible(hostile) == shown
    assert visible(hostile).encode()


def test_clean_reaches_keys_and_nested_values() -> None:
    assert clean({"a\n": ["\x1b", {"b": "\x07", "n": 1, "x": None}]}) == {
        "a\\n": ["\\x1b", {"b": "\\x07", "n": 1, "x": None}]
    }


def test_clean_keeps_the_lines_of_a_detail_and_nothing_else_of_it() -> None:
    assert clean({"detail": "one\r\ntwo\x1b[0m"}) == {"detail": "one\ntwo\\x1b[0m"}


@pytest.mark.parametrize("char", ["\x00", "\n", "\x1b", "\x7f", "\x85", "\u2028", "\u202e", "\ud800", "\u00a0"])
def test_clean_finds_what_is_not_printable_wherever_it_is(char: str) -> None:
    for text in (char, f"a{char}b", f"\\{char}", f'"{char}', f"\\\\{char}"):
        assert str(clean([{"a": text}])[0]["a"]).isprintable()
        assert all(key.isprintable() for key in clean({text: 1}))


def test_clean_leaves_quotes_and_backslashes_as_they_are() -> None:
    document = {"a": 'domain."web.1"', "b": "back\\slash", "c": "\\n", "d": "ü"}
    assert clean(document) == document


def test_quoted_puts_a_bar_before_every_line() -> None:
    assert quoted("Plan: 0 to create\n\n    virsh list") == [
        "  | Plan: 0 to create",
        "  |",
        "  |     virsh list",
    ]


def test_quoted_never_breaks_a_command() -> None:
    command = "    virsh detach-device-alias web1 ua-rec-data --live --config --and-more-words"
    assert quoted(f"Take it off first, which is a long sentence:\n{command}", width=40)[-1] == f"  | {command}"


def test_table_aligns_and_cuts_nothing() -> None:
    assert table([["a", "bb"], ["a-long-cell" * 30, "c"], ["d"]], indent=2) == [
        "  a" + " " * (11 * 30 - 1) + "  bb",
        "  " + "a-long-cell" * 30 + "  c",
        "  d",
    ]
    assert table([]) == []


def test_paragraph_wraps_between_words_only_and_not_without_a_width() -> None:
    text = "see states/a-very-long-name-of-a-host.toml:25 for more"
    assert paragraph(text, indent=2) == ["  " + text]
    lines = paragraph(text, indent=2, hang=2, width=24)
    assert lines == ["  see", "    states/a-very-long-name-of-a-host.toml:25", "    for more"]


def test_colour_only_adds_codes() -> None:
    painted = Style(True).paint("web1", "bold", "red")
    assert painted != "web1"
    assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == Style(False).paint("web1", "bold", "red") == "web1"


def test_words() -> None:
    assert [plural(n, "VF") for n in (0, 1, 2)] == ["0 VFs", "1 VF", "2 VFs"]
    assert [listed(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
