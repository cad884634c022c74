"""Huge pages: what is done, in which order, and for what there is no room."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.apply.ledger import read_ledger, record, write_ledger
from reconciler.host.model import Applied, GuestHardware, HugePagePools, NodePages, PagesOfSize, Snapshot, SysctlPages
from reconciler.kinds.hugepages.compare import compare
from reconciler.kinds.operations import OPERATIONS
from reconciler.kinds.resolve import resolve
from reconciler.plan.confirm import halves_of
from reconciler.plan.difference import differences
from reconciler.plan.document import Plan
from reconciler.plan.drift import find_drift
from reconciler.plan.planner import make_plan
from reconciler.report.actions import sentence
from reconciler.report.step_values import values_of
from reconciler.state.desired import Pages
from tests.hosts import DataHost, desired, guest, host
from tests.unit.kinds.test_services import execute

GIB = 1 << 20


def pages(*nodes: int, used: int = 0) -> PagesOfSize:
    """So many on each node, of which the first has some that are in use."""
    by_node = {f"node{number}": NodePages(count, count) for number, count in enumerate(nodes)}
    by_node["node0"].free -= used
    return PagesOfSize(sum(nodes), sum(nodes) - used, nodes=by_node)


def having(own: dict[str, Pages] | None = None, *, memory: int = 64 * GIB, **sizes: PagesOfSize) -> Snapshot:
    """A host with two nodes; sizes as ``M2=…`` and ``G1=…``."""
    snapshot = host()
    known = {"2M": pages(0, 0), "1G": pages(0, 0)} | {f"{key[1]}{key[0]}": found for key, found in sizes.items()}
    nodes = {"node0": memory // 2, "node1": memory // 2}
    snapshot.hugepages = HugePagePools(known, own, memory, nodes)
    return snapshot


def plan(text: str, observed: Snapshot) -> Plan:
    return make_plan(desired(f"[hugepages]\n{text}"), observed)


def asked(found: Plan) -> list[dict[str, object]]:
    return [action.args for action in found.actions]


def now(size: str, count: Pages) -> dict[str, object]:
    return {"size": size, "now": count}


def boot(size: str, count: Pages) -> dict[str, object]:
    return {"size": size, "boot": count}


BY_NODE = {"node0": 8, "node1": 4}


@pytest.mark.parametrize(
    ("text", "observed", "steps"),
    [
        ("2M = 8", having(), [now("2M", 8), boot("2M", 8)]),
        ("2M = 8", having({"2M": 8}, M2=pages(4, 4)), []),
        ("2M = 8", having({"2M": 8}), [now("2M", 8)]),
        ("2M = 8", having({"2M": 4}, M2=pages(8, 0)), [boot("2M", 8)]),
        ("2M = 0", having(), [boot("2M", 0)]),
        ("2M = { node0 = 8, node1 = 4 }", having(), [now("2M", BY_NODE), boot("2M", BY_NODE)]),
        ("2M = { node0 = 8, node1 = 4 }", having({"2M": BY_NODE}, M2=pages(8, 4)), []),
        ("2M = { node0 = 8, node1 = 4 }", having({"2M": BY_NODE}, M2=pages(4, 8)), [now("2M", BY_NODE)]),
        ("2M = { node1 = 4 }", having({"2M": {"node1": 4}}, M2=pages(9, 4)), []),
        ("2048K = 8", having({"2M": 8}, M2=pages(8, 0)), []),
        ("1024M = 1", having({"1G": 1}), [now("1G", 1)]),
        # What becomes fewer comes first, so that there is room.
        ("2M = 8\n1G = 1", having({"2M": 8, "1G": 1}, G1=pages(4, 0)), [now("1G", 1), now("2M", 8)]),
    ],
)
def test_what_is_done(text: str, observed: Snapshot, steps: list[dict[str, object]]) -> None:
    found = plan(text, observed)
    assert asked(found) == steps
    assert found.verdict == ("changes" if steps else "in-sync")


def test_surplus_pages_do_not_count() -> None:
    snapshot = having({"2M": 8}, M2=PagesOfSize(10, 0, 2))
    assert plan("2M = 8", snapshot).diagnostics[0].code == "huge-pages-in-use"
    snapshot = having({"2M": 8}, M2=PagesOfSize(10, 4, 2))
    assert plan("2M = 8", snapshot).verdict == "in-sync"


@pytest.mark.parametrize(
    ("text", "observed", "code", "says"),
    [
        ("16M = 1", having(), "page-size-missing", "There are none of 16M. It has 2M, 1G."),
        ("2M = { node7 = 1 }", having(), "numa-node-missing", "There is no node7. It has node0, node1."),
        ("2M = 3", having(M2=pages(4, 4, used=4)), "huge-pages-in-use", "4 pages of 2M are in use, and 3 are"),
        (
            "2M = { node0 = 3 }",
            having(M2=pages(4, 4, used=4)),
            "huge-pages-in-use",
            "4 pages of 2M are in use on node0, and 3 are",
        ),
        (
            "2M = 32768",
            having(),
            "huge-pages-too-many",
            "Huge pages would take 64.0 GiB in all. The host has 64.0 GiB, less 512 MiB for itself: at most 63.5 GiB",
        ),
        ("2M = 8192", having(G1=pages(48, 0)), "huge-pages-too-many", "would take 64.0 GiB in all"),
        (
            "1G = { node0 = 33 }",
            having(),
            "huge-pages-too-many",
            "Huge pages would take 33.0 GiB of node0, which has 32.0 GiB in all.",
        ),
    ],
)
def test_what_can_not_be_had(text: str, observed: Snapshot, code: str, says: str) -> None:
    found = plan(text, observed)
    assert found.verdict == "blocked"
    (error,) = found.diagnostics
    assert (error.code, error.line) == (code, 3)
    assert says in error.detail


def test_running_guests_keep_their_memory() -> None:
    snapshot = having(memory=8 * GIB)
    for name, memory, size in (("plain", 4 * GIB, None), ("huge", 4 * GIB, 2048)):
        domain = guest(name, running=True)
        domain.hardware = GuestHardware(memory, huge_page_kib=size)
        snapshot.libvirt.domains[name] = domain
    assert plan("1G = 3", snapshot).verdict == "changes"
    (error,) = plan("1G = 4", snapshot).diagnostics
    assert "4.0 GiB that running guests (plain) have: at most 3.5 GiB" in error.detail
    used = having(M2=pages(4, 4, used=4))
    used.libvirt = snapshot.libvirt
    assert "are in use, by huge it seems, and" in plan("2M = 3", used).diagnostics[0].detail


def test_fewer_are_no_error_on_a_host_that_is_full() -> None:
    assert plan("1G = 60", having(memory=60 * GIB, G1=pages(31, 31))).verdict == "changes"


def test_what_could_not_be_read_is_not_in_sync() -> None:
    found = plan("2M = 0", host())
    assert (found.verdict, found.unobserved) == ("blocked", ["hugepages.2M"])


@pytest.mark.parametrize("text", ["2M = 8", "2M = { node0 = 5, node1 = 3 }", "2M = 0"])
def test_there_and_back(text: str, tmp_path: Path) -> None:
    before = having({"1G": 3}, M2=pages(1, 6))
    machine = DataHost(before)
    found = plan(text, before)
    assert execute(machine, found, tmp_path) == []
    assert plan(text, machine.observe()).verdict == "in-sync"
    assert (machine.observe().hugepages.own or {})["1G"] == 3
    for action in reversed(found.actions):
        for step in action.undo.steps:
            OPERATIONS[step.op].simulate(machine.state, step.args)
    assert differences(before, machine.observe(), found.actions) == []
    assert machine.observe().hugepages == before.hugepages


def test_fewer_than_asked_for_is_a_failure_that_says_how_many(tmp_path: Path) -> None:
    class Fragmented(DataHost):
        def set_huge_pages(self, size: str, pages: Pages, deadline: float) -> None:
            most = {node: min(count, 3) for node, count in pages.items()} if isinstance(pages, dict) else 5
            super().set_huge_pages(size, most, deadline)

    machine = Fragmented(having())
    (error,) = execute(machine, plan("2M = 8", machine.observe()), tmp_path)
    assert error.startswith("The effect fell short. Of the pages of 2M the host has 5 of 8: ")
    assert (machine.observe().hugepages.own or {})["2M"] == 8, "at boot they can be had"
    machine = Fragmented(having())
    (error,) = execute(machine, plan("2M = { node0 = 2, node1 = 8 }", machine.observe()), tmp_path / "again")
    assert "the host has 3 of 8 on node1: " in error


def test_what_outlasts_a_reboot_waits_for_the_confirmation() -> None:
    halves = halves_of(plan("2M = 8", having()).actions)
    assert [action.args for action in halves.now] == [now("2M", 8)]
    assert [action.args for action in halves.later] == [boot("2M", 8)]


def test_in_words() -> None:
    found = plan("2M = { node0 = 8, node1 = 4 }", having(M2=pages(1, 2)))
    documents = [
        {
            "op": action.op,
            "address": action.address,
            "args": action.args,
            "undo": {"steps": [{"op": step.op, "args": step.args} for step in action.undo.steps]},
        }
        for action in found.actions
    ]
    assert [sentence(item) for item in documents] == [
        "hugepages.2M: make it 8 pages on node0 and 4 pages on node1",
        "hugepages.2M: make it 8 pages on node0 and 4 pages on node1 at boot",
    ]
    assert [values_of(item, {}) for item in documents] == [
        "now node0 1, node1 2 -> node0 8, node1 4",
        "boot (none) -> node0 8, node1 4",
    ]
    back = {"op": "hugepages.set", "address": "hugepages.2M", "args": {"size": "2M", "boot": None}}
    assert sentence(back) == "hugepages.2M: make none at boot"


def test_drift_of_huge_pages() -> None:
    drift = find_drift(desired("[hugepages]\n2M = 8"), having(M2=pages(4, 0)))
    assert [(item.field, item.label, item.declared, item.observed) for item in drift.fields] == [
        ("now", "unrecorded", 8, 4),
        ("boot", "unrecorded", 8, None),
    ]


@pytest.mark.parametrize("declared", ["8", "{ node0 = 4, node1 = 4 }"])
def test_what_was_applied_is_remembered(declared: str, tmp_path: Path) -> None:
    wanted, snapshot = desired(f"[hugepages]\n2M = {declared}"), having(M2=pages(4, 4))
    assert record(snapshot.ledger, compare(resolve(wanted, snapshot), snapshot), snapshot, "run", set())
    write_ledger(tmp_path, snapshot.ledger)
    assert read_ledger(tmp_path) == (snapshot.ledger, "")


@pytest.mark.parametrize(
    ("applied", "text", "there"),
    [(64, "2M = { node0 = 32 }", pages(40, 24)), ({"node0": 32}, "2M = 64", pages(32, 8))],
)
def test_asked_in_other_terms_it_is_the_file_that_has_moved(applied: Pages, text: str, there: PagesOfSize) -> None:
    snapshot = having({"2M": applied}, M2=there)
    snapshot.ledger["hugepages.2M"] = {name: Applied(applied) for name in ("now", "boot")}
    wanted = desired(f"[hugepages]\n{text}")
    assert {item.field: item.label for item in find_drift(wanted, snapshot).fields} == {
        "now": "pending",
        "boot": "pending",
    }
    snapshot.hugepages = having({"2M": applied}, M2=pages(1, 1)).hugepages
    assert find_drift(wanted, snapshot).fields[0].label == "conflict"


@pytest.mark.parametrize(
    ("declared", "says"), [("4096", "= 512, declared is 4096"), ("{ node0 = 256 }", "256 on node0"), ("512", "")]
)
def test_another_number_of_sysctl_is_a_warning(declared: str, says: str) -> None:
    observed = host()
    observed.hugepages = HugePagePools({"2M": pages(256, 256)}, None, 64 * GIB)
    observed.hugepages.sysctl = SysctlPages("/etc/sysctl.d/50-kvm.conf", 3, "2M", 512)
    found = make_plan(desired(f"[hugepages]\n2M = {declared}"), observed)
    told = [d for d in found.diagnostics if d.code == "another-owner-differs"]
    assert [(d.severity, d.address, says in d.detail) for d in told] == (
        [("warning", "hugepages.2M", True)] if says else []
    )
    assert all("/etc/sysctl.d/50-kvm.conf:3 (sysctl)" in d.detail for d in told)
    assert found.verdict == "changes"
