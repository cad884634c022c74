"""Recorded hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.conftest import tries
from tests.fuzz.mutate import damaged_json
from tests.fuzz.world import another

COMMANDS = (
    ("inspect",),
    ("inspect", "--json"),
    ("inspect", "--format", "svg"),
    ("inspect", "--format", "dot"),
    ("inspect", "--format", "mermaid"),
    ("snapshot",),
    ("plan", "host.toml", "-o", "fresh.plan"),
    ("plan", "large.toml", "-o", "fresh.plan"),
    ("plan", "large.toml", "--format", "markdown"),
    ("drift", "host.toml"),
    ("drift", "large.toml", "--format", "markdown"),
    ("adopt", "-o", "adopted.toml"),
    ("doctor",),
    ("doctor", "large.toml"),
    ("apply", "host.toml", "--yes"),
)


@given(st.data())
@tries(120)
def test_snapshot(made: Path, data: Any) -> None:
    content = damaged_json(data.draw, (made / "host.json").read_bytes())
    with another(made) as world:
        (world.folder / "bad.json").write_bytes(content)
        if data.draw(st.integers(0, 5)) == 0:
            world.try_out("-v", "rehearse", "large.toml", "--snapshot", "bad.json")
            return
        arguments = data.draw(st.sampled_from(COMMANDS))
        done = world.try_out("-v", "--host", "snapshot:bad.json", *arguments, writes=("fresh.plan", "adopted.toml"))
        if (world.folder / "fresh.plan").exists():
            assert world.run("show", "fresh.plan").code == 0, "a plan that was written can't be read"
        if (world.folder / "adopted.toml").exists():
            assert done.code == 0
            assert world.run("validate", "adopted.toml").code == 0, "a state file that was written is no valid one"
