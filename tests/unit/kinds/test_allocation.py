"""Which VF the planner picks for a NIC that names PFs only."""

from __future__ import annotations

from reconciler.host.model import Domain, GuestHardware, Nic
from reconciler.kinds.nic.intent import NicIntent
from reconciler.kinds.resolution import Resolution
from reconciler.kinds.resolve import resolve
from reconciler.plan.planner import make_plan
from tests.hosts import desired, guest, host, igb

PFS = """
[pf.int]
match.name = "enp1s0"
[pf.ext]
match.name = "enp2s0"
"""


def resolved(body: str, *guests: Domain, vfs: int = 2, nodes: tuple[int | None, int | None] = (0, 1)) -> Resolution:
    cards = [igb(1, vfs, up=True, numa_node=nodes[0]), igb(2, vfs, up=True, numa_node=nodes[1])]
    return resolve(desired(PFS + body), host(*cards, domains=guests))


def where(found: Resolution) -> dict[str, str]:
    """``web.a`` to ``int/0``."""
    return {f"{nic.domain.name}.{nic.nic.key}": _named(found, nic) for nic in found.nics}


def _named(found: Resolution, nic: NicIntent) -> str:
    return f"{found.pf_name(nic.vf[0])}/{nic.vf[1]}" if nic.vf is not None else "-"


def bound(name: str, *nodes: int) -> Domain:
    domain = guest(name)
    domain.hardware = GuestHardware(numa_nodes=list(nodes))
    return domain


def test_of_several_pfs_the_first_in_the_file_until_it_is_full() -> None:
    body = '[domain.web.nic]\na.pf = ["ext", "int"]\nb.pf = ["ext", "int"]\nc.pf = ["ext", "int"]\n'
    assert where(resolved(body, guest("web"))) == {"web.a": "ext/0", "web.b": "ext/1", "web.c": "int/0"}


def test_the_guests_numa_node_goes_before_the_order() -> None:
    body = '[domain.web.nic]\na.pf = ["int", "ext"]\n[domain.db.nic]\na.pf = ["int", "ext"]\n'
    found = resolved(body, bound("web", 1), bound("db", 7))
    assert where(found) == {"web.a": "ext/0", "db.a": "int/0"}
    assert "on its NUMA node 1" in found.nics[0].why
    assert "NUMA" not in found.nics[1].why


def test_the_nics_of_a_guest_are_spread_when_asked() -> None:
    nic = '{ pf = ["int", "ext"], spread = true }'
    found = resolved(f"[domain.web.nic]\na = {nic}\nb = {nic}\nc = {nic}\n", bound("web", 0))
    assert where(found) == {"web.a": "int/0", "web.b": "ext/0", "web.c": "int/1"}
    (warning,) = found.diagnostics
    assert (warning.severity, warning.code, warning.address) == ("warning", "nics-not-spread", "domain.web.nic.a")


def test_spread_minds_a_nic_that_names_its_vf() -> None:
    body = '[domain.web.nic]\na.vf = "int/1"\nb = { pf = ["int", "ext"], spread = true }\n'
    assert where(resolved(body, guest("web")))["web.b"] == "ext/0"


def test_what_a_guest_has_it_keeps_also_against_spread_and_numa() -> None:
    nic = '{ pf = ["int", "ext"], spread = true }'
    web = bound("web", 1)
    cards = igb(1, 2)
    web.config = [Nic("interface", "ua-rec-a", "52:54:00:00:00:01", cards.vfs[1].address)]
    found = resolved(f"[domain.web.nic]\na = {nic}\nb = {nic}\n", web)
    assert where(found) == {"web.a": "int/1", "web.b": "ext/0"}
    assert found.nics[0].why == "VF 1 of pf.int, which it has"


def test_when_nothing_is_free_it_says_who_has_them_all() -> None:
    cards = igb(1, 2), igb(2, 2)
    other = guest("db", config=[Nic("hostdev", None, None, cards[1].vfs[0].address)])
    body = (
        '[domain.web.nic]\na.pf = ["int", "ext"]\n[domain.db]\n[pool.p]\nvfs = ["int/0-1"]\n'
        '[pf.ext.vf.1]\nmac = "52:54:00:00:00:09"\n'
    )
    found = resolved(body, guest("web"), other)
    (error,) = found.diagnostics
    assert error.code == "no-free-vf"
    assert "All 2 VFs of pf.int (enp1s0) are spoken for (0: pool p; 1: pool p)." in error.detail
    assert "(0: guest db; 1: declared as pf.ext.vf.1)" in error.detail


def test_a_pf_that_is_not_there_is_no_choice() -> None:
    text = PFS + '[pf.third]\nmatch.name = "enp9s0"\noptional = true\n[domain.web.nic]\na.pf = ["third", "ext"]\n'
    found = resolve(desired(text), host(igb(1, 2), igb(2, 2), domains=[guest("web")]))
    assert where(found) == {"web.a": "ext/0"}


def test_the_plan_says_why() -> None:
    text = PFS + '[domain.web.nic]\na.pf = "int"\n'
    observed = host(igb(1, 2, up=True), igb(2, 2, up=True), domains=[guest("web")])
    (change,) = make_plan(desired(text), observed).changes
    assert change.reason == "VF 0 of pf.int, the lowest that nobody names or has"
