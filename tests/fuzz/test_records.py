"""What is on record: journals, plans and snapshots of runs, the ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.apply.runs import last_run, recorded_runs
from tests.fuzz.conftest import tries
from tests.fuzz.mutate import damaged_json, damaged_lines
from tests.fuzz.world import another

COMMANDS = (
    ("inspect",),
    ("history",),
    ("history", "RUN"),
    ("rollback", "--yes"),
    ("rollback", "--yes", "--unconfirmed", "reconciler-x-1"),
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


@given(st.data())
@tries(60)
def test_runs_that_came_to_no_end(made: Path, data: Any) -> None:
    """Whatever became of each step, and wherever the run was killed."""
    outcomes = st.sampled_from(("changed", "unchanged", "unchanged", "failed", "skipped", "undone"))
    with another(made) as world:
        last = last_run(world.folder / "host.sim.state")
        assert last is not None
        journal = last.folder / "journal.jsonl"
        records = [json.loads(line) for line in journal.read_text().splitlines()]
        kept = records[: data.draw(st.integers(2, len(records)))]
        for outcome in (item for record in kept for item in record.get("outcomes", {}).values()):
            outcome |= {"outcome": data.draw(outcomes), "written": data.draw(st.booleans())}
        lines = [json.dumps(record | {"code": 4} if record["event"] == "end" else record) for record in kept]
        journal.write_text("\n".join([*lines, ""]))
        for command in data.draw(st.lists(st.sampled_from(COMMANDS), min_size=1, max_size=2, unique=True)):
            world.try_out("-v", "--host", "sim:host.sim", *(last.name if item == "RUN" else item for item in command))
