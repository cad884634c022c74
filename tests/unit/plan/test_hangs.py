"""Plans and runs while the kernel hangs in a write."""

from __future__ import annotations

from reconciler.host.model import Hang, Snapshot
from reconciler.plan.document import Plan
from reconciler.plan.planner import make_plan
from tests.hosts import desired, host, igb

BOTH = """
[pf.int]
match = { name = "enp1s0" }
vfs = 4
[pf.int.vf.0]
vlan = 5
[pf.ext]
match = { name = "enp2s0" }
mtu = 1700
"""
PATH = "/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs"


def hanging() -> Snapshot:
    found = host(igb(1), igb(2))
    found.hangs = [Hang(50, "sh", PATH, "pci/0000:01:00.0", "2026-01-01T00:00:00Z", "f", ["VF 1 (a): dpdk (pid 9)"])]
    return found


def told(plan: Plan) -> list[tuple[str, str]]:
    return [(d.severity, d.address) for d in plan.diagnostics if d.code == "kernel-hangs"]


def test_a_pf_behind_a_hang_is_an_error_and_the_rest_can_be_done() -> None:
    plan = make_plan(desired(BOTH), hanging())
    assert (plan.verdict, told(plan)) == ("blocked", [("error", "pf.int")])
    (detail,) = [d.detail for d in plan.diagnostics]
    for part in ("process 50 (sh)", PATH, "since 2026-01-01T00:00:00Z", "in f", "VF 1 (a): dpdk (pid 9)", "--partial"):
        assert part in detail
    rest = make_plan(desired(BOTH), hanging(), partial=True)
    assert [action.address for action in rest.actions] == ["pf.ext"]
    assert (rest.verdict, told(rest)) == ("changes", [("warning", "pf.int")])


def test_a_hang_that_is_in_nobodys_way_is_said_all_the_same() -> None:
    plan = make_plan(desired('[pf.ext]\nmatch = { name = "enp2s0" }\nmtu = 1700\n'), hanging())
    assert (plan.verdict, told(plan)) == ("changes", [("warning", "")])
