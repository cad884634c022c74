"""A virtio NIC that stands in for a VF: made, moved, kept, taken away, and told."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.apply.rollback import Rollback, take_back_run
from reconciler.apply.run import OnError
from reconciler.apply.runs import last_run
from reconciler.diagnostics import StateFileError
from reconciler.host.model import Domain, GuestHardware, Nic, Snapshot
from reconciler.host.twin.hands import run
from reconciler.host.twin.host import TwinHost
from reconciler.host.twin.profiles import make_from
from reconciler.host.twin.state import Twin
from reconciler.kinds.nic.identity import standby_alias_of
from reconciler.plan.adopt import adopt
from reconciler.plan.confirm import halves_of
from reconciler.plan.document import Plan, dump_plan, load_plan
from reconciler.plan.drift import find_drift
from reconciler.plan.planner import make_plan
from tests.faults.scenarios import desired
from tests.faults.world import Ended, Silent, apply
from tests.hosts import guest, host, igb

PF = """
[pf.int]
match = { name = "enp1s0" }
link = "up"
vfs = 4
vf_driver = "none"
"""
WEB = """
[domain.web1.nic.a]
vf = "int/0"
mac = "52:54:00:6d:90:12"
"""
PAIR = 'failover = { bridge = "br0" }\n'
DB = """
[domain.db1.nic.b]
vf = "int/1"
method = "hostdev"
mac = "52:54:00:6d:90:13"
"""
BOTH = PF + WEB + PAIR + DB + PAIR


@pytest.fixture
def twin() -> Twin:
    twin = make_from("igb-lab")
    for name in ("br0", "br1"):
        assert run(TwinHost(twin), f"ip link add {name} type bridge").ok
    return twin


def carried_out(twin: Twin, text: str, folder: Path) -> Ended:
    """It arrives, and a second time there is nothing to do."""
    done = apply(twin, desired(text), folder)
    assert done.code == 0, (done.said(), done.plan.diagnostics)
    assert apply(twin, desired(text), folder).plan.actions == []
    return done


def taken_back(twin: Twin, folder: Path) -> Rollback:
    machine, last = TwinHost(twin), last_run(folder)
    assert last is not None
    return take_back_run(
        last,
        machine.observe(),
        confirmed=None,
        reader=machine,
        writer=machine,
        state_dir=folder,
        progress=Silent(),
    )[1]


def nics(twin: Twin, name: str, *, live: bool = False) -> dict[str, Nic]:
    domain = TwinHost(twin).observe().libvirt.domains[name]
    return {nic.alias or "": nic for nic in (domain.live if live else domain.config)}


def admin_mac(twin: Twin, index: int) -> object:
    return (TwinHost(twin).observe().pfs["pci/0000:01:00.0"].vfs[index].attributes or {})["mac"]


def ops(plan: Plan) -> list[tuple[str, str, str]]:
    return [(action.op, action.address.split(".")[1], action.disruption) for action in plan.actions]


def test_both_halves_are_made_and_have_one_mac(twin: Twin, tmp_path: Path) -> None:
    carried_out(twin, PF, tmp_path)
    done = carried_out(twin, BOTH, tmp_path)
    assert ops(done.plan) == [
        ("vf.set", "db1", "none"),
        ("nic.attach_standby", "web1", "none"),
        ("nic.attach_standby", "db1", "none"),
        ("nic.attach", "web1", "none"),
        ("nic.attach", "db1", "none"),
    ]
    for found in (nics(twin, "web1"), nics(twin, "web1", live=True)):
        assert found["ua-standby-a"] == Nic(
            "other", "ua-standby-a", "52:54:00:6d:90:12", bridge="br0", teaming="persistent"
        )
        assert (found["ua-rec-a"].mac, found["ua-rec-a"].partner) == ("52:54:00:6d:90:12", "ua-standby-a")
    assert nics(twin, "db1")["ua-standby-b"].mac == "52:54:00:6d:90:13"
    assert [d.code for d in done.plan.diagnostics] == ["failover-in-guest"] * 2, "and no MAC that is used twice"
    assert load_plan(dump_plan(done.plan).encode(), "plan").desired == done.plan.desired
    assert taken_back(twin, tmp_path).complete
    assert (nics(twin, "web1"), nics(twin, "web1", live=True), nics(twin, "db1")) == ({}, {}, {})


def test_a_nic_without_a_mac_has_one_made_for_both(twin: Twin, tmp_path: Path) -> None:
    carried_out(twin, PF + '[domain.web1.nic."a b"]\npf = "int"\n' + PAIR, tmp_path)
    first, second = nics(twin, "web1", live=True).values()
    assert first.mac == second.mac
    assert first.alias == second.partner == standby_alias_of("a b")


def test_a_pools_nic_has_one_too(twin: Twin, tmp_path: Path) -> None:
    text = PF + '[pool.p]\nvfs = ["int/2-3"]\n[domain.web1.nic.a]\npool = "p"\n' + PAIR
    carried_out(twin, text, tmp_path)
    assert nics(twin, "web1", live=True)["ua-rec-a"].partner == "ua-standby-a"
    assert run(TwinHost(twin), "virsh destroy web1").ok
    assert run(TwinHost(twin), "virsh start web1").ok
    assert find_drift(desired(text), TwinHost(twin).observe()).fields == []


def test_a_nic_that_is_there_becomes_one_of_a_pair(twin: Twin, tmp_path: Path) -> None:
    carried_out(twin, PF + WEB + DB, tmp_path)
    before = nics(twin, "web1"), nics(twin, "db1")
    done = carried_out(twin, BOTH, tmp_path)
    assert ops(done.plan) == [
        ("nic.detach", "web1", "guest"),
        ("nic.attach_standby", "web1", "none"),
        ("nic.attach_standby", "db1", "none"),
        ("nic.update", "db1", "none"),
        ("nic.attach", "web1", "none"),
    ]
    assert done.plan.actions[1].needs == ["nic.detach domain.web1.nic.a"], "a guest that doesn't answer keeps its NIC"
    assert taken_back(twin, tmp_path).complete
    assert (nics(twin, "web1"), nics(twin, "db1")) == before


def test_another_bridge_is_a_move_in_place(twin: Twin, tmp_path: Path) -> None:
    carried_out(twin, BOTH, tmp_path)
    done = carried_out(twin, BOTH.replace("br0", "br1"), tmp_path)
    assert ops(done.plan) == [("nic.move_standby", "web1", "guest"), ("nic.move_standby", "db1", "none")]
    assert {nics(twin, "web1", live=live)["ua-standby-a"].bridge for live in (True, False)} == {"br1"}
    assert taken_back(twin, tmp_path).complete
    assert {nics(twin, "web1", live=live)["ua-standby-a"].bridge for live in (True, False)} == {"br0"}


def test_another_mac_is_another_stand_in(twin: Twin, tmp_path: Path) -> None:
    carried_out(twin, BOTH, tmp_path)
    done = carried_out(twin, BOTH.replace("90:12", "90:22").replace("90:13", "90:23"), tmp_path)
    web = [op for op, where, _ in ops(done.plan) if where == "web1"]
    assert web == ["nic.detach", "nic.detach_standby", "nic.attach_standby", "nic.attach"]
    assert {nic.mac for nic in nics(twin, "web1", live=True).values()} == {"52:54:00:6d:90:22"}
    assert nics(twin, "db1")["ua-standby-b"].mac == "52:54:00:6d:90:23"
    assert taken_back(twin, tmp_path).complete


def test_what_is_no_longer_declared_stays_also_when_the_vf_moves(twin: Twin, tmp_path: Path) -> None:
    carried_out(twin, BOTH, tmp_path)
    text = BOTH.replace(PAIR, "")
    assert make_plan(desired(text), TwinHost(twin).observe()).verdict == "in-sync"
    carried_out(twin, text.replace("int/0", "int/2").replace("int/1", "int/3"), tmp_path)
    for found in (nics(twin, "web1"), nics(twin, "web1", live=True)):
        assert found["ua-rec-a"].partner == "ua-standby-a"
        assert found["ua-standby-a"].bridge == "br0"
    assert nics(twin, "db1")["ua-rec-b"].partner == "ua-standby-b"


@pytest.mark.parametrize("told", [PAIR, ""])
def test_absent_takes_both_the_vf_first(twin: Twin, tmp_path: Path, told: str) -> None:
    carried_out(twin, BOTH, tmp_path)
    gone = PF + '[domain.web1.nic.a]\nstate = "absent"\n' + told + '[domain.db1.nic.b]\nstate = "absent"\n' + told
    done = carried_out(twin, gone, tmp_path)
    assert ops(done.plan) == [
        ("nic.detach", "web1", "guest"),
        ("nic.detach_standby", "web1", "guest"),
        ("nic.detach", "db1", "none"),
        ("nic.detach_standby", "db1", "none"),
    ]
    assert (nics(twin, "web1"), nics(twin, "web1", live=True), nics(twin, "db1")) == ({}, {}, {})
    assert taken_back(twin, tmp_path).complete
    assert nics(twin, "web1", live=True)["ua-rec-a"].partner == "ua-standby-a"


def test_what_outlasts_a_power_cycle_waits_for_the_confirmation(twin: Twin, tmp_path: Path) -> None:
    carried_out(twin, PF, tmp_path)
    plan = make_plan(desired(f"{BOTH}[domain.web1]\nroot_ports = 9\n"), TwinHost(twin).observe())
    halves = halves_of(plan.actions)
    of_nics = ("nic.attach_standby", "nic.attach")
    assert [a.op for a in halves.now if a.op != "vf.set"] == list(of_nics)
    assert all(a.args["live"] and not a.args["config"] for a in halves.now if a.op in of_nics)
    assert [a.op for a in halves.later] == ["domain.set_root_ports", *of_nics[:1] * 2, *of_nics[1:] * 2]
    assert not any(a.args["live"] for a in halves.later if a.op in of_nics)


FAST = DB.replace("db1", "web1").replace(".b]", ".a]").replace("int/1", "int/0")
"""A plain hostdev of a guest that runs."""


@pytest.mark.parametrize("on_error", ["stop", "rollback"])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (WEB, WEB + PAIR),
        (WEB + PAIR, WEB.replace("90:12", "90:22") + PAIR),
        (FAST + PAIR, FAST.replace("90:13", "90:23") + PAIR),
        (FAST + PAIR, FAST.replace("90:13", "90:23")),
    ],
)
def test_a_guest_that_does_not_answer_keeps_what_it_has(
    twin: Twin, tmp_path: Path, on_error: OnError, first: str, second: str
) -> None:
    carried_out(twin, PF + first, tmp_path)
    before = nics(twin, "web1"), nics(twin, "web1", live=True), admin_mac(twin, 0)
    twin.guests["web1"].answers = False
    done = apply(twin, desired(PF + second), tmp_path, on_error)
    assert done.result is not None
    outcomes = {outcome.id: outcome for outcome in done.result.outcomes}
    asked = outcomes.pop("nic.detach domain.web1.nic.a")
    assert asked.outcome == "failed"
    assert "60 s after the request. The guest has not answered the unplug request" in asked.error
    assert "changed" not in {outcome.outcome for outcome in outcomes.values()}, "all else waits for that"
    assert [op for _, op in done.writes] == ["nic.detach"]
    twin.guests["web1"].answers = True
    assert (nics(twin, "web1"), nics(twin, "web1", live=True), admin_mac(twin, 0)) == before


@pytest.mark.parametrize(("nic", "old"), [(WEB, "90:12"), (FAST, "90:13"), (DB, "90:13")])
def test_what_is_no_longer_declared_has_the_mac_of_its_vf(twin: Twin, tmp_path: Path, nic: str, old: str) -> None:
    guest = "web1" if "web1" in nic else "db1"
    carried_out(twin, PF + nic + PAIR, tmp_path)
    carried_out(twin, PF + nic.replace(old, "90:44"), tmp_path)
    for live in (True, False) if guest == "web1" else (False,):
        found = nics(twin, guest, live=live)
        (standby,) = [item for item in found.values() if item.teaming == "persistent"]
        (device,) = [item for item in found.values() if item.teaming == "transient"]
        assert (device.partner, standby.mac, standby.bridge) == (standby.alias, "52:54:00:6d:90:44", "br0")
        assert device.mac in (None, "52:54:00:6d:90:44")
    assert taken_back(twin, tmp_path).complete
    assert {item.mac for item in nics(twin, guest).values() if item.mac} == {f"52:54:00:6d:{old}"}


def test_a_stand_in_that_somebody_gave_another_mac_stays_if_it_is_not_declared(twin: Twin, tmp_path: Path) -> None:
    carried_out(twin, PF + WEB + PAIR, tmp_path)
    for found in (twin.libvirt.domains["web1"].live, twin.libvirt.domains["web1"].config):
        next(nic for nic in found if nic.teaming == "persistent").mac = "52:54:00:00:77:77"
    carried_out(twin, PF + WEB.replace("90:12", "90:44"), tmp_path)
    assert nics(twin, "web1")["ua-standby-a"].mac == "52:54:00:00:77:77"


def test_a_stand_in_that_somebody_took_out_is_not_named_any_more(twin: Twin, tmp_path: Path) -> None:
    carried_out(twin, PF + WEB + PAIR, tmp_path)
    for option in ("--live", "--config"):
        assert run(TwinHost(twin), f"virsh detach-device-alias web1 ua-standby-a {option}").ok
    TwinHost(twin).sleep(5)
    carried_out(twin, PF + WEB.replace("int/0", "int/2"), tmp_path)
    for live in (True, False):
        (nic,) = nics(twin, "web1", live=live).values()
        assert (nic.alias, nic.teaming, nic.partner) == ("ua-rec-a", "", None)


def test_a_pair_that_somebody_broke_is_drift(twin: Twin, tmp_path: Path) -> None:
    carried_out(twin, BOTH, tmp_path)
    assert run(TwinHost(twin), "virsh detach-device-alias web1 ua-standby-a --live").ok
    TwinHost(twin).sleep(5)
    drift = find_drift(desired(BOTH), TwinHost(twin).observe())
    assert [(field.address, field.field, field.observed) for field in drift.fields] == [
        ("domain.web1.nic.a", "failover", None)
    ]
    done = carried_out(twin, BOTH, tmp_path)
    assert ops(done.plan) == [("nic.attach_standby", "web1", "none")]


def test_a_pair_is_adopted(twin: Twin, tmp_path: Path) -> None:
    carried_out(twin, BOTH, tmp_path)
    adopted = adopt(TwinHost(twin).observe())
    assert adopted.wrong == []
    domains = adopted.state["domain"]
    assert domains["web1"]["nic"]["a"]["failover"] == {"bridge": "br0"}
    assert domains["db1"]["nic"]["b"]["failover"] == {"bridge": "br0"}
    assert domains["db1"]["nic"]["b"]["mac"] == "52:54:00:6d:90:13"
    assert not [text for text in adopted.left_out if "twice" in text]


# ---------------------------------------------------------------------------- what is refused


def web(*nics: Nic, free: int = 4, running: bool = True) -> Domain:
    domain = guest("web", running=running, live=nics if running else (), config=nics)
    domain.hardware = GuestHardware(1 << 20, machine="pc-q35-10.0", free_root_ports=free)
    return domain


def snapshot(domain: Domain, version: int = 11_003_000, bridges: list[str] | None = None) -> Snapshot:
    found = host(igb(1, 4, up=True, carrier=True), domains=[domain])
    found.libvirt.version, found.bridges = version, bridges or ["br0"]
    return found


def codes(domain: Domain, method: str = "interface", **options: object) -> dict[str, str]:
    mac = "52:54:00:00:01:01"
    text = f'[pf.int]\nmatch.name = "enp1s0"\n[domain.web.nic.a]\nvf = "int/0"\nmethod = "{method}"\nmac = "{mac}"\n'
    plan = make_plan(desired(text + PAIR), snapshot(domain, **options))  # type: ignore[arg-type]
    return {d.code: d.detail for d in plan.diagnostics if d.severity == "error"}


@pytest.mark.parametrize(
    ("version", "method", "refused"),
    [
        (6_000_000, "interface", True),
        (6_001_000, "interface", False),
        (6_001_000, "hostdev", True),
        (7_001_000, "hostdev", False),
    ],
)
def test_versions_of_libvirt(version: int, method: str, refused: bool) -> None:
    assert list(codes(web(), method, version=version)) == (["failover-too-old"] if refused else [])


def test_the_bridge_has_to_be_there_and_of_linux() -> None:
    found = codes(web(), bridges=["virbr0"])
    assert "br0 is not among them (virbr0)" in found["failover-no-bridge"]
    assert "Open vSwitch" in found["failover-no-bridge"]


def test_each_half_takes_a_slot() -> None:
    assert codes(web(free=2)) == {}
    (detail,) = codes(web(free=1)).values()
    assert "2 more NICs: domain.web.nic.a, what stands in for domain.web.nic.a" in detail
    assert "root_ports = 2" in detail


@pytest.mark.parametrize("mac", ["", 'mac = "none"\n'])
@pytest.mark.parametrize("of_vf", ["", '[pf.int.vf.1]\nmac = "none"\n', '[pf.int.vf.2]\nmac = "52:54:00:6d:90:13"\n'])
def test_a_plain_hostdev_needs_a_mac_for_both(mac: str, of_vf: str) -> None:
    with pytest.raises(StateFileError) as caught:
        desired(f'{PF}{of_vf}[domain.db1.nic.b]\nvf = "int/1"\nmethod = "hostdev"\n{mac}{PAIR}')
    assert [(d.code, d.address) for d in caught.value.diagnostics] == [("failover-needs-mac", "domain.db1.nic.b")]


def test_the_mac_of_a_plain_hostdev_may_stand_with_its_vf(twin: Twin, tmp_path: Path) -> None:
    of_vf = '[pf.int.vf.1]\nmac = "52:54:00:6d:90:33"\n'
    carried_out(twin, f'{PF}{of_vf}[domain.db1.nic.b]\nvf = "int/1"\nmethod = "hostdev"\n{PAIR}', tmp_path)
    assert nics(twin, "db1")["ua-standby-b"].mac == "52:54:00:6d:90:33"
    assert admin_mac(twin, 1) == "52:54:00:6d:90:33"


@pytest.mark.parametrize(
    ("where", "method"), [("nic", "interface"), ("nic", "hostdev"), ("vf", "interface"), ("vf", "hostdev")]
)
@pytest.mark.parametrize("vlan", [0, 100])
def test_the_bridge_has_to_take_what_the_guest_sends_into_the_vlan_of_the_vf(
    where: str, method: str, vlan: int
) -> None:
    tag = f"vlan = {vlan}\n"
    text = '[pf.int]\nmatch.name = "enp1s0"\n' + (f"[pf.int.vf.0]\n{tag}" if where == "vf" else "")
    nic = f'[domain.web.nic.a]\nvf = "int/0"\nmethod = "{method}"\nmac = "52:54:00:00:01:01"\n'
    plan = make_plan(desired(text + nic + (tag if where == "nic" else "") + PAIR), snapshot(web()))
    found = [d for d in plan.diagnostics if d.code == "failover-vlan"]
    assert [(d.severity, "VLAN 100" in d.detail, "br0" in d.detail) for d in found] == [("warning", True, True)][:vlan]


def test_an_alias_that_another_nic_has_is_left_alone() -> None:
    strange = Nic("other", "ua-standby-a", "52:54:00:00:01:77")
    assert list(codes(web(strange))) == ["failover-alias-taken"]
    text = '[pf.int]\nmatch.name = "enp1s0"\n[domain.web.nic.a]\nstate = "absent"\n'
    assert make_plan(desired(text + PAIR), snapshot(web(strange))).verdict == "in-sync"
    disk = web()
    disk.other_aliases = ["ua-standby-a"]
    assert list(codes(disk)) == ["failover-alias-taken"]
