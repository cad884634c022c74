"""VFs back to their driver's defaults, as a plan."""

import pytest

from reconciler.diagnostics import ReconcilerError
from reconciler.host.model import Nic
from reconciler.plan.planner import make_plan
from reconciler.plan.reset import held, reset_file
from reconciler.state.desired import ZERO_MAC
from tests.hosts import guest, host, igb


def test_only_what_differs_is_written_and_only_on_the_named_vfs() -> None:
    pf = igb(1, 4, up=True, carrier=True, speed=1000)
    for index in (1, 2):
        pf.vfs[index].attributes |= {"max_tx_rate": 500, "trust": True, "vlan": 7, "mac": "52:54:00:6d:90:01"}
    plan = make_plan(reset_file(host(pf), ["enp1s0/1", "0000:01:00.0/0,3"]), host(pf))
    assert plan.verdict == "changes"
    assert {action.address for action in plan.actions} == {"pf.enp1s0.vf.1"}
    written = {key: value for action in plan.actions for key, value in action.args["set"].items()}
    assert written == {"mac": ZERO_MAC, "vlan": 0, "max_tx_rate": 0, "trust": False}


def test_a_vf_that_is_as_new_needs_nothing() -> None:
    assert make_plan(reset_file(host(igb(1, 2, up=True)), ["enp1s0/0-1"]), host(igb(1, 2, up=True))).actions == []


def test_all_wrong_references_are_said_at_once() -> None:
    with pytest.raises(ReconcilerError) as error:
        reset_file(host(igb(1, 2)), ["enp1s0", "eth9/0", "enp1s0/1-5", "enp1s0/x"])
    assert error.value.code == 64
    for part in ('"enp1s0" is no reference', "no PF 'eth9'", "enp1s0 (0000:01:00.0)", "has 2 VFs", '"x" names no VF'):
        assert part in error.value.detail


def test_who_has_a_vf_is_named() -> None:
    pf = igb(1, 2)
    nic = Nic(method="interface", vf_address=pf.vfs[1].address, alias="ua-rec-data")
    at = host(pf, domains=[guest("web1", running=True, live=[nic])])
    assert held(at, reset_file(at, ["enp1s0/0-1"])) == ["pf.enp1s0.vf.1: guest web1 (ua-rec-data) has it."]
