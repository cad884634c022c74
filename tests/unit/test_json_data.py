"""Documents as text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reconciler.json_data import to_text


@pytest.mark.parametrize(
    "document",
    [
        {"b": [], "a": {}, "c": [1, {"x": None, "y": [True, False]}], "ü": 'a"\\\n\t\x7f\x1f€'},
        {"path": "states/\udcff.toml", "changes": []},
        [],
        {},
    ],
    ids=["all kinds", "a file name that is not UTF-8", "empty list", "empty object"],
)
def test_the_text_is_that_of_pythons_own_writer(document: Any) -> None:
    assert to_text(document) == json.dumps(document, indent=2, ensure_ascii=False) + "\n"
