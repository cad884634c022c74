"""Spare PCIe root ports of guests: planned, added, and taken away again."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.apply.ledger import read_ledger
from reconciler.apply.rollback import take_back_run
from reconciler.apply.runs import last_run
from reconciler.host.buses import removable
from reconciler.host.model import Domain, GuestHardware, PciBus, Snapshot
from reconciler.host.twin.hands import run
from reconciler.host.twin.host import TwinHost
from reconciler.host.twin.profiles import make_from
from reconciler.host.twin.state import Twin
from reconciler.kinds.operations import OPERATIONS
from reconciler.plan.drift import find_drift
from reconciler.plan.planner import make_plan
from tests.faults.scenarios import desired
from tests.faults.world import Silent, apply
from tests.hosts import guest, host, igb

PF = """
[pf.int]
match = { name = "enp1s0" }
link = "up"
vfs = 2
vf_driver = "none"
"""
NIC = '[domain.db1.nic.a]\nvf = "int/0"\nmac = "52:54:00:6d:90:01"\n'


def ports(twin: Twin, name: str = "db1") -> int:
    """Free ones of its definition."""
    buses = TwinHost(twin).observe().libvirt.domains[name].buses
    assert buses is not None
    return sum(bus.free for bus in buses)


def test_a_guest_that_is_off_gets_them_beside_those_of_its_nics(tmp_path: Path) -> None:
    twin = make_from("igb-lab")
    assert ports(twin) == 6
    text = f"{PF}[domain.db1]\nroot_ports = 8\n{NIC}"
    done = apply(twin, desired(text), tmp_path)
    assert (done.code, ports(twin), twin.guests["db1"].slots) == (0, 8, 9)
    change = next(change for change in done.plan.changes if change.address == "domain.db1")
    assert [(field.name, field.before, field.after) for field in change.fields] == [("root_ports", 5, 8)]
    (action,) = [action for action in done.plan.actions if action.op == "domain.set_root_ports"]
    assert (action.disruption, action.args) == ("none", {"domain": "db1", "free": 9})
    again = apply(twin, desired(text), tmp_path)
    assert (again.code, again.plan.actions) == (0, [])
    fewer = make_plan(desired(text.replace("= 8", "= 3")), TwinHost(twin).observe())
    assert fewer.verdict == "in-sync", "more than declared is fine"


def test_what_was_added_is_taken_away_again(tmp_path: Path) -> None:
    twin = make_from("igb-lab")
    assert apply(twin, desired(f"{PF}[domain.db1]\nroot_ports = 8\n{NIC}"), tmp_path).code == 0
    machine, last = TwinHost(twin), last_run(tmp_path)
    assert last is not None
    _, back = take_back_run(
        last,
        machine.observe(),
        confirmed=None,
        reader=machine,
        writer=machine,
        state_dir=tmp_path,
        progress=Silent(),
    )
    assert (back.complete, back.left) == (True, [])
    assert (ports(twin), twin.guests["db1"].slots) == (6, 6)


def test_a_running_guest_has_them_after_its_next_start(tmp_path: Path) -> None:
    twin = make_from("igb-lab")
    wanted = desired("[domain.web1]\nroot_ports = 7\n")
    done = apply(twin, wanted, tmp_path)
    assert (done.code, ports(twin, "web1")) == (0, 7)
    assert [d.code for d in done.plan.diagnostics] == ["pending-restart"]
    host = TwinHost(twin)
    plan = make_plan(wanted, host.observe())
    assert (plan.verdict, [d.code for d in plan.diagnostics]) == ("in-sync", ["pending-restart"])
    drift = find_drift(wanted, host.observe())
    assert drift.verdict == "in-sync"
    assert [(field.label, field.declared, field.observed) for field in drift.fields] == [("pending-restart", 7, 6)]
    for command in ("virsh destroy web1", "virsh start web1"):
        assert run(host, command).ok
    assert find_drift(wanted, host.observe()).fields == []
    assert host.observe().libvirt.domains["web1"].hardware.free_root_ports == 7  # type: ignore[union-attr]


def test_to_lose_what_had_still_to_wait_is_drift(tmp_path: Path) -> None:
    twin = make_from("igb-lab")
    wanted = desired("[domain.web1]\nroot_ports = 7\n")
    assert apply(twin, wanted, tmp_path).code == 0
    for command in ("virsh destroy web1", "virsh start web1"):
        assert run(TwinHost(twin), command).ok
    twin.guests["web1"].slots = 5
    found = TwinHost(twin).observe()
    found.ledger = read_ledger(tmp_path)[0]
    (lost,) = find_drift(wanted, found).fields
    assert (lost.label, lost.applied, lost.observed) == ("drift", 7, 5)


def q35(**changes: object) -> Domain:
    domain = guest("web")
    domain.hardware = GuestHardware(machine="pc-q35-10.0", free_root_ports=1)
    domain.buses = [PciBus(1), PciBus(2, free=True)]
    for name, value in changes.items():
        setattr(domain, name, value)
    return domain


def codes(domain: Domain, count: int = 2) -> tuple[str, dict[str, str]]:
    snapshot: Snapshot = host(igb(1), domains=[domain])
    plan = make_plan(desired(f"[domain.web]\nroot_ports = {count}\n"), snapshot)
    return plan.verdict, {d.code: d.severity for d in plan.diagnostics}


@pytest.mark.parametrize(
    ("domain", "verdict", "told"),
    [
        (q35(), "changes", {}),
        (
            q35(hardware=GuestHardware(machine="pc-i440fx-9.0"), buses=None),
            "in-sync",
            {"root-ports-not-needed": "note"},
        ),
        (q35(hardware=GuestHardware(machine="microvm"), buses=None), "blocked", {"no-root-ports": "error"}),
        (q35(persistent=False, running=True, buses=None), "blocked", {"transient-guest": "error"}),
        (q35(hardware=None), "blocked", {"not-observed": "error"}),
        (q35(buses=None), "blocked", {"not-observed": "error"}),
    ],
    ids=["q35", "i440fx", "microvm", "transient", "unknown", "a snapshot of before"],
)
def test_kinds_of_machines(domain: Domain, verdict: str, told: dict[str, str]) -> None:
    assert codes(domain) == (verdict, told)


def test_only_the_last_free_ports_can_go() -> None:
    buses = [PciBus(1), PciBus(2, free=True), PciBus(3, free=True), PciBus(4), PciBus(5, free=True)]
    assert [bus.index for bus in removable(buses, [1, 2])] == [5]
    assert [bus.index for bus in removable(buses, [5])] == []
    assert [bus.index for bus in removable(buses[:3], [])] == [2, 3]
    assert removable([], []) == []


@pytest.mark.parametrize(("wanted", "free"), [(8, 9), (5, None)])
def test_nics_that_are_left_out_are_given_no_ports(wanted: int, free: int | None) -> None:
    """A pair takes two ports; its bridge isn't there."""
    observed = TwinHost(make_from("igb-lab")).observe()
    other = '[domain.db1.nic.b]\nvf = "int/1"\nmac = "52:54:00:6d:90:02"\nfailover = { bridge = "nope" }\n'
    text = desired(f"{PF}[domain.db1]\nroot_ports = {wanted}\n{NIC}{other}")
    whole = make_plan(text, observed)
    assert [a.args["free"] for a in whole.actions if a.op == "domain.set_root_ports"] == [wanted + 3]
    rest = make_plan(text, observed, partial=True)
    assert rest.dropped == ["domain.db1.nic.b"]
    made = [a.args["free"] for a in rest.actions if a.op == "domain.set_root_ports"]
    assert made == ([free] if free is not None else [])
    assert ("domain.db1" in {change.address for change in rest.changes}) is (free is not None)
    for action in rest.actions:
        OPERATIONS[action.op].simulate(observed, action.args)
    assert sum(bus.free for bus in observed.libvirt.domains["db1"].buses or []) == wanted
    again = make_plan(text, observed, partial=True)
    assert (again.actions, again.changes, again.dropped) == ([], [], ["domain.db1.nic.b"])
