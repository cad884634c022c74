"""What an action needs must have succeeded, also where both would be one step: on a card whose guaranteed rates have to
fit into its speed, one VF's is lowered before another one's is raised."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from reconciler.apply.rounds import rounds
from reconciler.host.model import Snapshot
from reconciler.host.protocol import HostError, VfSet
from reconciler.plan.planner import make_plan
from tests.hosts import DataHost, desired, host, igb
from tests.unit.apply.test_executor import run

FILE = """
[pf.int]
match = {{ name = "enp1s0" }}
vfs = 2
[pf.int.vf.0]
{driver}
min_tx_rate = 100
max_tx_rate = 0
[pf.int.vf.1]
min_tx_rate = 9000
max_tx_rate = 0
"""
LOWERED, RAISED = "vf.set pf.int.vf.0", "vf.set pf.int.vf.1"
REFUSED = HostError("no", "no", errno=22)


def ice() -> Snapshot:
    pf = igb(1, 2, driver="ice", device_id="1592", up=True, carrier=True, speed=10000, autoprobe=False)
    pf.vfs[0].attributes = {**(pf.vfs[0].attributes or {}), "min_tx_rate": 9000}
    return host(pf)


def test_what_is_skipped_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lowering is skipped, since the VF's driver could not be changed before it."""
    before = ice()
    machine = DataHost(before)

    def bind(*_: object) -> None:
        raise REFUSED

    monkeypatch.setattr(machine, "bind_vf", bind)
    plan = make_plan(desired(FILE.format(driver='driver = "vfio-pci"')), before)
    outcomes, _ = run(machine, plan, tmp_path, before)
    assert {key: outcomes[key].outcome for key in (LOWERED, RAISED)} == {LOWERED: "skipped", RAISED: "skipped"}


def test_what_the_driver_refuses_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ice()
    machine = DataHost(before)
    real = machine.set_vfs

    def refuse(pf: str, requests: Sequence[VfSet]) -> list[HostError | None]:
        answers = iter(real(pf, [request for request in requests if request.index != 0]))
        return [REFUSED if request.index == 0 else next(answers) for request in requests]

    monkeypatch.setattr(machine, "set_vfs", refuse)
    plan = make_plan(desired(FILE.format(driver="")), before)
    outcomes, _ = run(machine, plan, tmp_path, before)
    assert {key: outcomes[key].outcome for key in (LOWERED, RAISED)} == {LOWERED: "failed", RAISED: "skipped"}


def test_no_step_has_both() -> None:
    before = ice()
    plan = make_plan(desired(FILE.format(driver="")), before)
    for batch in rounds(plan.actions, before):
        ids = {action.id for action in batch}
        assert not [action.id for action in batch if not ids.isdisjoint(action.needs)]
