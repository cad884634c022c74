"""What is on record: journals, plans and snapshots of runs, the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.apply.runs import recorded_runs
from tests.fuzz.conftest import tries
from tests.fuzz.mutate import damaged_json, damaged_lines
from tests.fuzz.world import another

COMMANDS = (
    ("history",),
    ("history", "RUN"),
    ("rollback", "--yes"),
    ("rollback", "--yes", "--unconfirmed", "RUN"),
    ("confirm",),
    ("apply", "large.toml", "--yes", "--allow", "management"),
    ("drift", "large.toml"),
    ("plan", "large.toml"),
)


@given(st.data())
@tries(120)
def test_records(made: Path, data: Any) -> None:
    files = sorted(path.relative_to(made) for path in (made / "host.sim.state").rglob("*.json*"))
    runs = [run.name for run in recorded_runs(made / "host.sim.state")]
    with another(made, waiting=data.draw(st.booleans())) as world:
        for name in data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=3, unique=True)):
            path = world.folder / name
            damage = damaged_lines if name.suffix == ".jsonl" else damaged_json
            path.write_bytes(damage(data.draw, path.read_bytes()))
        run = data.draw(st.sampled_from((*runs, "..", "../..", "", "-x", "\x1b")))
        arguments = [run if item == "RUN" else item for item in data.draw(st.sampled_from(COMMANDS))]
        world.try_out("-v", "--host", "sim:host.sim", *arguments)
