"""Saved plans."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.apply.runs import last_run
from tests.fuzz.conftest import tries
from tests.fuzz.mutate import damaged_json
from tests.fuzz.world import another

SHOW = (("show",), ("show", "--json"), ("show", "--format", "markdown"))
APPLY = (("apply",), ("apply", "--allow", "management"), ("apply", "--on-error", "rollback", "--allow", "guest"))


@given(st.data())
@tries(120)
def test_saved_plan(made: Path, data: Any) -> None:
    name = data.draw(st.sampled_from(("small.plan", "host.plan", "large.plan")))
    content = damaged_json(data.draw, (made / name).read_bytes())
    command, *options = data.draw(st.sampled_from((*SHOW, *APPLY, *APPLY)))
    with another(made) as world:
        (world.folder / "bad.plan").write_bytes(content)
        known = last_run(world.folder / "host.sim.state")
        world.try_out("-v", "--host", "sim:host.sim", command, "bad.plan", *options)
        last = last_run(world.folder / "host.sim.state")
        if last is not None and known is not None and last.name != known.name:
            written = {(a["op"], json.dumps(a["args"], sort_keys=True)) for a in json.loads(content)["actions"]}
            carried_out = {(a.op, json.dumps(a.args, sort_keys=True)) for a in last.plan().actions}
            assert carried_out <= written
