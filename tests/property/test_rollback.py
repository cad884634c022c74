"""Whatever fails, taking back brings the host to where it was: from every prefix of every plan, on data and on the
twin, which knows what the kernel, the drivers and libvirt make of each step."""

from __future__ import annotations

import errno
from copy import deepcopy
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reconciler.apply.rollback import Rollback, take_back_run
from reconciler.apply.run import carry_out
from reconciler.apply.runs import last_run
from reconciler.exit_codes import ExitCode
from reconciler.host.model import Snapshot
from reconciler.host.protocol import HostError
from reconciler.host.twin.clock import settle
from reconciler.host.twin.host import TwinHost
from reconciler.host.twin.make import from_snapshot
from reconciler.host.twin.state import Fault, Twin
from reconciler.kinds.action import Action
from reconciler.plan.difference import differences
from reconciler.plan.guards import refusals
from tests.faults.judge import differences as all_differences
from tests.faults.judge import facts
from tests.faults.scenarios import SCENARIOS, Scenario, desired, start
from tests.faults.world import apply, fresh
from tests.hosts import DataHost
from tests.property.test_plan import BROAD, Silent, accepted, files, hosts, plan_of


@pytest.fixture(autouse=True)
def no_power_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of records, and none that has to outlast this process."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


def _failing(chosen: str):  # type: ignore[no-untyped-def]
    def before(action: Action) -> None:
        if action.id == chosen:
            raise HostError("Refused.", "as the test wants", errno=errno.EIO)

    return before


@BROAD
@given(files(), hosts())
def test_from_every_prefix_of_a_plan_the_way_back_arrives(tmp_path_factory, state, observed):  # type: ignore[no-untyped-def]
    wanted, plan = plan_of(state, observed)
    assume(not refusals(plan, wanted, observed, ["management"]))
    assume(not any(action.undo.impossible for action in plan.actions))
    folder = tmp_path_factory.mktemp("state")
    for action in plan.actions:
        machine = DataHost(observed)
        result = carry_out(
            plan,
            wanted,
            machine.observe(),
            reader=machine,
            writer=machine,
            state_dir=folder,
            progress=Silent(),
            stopped=lambda: False,
            on_error="rollback",
            before=_failing(action.id),
        )
        told = [(item.op, item.args) for item in plan.actions], action.id, result.unmet
        assert not differences(observed, machine.state, plan.actions), told
        assert result.code == (ExitCode.ROLLED_BACK if result.rollback is not None else ExitCode.FAILED), told


def _rolled_back(twin: Twin, folder: Path) -> Rollback:
    """What ``rollback`` makes of the last run, in a process of its own."""
    settle(twin)
    host, last = TwinHost(twin), last_run(folder)
    assert last is not None
    done = take_back_run(
        last, host.observe(), confirmed=None, reader=host, writer=host, state_dir=folder, progress=Silent()
    )
    settle(twin)
    return done[1]


@pytest.mark.parametrize("after", [False, True], ids=["before the write", "after the write"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_killed_at_any_write_a_rollback_arrives(tmp_path: Path, scenario: Scenario, after: bool) -> None:
    whole = start(scenario)
    assert apply(whole, desired(scenario.after), tmp_path / "whole").code == 0
    for number in range(1, whole.writes + 1):
        twin = start(scenario)
        before = facts(twin)
        twin.faults = [Fault(number, "crash", after=after)]
        folder = tmp_path / str(number)
        ended = apply(twin, desired(scenario.after), folder)
        if ended.code == 0 and after:
            continue  # What comes after a write that a busy driver refuses never comes: it is asked again.
        assert ended.code is None
        rollback = _rolled_back(twin, folder)
        assert not all_differences(before, facts(twin)), (number, rollback.left)
        assert rollback.complete, (number, rollback.left)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_whole_run_is_taken_back(tmp_path: Path, scenario: Scenario) -> None:
    twin = start(scenario)
    before = facts(twin)
    assert apply(twin, desired(scenario.after), tmp_path).code == 0
    rollback = _rolled_back(twin, tmp_path)
    assert not all_differences(before, facts(twin)), rollback.left
    assert rollback.complete


_CARDS = {
    "igb": ("8086", "10c9"),
    "ixgbe": ("8086", "10fb"),
    "i40e": ("8086", "1572"),
    "ice": ("8086", "1592"),
    "mlx5_core": ("15b3", "1017"),
    "bnxt_en": ("14e4", "16d7"),
}


@st.composite
def twins(draw: st.DrawFn) -> Twin:
    """The hosts of `hosts`, with cards of any make."""
    observed: Snapshot = draw(hosts())
    driver = draw(st.sampled_from(sorted(_CARDS)))
    for pf in observed.pfs.values():
        pf.driver, (pf.vendor, pf.device_id) = driver, _CARDS[driver]
        pf.carrier = True if pf.up else None
        for vf in pf.vfs:
            if not pf.up and vf.attributes is not None:
                vf.attributes["max_tx_rate"] = 0  # Most drivers take a rate only while there is a link.
            vf.driver = None if vf.driver == "igbvf" else vf.driver
    twin = from_snapshot(observed)
    settle(twin)
    return twin


@BROAD
@given(files(), twins(), st.floats(0, 1), st.sampled_from(["errno", "crash"]), st.booleans())
def test_from_any_prefix_on_any_card_the_way_back_arrives(tmp_path_factory, state, twin, where, kind, after):  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("state")
    wanted, plan = plan_of(state, fresh(TwinHost(twin), accepted(state), folder)[0])
    assume(not any(action.undo.impossible for action in plan.actions))
    whole = deepcopy(twin)
    ended = apply(whole, wanted, folder / "whole")
    assume(ended.code == 0 and whole.writes)
    before = fresh(TwinHost(twin), wanted, folder)[0]
    twin.faults = [Fault(1 + int(where * (whole.writes - 1)), kind, errno.EIO, after)]
    ended = apply(twin, wanted, folder, "rollback")
    assume(ended.code != 0)  # As above.
    told = [(item.op, item.args) for item in plan.actions], twin.writes, ended.said()
    if ended.code is None:
        told = *told, _rolled_back(twin, folder).left
    settle(twin)
    assert not differences(before, TwinHost(twin).observe(), plan.actions), told
    assert ended.code in (None, ExitCode.ROLLED_BACK, ExitCode.FAILED), told
