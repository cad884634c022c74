"""Values as people read them."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.report.values import before_after, human, place, ranges


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("max_tx_rate", 1000, "1000 Mbit/s"),
        ("max_tx_rate", 0, "0 (no limit)"),
        ("min_tx_rate", 0, "0 (none)"),
        ("spoofchk", True, "on"),
        ("trust", False, "off"),
        ("vlan", 0, "none"),
        ("vlan", 100, "100"),
        ("mac", "00:00:00:00:00:00", "none"),
        ("mac", "52:54:00:6d:90:02", "52:54:00:6d:90:02"),
        ("driver", "none", "none"),
        ("vfs", 0, "0"),
        ("vfs", ["int/8", "int/9", "int/10", "dmz/1"], "int/8-10, dmz/1"),
        ("vfs", [["pci/0000:01:00.0", 0], ["pci/0000:01:00.0", 1]], "pci/0000:01:00.0/0-1"),
        ("entries", [], "(empty)"),
        ("entries", ["ixgbevf", "iavf"], "ixgbevf, iavf"),
        ("match", {"name": "p1p1"}, "name p1p1"),
        ("anything", None, "(absent)"),
        ("anything", "", '""'),
    ],
)
def test_human(name: str, value: Any, shown: str) -> None:
    assert human(name, value) == shown


def test_a_long_list_tells_its_ends_and_its_length() -> None:
    shown = human("live_vfs", [f"0000:01:10.{n}" for n in range(40)])
    assert shown == "0000:01:10.0, 0000:01:10.1, …, 0000:01:10.39 (40 of them)"


def test_ranges() -> None:
    assert ranges([]) == ""
    assert ranges([9, 0, 1, 2, 2, 7]) == "0-2,7,9"


def test_before_and_after() -> None:
    assert before_after("vfs", 4, 8) == "4 -> 8"
    assert before_after("max_tx_rate", None, 1000) == "1000 Mbit/s"
    assert before_after("entries", ["a"], None) == "a -> (absent)"
    assert before_after("trust", False, True) == "off -> on"


def test_place() -> None:
    assert place("states/a.toml", [31, 31, 33]) == "states/a.toml:31,33"
    assert place("states/a.toml", [0]) == ""
    assert place("", [4]) == "line 4"
