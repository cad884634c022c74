"""A reconcile never loops: on a twin of every driver's card, what is planned arrives in one apply, and a second one has
nothing to do; what the card would refuse is said before anything is written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reconciler.apply.ledger import read_ledger
from reconciler.apply.run import carry_out
from reconciler.drivers.table import DRIVERS, VARIANTS
from reconciler.exit_codes import ExitCode
from reconciler.host.model import Snapshot
from reconciler.host.twin.host import TwinHost
from reconciler.host.twin.make import from_snapshot
from reconciler.plan.document import Plan
from reconciler.plan.guards import refusals
from reconciler.plan.planner import make_plan
from reconciler.state.desired import Desired
from reconciler.state.write import render
from tests.hosts import guest, host, igb
from tests.property.test_plan import Silent, accepted

CARDS = [(name, None) for name in sorted(DRIVERS)] + sorted(VARIANTS)
SEARCH = settings(
    max_examples=int(os.environ.get("EXAMPLES", "25")),
    deadline=None,
    derandomize="EXAMPLES" not in os.environ,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)

ATTRIBUTES = {
    "vlan": st.sampled_from([0, 5, 4094]),
    "qos": st.sampled_from([0, 3]),
    "vlan_proto": st.sampled_from(["802.1Q", "802.1ad"]),
    "spoofchk": st.booleans(),
    "trust": st.booleans(),
    "link_state": st.sampled_from(["auto", "enable", "disable"]),
    "query_rss": st.booleans(),
    "min_tx_rate": st.sampled_from([0, 10, 100, 6000, 9900, 13000, 24000]),
    "max_tx_rate": st.sampled_from([0, 5, 11, 120, 500, 1000, 10000, 25000, 100000]),
}
MACS = st.sampled_from(["none", "52:54:00:00:00:11", "52:54:00:00:00:12"])


@st.composite
def files(draw: st.DrawFn) -> dict[str, Any]:
    """A state file for the card of `fresh_host`: few attributes at a time, so that not every file is refused."""
    some = st.dictionaries(st.sampled_from(sorted(ATTRIBUTES)), st.none(), max_size=3)
    pf: dict[str, Any] = {"match": {"name": "enp1s0"}, "link": draw(st.sampled_from(["up", "up", "up", "down"]))}
    count = draw(st.integers(0, 4))
    if draw(st.integers(0, 5)):
        pf["vfs"] = count
    if draw(st.booleans()):
        pf["vf_defaults"] = {name: draw(ATTRIBUTES[name]) for name in draw(some)}
    pf["vf"] = {}
    for index in draw(st.sets(st.integers(0, max(count - 1, 0)), max_size=2 if "vfs" in pf and count else 0)):
        pf["vf"][str(index)] = {name: draw(ATTRIBUTES[name]) for name in draw(some)}
        if draw(st.booleans()):
            pf["vf"][str(index)]["mac"] = draw(MACS)
    state: dict[str, Any] = {"schema": 1, "pf": {"card": pf}}
    if count and "vfs" in pf and draw(st.booleans()):
        nic = {"pf": "card", "method": draw(st.sampled_from(["interface", "hostdev"])), "mac": "52:54:00:00:00:99"}
        state["domain"] = {"web": {"nic": {"a": nic | {name: draw(ATTRIBUTES[name]) for name in draw(some)}}}}
    return state


def fresh_host(driver: str, device_id: str | None) -> Snapshot:
    """A host with one card of this driver, its port down and without VFs, and a guest that runs."""
    pf = igb(1, driver=driver, device_id=device_id or "ffff", total_vfs=8)
    return host(pf, domains=[guest("web", running=True)])


class Life:
    """A twin and what is on record about it."""

    def __init__(self, start: Snapshot, folder: Path) -> None:
        self.host = TwinHost(from_snapshot(start))
        self.folder = folder

    def observe(self) -> Snapshot:
        snapshot = self.host.observe()
        snapshot.ledger = read_ledger(self.folder)[0]
        return snapshot

    def apply(self, wanted: Desired) -> Plan | None:
        """Applies a file; the plan that is left to do then, ``None`` when the file was refused before any write."""
        self.host.sleep(5)  # What a port without a link was given before counts once it has one.
        observed = self.observe()
        plan = make_plan(wanted, observed)
        assert not [d for d in plan.diagnostics if d.code == "plan-incomplete"], plan.diagnostics
        if plan.verdict == "blocked":
            assert [d for d in plan.diagnostics if d.severity == "error"]
            return None
        if refusals(plan, wanted, observed, ["management"]):
            return None
        writes = self.host.twin().writes
        result = carry_out(
            plan,
            wanted,
            observed,
            reader=self.host,
            writer=self.host,
            state_dir=self.folder,
            progress=Silent(),
            stopped=lambda: False,
        )
        told = [(o.id, o.error) for o in result.outcomes if o.error], result.unmet, result.warnings
        if result.code != ExitCode.OK:
            # A rate that only the speed of a link that wasn't there could tell: refused, and from then on by the plan.
            assert "rate" in str(told), told
            again = make_plan(wanted, self.observe())
            assert again.verdict == "blocked", (told, again)
            assert any(d.code in ("driver-refuses", "rate-needs-link") for d in again.diagnostics), again.diagnostics
            return None
        assert plan.actions or self.host.twin().writes == writes
        return make_plan(wanted, self.observe())


@pytest.mark.parametrize(("driver", "device_id"), CARDS, ids=[f"{name}-{device or 'any'}" for name, device in CARDS])
@SEARCH
@given(states=st.lists(files(), min_size=1, max_size=3))
def test_what_is_planned_arrives_at_once(driver, device_id, states, tmp_path_factory):  # type: ignore[no-untyped-def]
    life = Life(fresh_host(driver, device_id), tmp_path_factory.mktemp("state"))
    for state in states:
        wanted = accepted(state)
        left = life.apply(wanted)
        assert left is None or left.verdict == "in-sync", (
            render(state, []),
            [(action.op, action.args) for action in left.actions],
            left.diagnostics,
        )
