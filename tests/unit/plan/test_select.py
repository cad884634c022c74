"""Targets and partial plans."""

from __future__ import annotations

import pytest

from reconciler.diagnostics import ReconcilerError
from reconciler.host.model import Libvirt, Network, Snapshot
from reconciler.plan.planner import make_plan
from tests.hosts import desired, guest, host, igb

FILE = """
[pf.int]
match = { name = "enp1s0" }
link = "up"
vfs = 2
[pf.int.vf.0]
vlan = 5
[pf.int.vf.1]
vlan = 6
[pf.ext]
match = { name = "MISSING" }
vfs = 2
[pool.p]
pf = "ext"
[domain.web.nic.a]
vf = "int/0"
mac = "52:54:00:00:00:01"
[domain.web.nic.b]
pool = "p"
mac = "52:54:00:00:00:02"
"""
HERE = FILE.replace("MISSING", "enp2s0")


def test_a_target_brings_what_it_depends_on_and_no_more() -> None:
    snapshot = host(igb(1), igb(2), domains=[guest("web", running=True)])
    plan = make_plan(desired(HERE), snapshot, targets=["pf.int.vf.1"])
    assert [(action.op, action.address) for action in plan.actions] == [
        ("pf.set_link", "pf.int"),
        ("pf.set_numvfs", "pf.int"),
        ("vf.set", "pf.int.vf.1"),
    ]
    assert {change.address for change in plan.changes} == {"pf.int", "pf.int.vf.1"}
    assert plan.targets == ["pf.int.vf.1"]


def test_the_target_of_a_pf_has_its_vfs() -> None:
    plan = make_plan(desired(HERE), host(igb(1), igb(2), domains=[guest("web")]), targets=["pf.int"])
    assert {action.address for action in plan.actions} == {"pf.int", "pf.int.vf.1"}


def test_errors_elsewhere_do_not_block_a_target() -> None:
    plan = make_plan(desired(FILE), host(igb(1), domains=[guest("web")]), targets=["pf.int"])
    assert plan.verdict == "changes"


def test_an_unknown_target_is_wrong_usage() -> None:
    with pytest.raises(ReconcilerError) as error:
        make_plan(desired(HERE), host(igb(1), igb(2)), targets=["pf.nosuch"])
    assert error.value.code == 64


def test_partial_does_the_rest_and_lists_what_was_dropped() -> None:
    plan = make_plan(desired(FILE), host(igb(1), domains=[guest("web")]), partial=True)
    assert plan.verdict == "changes"
    assert set(plan.dropped) == {"pf.ext", "pool.p", "domain.web.nic.b"}
    addresses = {action.address for action in plan.actions}
    assert addresses == {"pf.int", "pf.int.vf.1", "domain.web.nic.a"}
    assert not any(d.severity == "error" for d in plan.diagnostics)


def test_partial_drops_nothing_of_an_optional_card() -> None:
    text = FILE.replace("MISSING", 'gone" }\noptional = true #')
    plan = make_plan(desired(text), host(igb(1), domains=[guest("web")]), partial=True)
    assert plan.dropped == []


POOL = '[pf.int]\nmatch = { name = "enp1s0" }\nlink = "up"\nvfs = 6\n[pool.p]\nvfs = ["int/2-3"]\n'


def _pool_in_place() -> Snapshot:
    pf = igb(1, 4, up=True, carrier=True)
    addresses = [vf.address or "" for vf in pf.vfs[2:4]]
    network = Network("p", "u", active=True, mode="hostdev", addresses=addresses, live_addresses=list(addresses))
    return host(pf, networks=[network])


def test_a_target_gives_back_what_it_takes() -> None:
    plan = make_plan(desired(POOL), _pool_in_place(), targets=["pf.int"])
    assert [action.op for action in plan.actions] == ["pool.stop", "pf.set_numvfs", "pf.set_numvfs", "pool.start"]


def test_partial_takes_nothing_that_it_does_not_give_back() -> None:
    plan = make_plan(desired(POOL.replace("vfs = 6", "vfs = 20")), _pool_in_place(), partial=True)
    assert plan.actions == []
    assert set(plan.dropped) == {"pf.int", "pool.p"}


def test_a_target_that_only_defaults_speak_of() -> None:
    text = '[pf.int]\nmatch = { name = "enp1s0" }\nvfs = 2\n[pf.int.vf_defaults]\nspoofchk = true\n'
    plan = make_plan(desired(text), host(igb(1, 2)), targets=["pf.int.vf.1"])
    assert plan.verdict == "in-sync"


def test_a_target_that_could_not_be_observed_is_never_in_sync() -> None:
    snapshot = host(igb(1, 4))
    snapshot.libvirt = Libvirt(available=False, reason="It is down.")
    text = POOL.replace("vfs = 6", "vfs = 4") + '[pool.q]\nvfs = ["int/0"]\n'
    plan = make_plan(desired(text), snapshot, targets=["pool.q"])
    assert plan.verdict == "blocked"
    assert plan.unobserved == ["pool.q"]
