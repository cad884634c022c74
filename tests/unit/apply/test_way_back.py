"""The way back when a step was left out that a later one counted on."""

from __future__ import annotations

from pathlib import Path

from reconciler.apply.run import carry_out
from reconciler.exit_codes import ExitCode
from reconciler.host.model import Nic
from reconciler.host.protocol import HostError
from reconciler.kinds.action import Action
from reconciler.plan.difference import differences
from reconciler.plan.planner import make_plan
from tests.hosts import DataHost, desired, guest, host, igb
from tests.unit.apply.test_executor import Listener

MAC = "52:54:00:00:01:01"
FILE = f"""
[modules]
blacklist = ["igbvf"]
[pf.int]
match.name = "enp1s0"
vfs = 3
[domain.web.nic.a]
vf = "int/0"
mac = "{MAC}"
"""


def test_a_vf_that_was_not_taken_off_its_guest_is_not_unbound_under_it(tmp_path: Path) -> None:
    """The driver's unloading counts on it and binds it again on its way back."""
    pf = igb(1, 5, up=True, carrier=True)
    pf.autoprobe = True
    pf.vfs[3].driver = "vfio-pci"
    pf.vfs[3].attributes["mac"] = MAC  # type: ignore[index]
    nics = [Nic("interface", "ua-rec-a", MAC, pf.vfs[3].address) for _ in range(2)]
    observed = host(pf, domains=[guest("web", running=True, live=nics[:1], config=nics[1:])], loaded=["igbvf"])
    plan = make_plan(desired(FILE), observed)
    assert [action.op for action in plan.actions[:3]] == ["nic.detach", "modules.set_blacklist", "modules.unload"]
    machine = DataHost(observed)

    def refused(action: Action) -> None:
        if action.op == "nic.detach":
            raise HostError("Refused.", "as the test wants")

    result = carry_out(
        plan,
        desired(FILE),
        machine.observe(),
        reader=machine,
        writer=machine,
        state_dir=tmp_path,
        progress=Listener(),
        stopped=lambda: False,
        on_error="rollback",
        before=refused,
    )
    assert result.code == ExitCode.ROLLED_BACK
    assert "vf.bind" not in machine.calls
    assert differences(observed, machine.state, plan.actions) == []
