"""Whatever fails, taking back brings the host to where it was: from every prefix of every plan."""

from __future__ import annotations

import errno

from hypothesis import assume, given

from reconciler.apply.run import carry_out
from reconciler.exit_codes import ExitCode
from reconciler.host.protocol import HostError
from reconciler.kinds.action import Action
from reconciler.plan.difference import differences
from reconciler.plan.guards import refusals
from tests.hosts import DataHost
from tests.property.test_plan import BROAD, Silent, files, hosts, plan_of


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
