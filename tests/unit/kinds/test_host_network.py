"""``host_network = "ignore"`` compared, planned and taken back."""

from __future__ import annotations

from reconciler.host.model import HostNetwork, Snapshot, Use
from reconciler.kinds.operations import OPERATIONS
from reconciler.plan.adopt import adopt
from reconciler.plan.confirm import halves_of
from reconciler.plan.document import Plan
from reconciler.plan.drift import find_drift
from reconciler.plan.planner import make_plan
from reconciler.plan.undo import undo_of
from tests.hosts import desired, host, igb

FILE = '[pf.int]\nmatch = { name = "enp1s0" }\nvfs = 4\nhost_network = "ignore"\n'
INT, EXT = igb(1).id, igb(2).id
VF1 = igb(1, 4).vfs[1].address or ""


def seen(vfs: int = 4, ignored: list[str] | None = None, managed: dict[str, str] | None = None) -> Snapshot:
    snapshot = host(igb(1, vfs), igb(2, 2))
    snapshot.host_network = HostNetwork([] if ignored is None else ignored, managed or {})
    return snapshot


def steps(plan: Plan) -> list[tuple[str, object]]:
    return [(action.op, action.args.get("host_network", action.args.get("vfs"))) for action in plan.actions]


def test_it_is_done_before_vfs_are_made() -> None:
    assert steps(make_plan(desired(FILE), seen(0))) == [("pf.set_host_network", "ignore"), ("pf.set_numvfs", 4)]


def test_what_is_right_needs_nothing() -> None:
    snapshot = seen(ignored=[INT, EXT])
    assert steps(make_plan(desired(FILE), snapshot)) == []
    assert find_drift(desired(FILE), snapshot).counts == {"in-sync": 2}


def test_a_vf_that_is_managed_all_the_same_is_a_difference_with_its_name() -> None:
    snapshot = seen(ignored=[INT], managed={VF1: "systemd-networkd", igb(2, 1).vfs[0].address or "": "NetworkManager"})
    plan = make_plan(desired(FILE), snapshot)
    assert steps(plan) == [("pf.set_host_network", "ignore")]
    assert plan.changes[0].reason == "systemd-networkd manages the interface of VF 1"
    assert plan.actions[0].undo.steps[0].args == {"pf": INT, "host_network": "ignore"}


def test_a_vf_that_the_host_uses_is_lost_to_it() -> None:
    snapshot = seen(managed={VF1: "NetworkManager"})
    snapshot.pfs[INT].vfs[1].uses = [Use("address", "192.0.2.1/24")]
    (action,) = make_plan(desired(FILE), snapshot).actions
    assert action.disruption == "guest"
    assert "192.0.2.1/24" in action.impact.host[0]


def test_an_undo_leaves_other_pfs_alone() -> None:
    snapshot = seen(ignored=[EXT])
    plan = make_plan(desired(FILE), snapshot)
    operation = OPERATIONS["pf.set_host_network"]
    after = seen(ignored=[EXT])
    operation.simulate(after, plan.actions[0].args)
    assert after.host_network.ignored == [INT, EXT]
    (back,) = undo_of(plan.actions, {plan.actions[0].id}, snapshot)
    assert operation.satisfied(after, back.args) is False
    operation.simulate(after, back.args)
    assert after.host_network.ignored == [EXT]
    assert operation.satisfied(after, back.args) is True


def test_taking_the_key_out_leaves_it() -> None:
    assert steps(make_plan(desired(FILE.replace('host_network = "ignore"', "")), seen(ignored=[INT]))) == []


def test_what_is_not_known_blocks() -> None:
    snapshot = seen()
    snapshot.host_network.ignored = None
    plan = make_plan(desired(FILE), snapshot)
    assert (plan.verdict, plan.unobserved) == ("blocked", ["pf.int"])


def test_adopt_tells_it() -> None:
    assert adopt(seen(ignored=[INT])).state["pf"]["enp1s0"]["host_network"] == "ignore"
    assert "host_network" not in adopt(seen(ignored=[INT], managed={VF1: "NetworkManager"})).state["pf"]["enp1s0"]


def test_it_outlasts_a_reboot_so_a_confirmation_writes_it() -> None:
    halves = halves_of(make_plan(desired(FILE), seen(0)).actions)
    assert [action.op for action in halves.later] == ["pf.set_host_network"]
