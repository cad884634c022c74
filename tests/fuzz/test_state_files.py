"""State files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.conftest import tries
from tests.fuzz.mutate import cut, damaged, to_toml
from tests.fuzz.world import STATES, another

COMMANDS = (
    ("validate",),
    ("plan",),
    ("plan", "--format", "markdown"),
    ("plan", "--json"),
    ("drift",),
    ("doctor",),
    ("rehearse",),
    ("apply", "--yes"),
    ("apply", "--yes", "--allow", "management", "--on-error", "rollback"),
)
FILES = [STATES / "lab.toml", STATES / "lab.toml", STATES / "minimal.toml", STATES / "r620-x520.toml"]
DEEP = [
    "x = " + "[" * 2000,
    "x = " + "{a=" * 2000,
    "[" + "a." * 2000 + "a]",
    "a." * 3000 + "a = 1",
    "x = 1" + "0" * 5000,
]


@given(st.data())
@tries(100)
def test_state_file(made: Path, data: Any) -> None:
    path = data.draw(st.sampled_from(FILES))
    match data.draw(st.sampled_from(("keys", "keys", "keys", "keys", "bytes", "any", "deep"))):
        case "keys":
            document = damaged(data.draw, tomli.loads(path.read_text()))
            content = to_toml(document if isinstance(document, dict) else {"x": document})
        case "bytes":
            content = cut(data.draw, path.read_bytes())
        case "deep":
            content = data.draw(st.sampled_from(DEEP)).encode()
        case _:
            content = data.draw(st.binary(max_size=300))
    with another(made) as world:
        (world.folder / "bad.toml").write_bytes(content)
        name, *options = data.draw(st.sampled_from(COMMANDS))
        world.try_out("-v", "--host", "sim:host.sim", name, "bad.toml", *options)
