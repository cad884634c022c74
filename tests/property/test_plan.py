"""What holds for every host and every state file: a plan arrives, in an order that works, and can be taken back."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import pytest
from deepdiff import DeepDiff
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from reconciler.apply.executor import Executor
from reconciler.apply.journal import Journal
from reconciler.apply.view import View
from reconciler.diagnostics import StateFileError
from reconciler.host.model import (
    BootArguments,
    Domain,
    HugePagePools,
    Network,
    Nic,
    NodePages,
    PagesOfSize,
    Services,
    ServiceUnit,
    Snapshot,
)
from reconciler.kinds.builder import copy_host
from reconciler.kinds.operations import OPERATIONS
from reconciler.kinds.services.operations import now_of, starts_at_boot
from reconciler.plan.adopt import adopt
from reconciler.plan.document import Plan, dump_plan, load_plan
from reconciler.plan.guards import refusals
from reconciler.plan.planner import make_plan
from reconciler.state.desired import Desired
from reconciler.state.load import load
from reconciler.state.serial import desired_from_json, desired_to_json
from reconciler.state.write import render
from tests.hosts import DataHost, guest, host, igb

BROAD = settings(
    max_examples=int(os.environ.get("EXAMPLES", "120")),
    deadline=None,
    derandomize="EXAMPLES" not in os.environ,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
"""The same examples in every run, so that a red one means the change; without shrinking, which takes minutes
here. EXAMPLES=5000 searches longer, and elsewhere each time."""


class Silent:
    def start(self, total: int) -> None: ...

    def begin(self, action: dict[str, object]) -> None: ...

    def end(self, action_id: str, outcome: str, seconds: float, error: str) -> None: ...

    def finish(self) -> None: ...


@st.composite
def hosts(draw: st.DrawFn) -> Snapshot:
    """A host with two igb ports in any state, maybe a pool, and two guests, of which one may have a VF."""
    pfs = []
    for number in (1, 2):
        pf = igb(number, draw(st.integers(0, 5)))
        pf.autoprobe = draw(st.booleans())
        pf.up = draw(st.booleans())
        pf.carrier = draw(st.booleans()) if pf.up else None
        for vf in pf.vfs:
            vf.driver = draw(st.sampled_from([None, None, "igbvf", "vfio-pci"]))
            if vf.attributes is not None:
                vf.attributes["spoofchk"] = draw(st.booleans())
                vf.attributes["max_tx_rate"] = draw(st.sampled_from([0, 0, 100]))
                vf.attributes["vlan"] = draw(st.sampled_from([0, 0, 7]))
        pfs.append(pf)
    loaded = ["igbvf"] if any(vf.driver == "igbvf" for pf in pfs for vf in pf.vfs) or draw(st.booleans()) else []
    networks = []
    if pfs[1].vfs and draw(st.booleans()):
        active = draw(st.booleans())
        # What libvirt leaves behind when it gives a VF back, whichever of the pool it was.
        pfs[1].autoprobe = False
        for vf in pfs[1].vfs:
            vf.driver = None
        addresses = [vf.address or "" for vf in pfs[1].vfs]
        networks.append(
            Network(
                "p",
                "u-p",
                active=active,
                autostart=draw(st.booleans()),
                mode="hostdev",
                pf_dev="enp2s0",
                live_addresses=addresses if active else [],
            )
        )
    observed = host(*pfs, domains=_guests(draw, pfs), networks=networks, loaded=loaded)
    units = {name: draw(_services(name)) for name in draw(st.sets(st.sampled_from(SERVICES)))}
    observed.modules.initramfs = draw(st.sampled_from([[], ["igbvf"]]))
    observed.bridges = ["br0", "br1"]
    observed.services = Services(units, complete=True)
    sizes = {size: draw(_pages()) for size in ("2M", "1G")}
    own = draw(st.sampled_from([None, None, {"2M": 8}, {"1G": {"node0": 1}}]))
    observed.hugepages = HugePagePools(sizes, own, 64 << 20, dict.fromkeys(NODES, 32 << 20))
    observed.boot = draw(_boot())
    return observed


ARGUMENTS = ["intel_iommu=on", "iommu=pt", "quiet", "hugepagesz=1G"]


@st.composite
def _boot(draw: st.DrawFn) -> BootArguments:
    some = st.lists(st.sampled_from(ARGUMENTS), unique=True)
    own, others = draw(some), draw(some)
    groups = draw(st.sampled_from([0, 3]))
    return BootArguments(
        running=draw(some),
        own=own or None,
        next=[*others, *(argument for argument in own if argument not in others and draw(st.integers(0, 5)))],
        since_boot=draw(st.booleans()),
        loader="GRUB",
        groups=groups,
        domains=draw(st.sampled_from([["identity"], ["DMA"], None])) if groups else None,
    )


SERVICES = ["irqbalance", "numad", "ssh"]


NODES = ("node0", "node1")


@st.composite
def _pages(draw: st.DrawFn) -> PagesOfSize:
    nodes = {}
    for node in NODES:
        total = draw(st.integers(0, 9))
        nodes[node] = NodePages(total, draw(st.integers(max(0, total - 2), total)))
    total, free = (sum(getattr(node, name) for node in nodes.values()) for name in ("total", "free"))
    return PagesOfSize(total, free, nodes=nodes)


@st.composite
def _services(draw: st.DrawFn, name: str) -> ServiceUnit:
    return ServiceUnit(
        f"{name}.service",
        load=draw(st.sampled_from(["loaded", "loaded", "loaded", "masked", "not-found", "bad-setting"])),
        active=draw(st.sampled_from(["active", "inactive", "failed", "activating", "deactivating", "reloading"])),
        enabled=draw(st.sampled_from(["enabled", "disabled", "static", "indirect", "generated", "masked", ""])),
        once=draw(st.booleans()),
        wanted_by=draw(st.sampled_from([[], ["multi-user.target"]])),
        triggered_by=draw(st.sampled_from([[], [], ["x.socket"]])),
    )


def _guests(draw: st.DrawFn, pfs: list) -> list[Domain]:  # type: ignore[type-arg]
    web, db = guest("web", running=True), guest("db")
    if len(pfs[0].vfs) > 3 and draw(st.booleans()):
        nic = Nic("interface", "ua-rec-a", "52:54:00:00:01:01", pfs[0].vfs[3].address)
        web.live, web.config = [nic], [Nic("interface", "ua-rec-a", "52:54:00:00:01:01", nic.vf_address)]
        pfs[0].vfs[3].driver = "vfio-pci"
        pfs[0].vfs[3].attributes.update({"mac": nic.mac, "vlan": 0})
        for device, nics in ((nic, web.live), (web.config[0], web.config)):
            if draw(st.booleans()):
                device.teaming, device.partner = "transient", "ua-standby-a"
            if draw(st.booleans()):
                nics.append(Nic("other", "ua-standby-a", nic.mac, bridge="br0", teaming="persistent"))
    if len(pfs[0].vfs) > 4 and draw(st.booleans()):
        db.config = [
            Nic(draw(st.sampled_from(["interface", "hostdev"])), f"ua-rec-{key}", None, pfs[0].vfs[index].address)
            for key, index in draw(st.sampled_from([(("a", 4), ("b", 0)), (("b", 4),), (("a", 0), ("c", 2))]))
        ]
        for number, nic in enumerate(db.config):
            nic.mac = None if nic.method == "hostdev" else f"52:54:00:00:0a:0{number}"
    return [web, db]


ATTRIBUTES = {
    "vlan": st.sampled_from([0, 5, 100]),
    "spoofchk": st.booleans(),
    "trust": st.booleans(),
    "max_tx_rate": st.sampled_from([0, 100, 1000]),
}


@st.composite
def files(draw: st.DrawFn) -> dict:  # type: ignore[type-arg]
    """A state file as data, for the two ports and the two guests of `hosts`."""
    state: dict = {"schema": 1, "pf": {}}  # type: ignore[type-arg]
    if draw(st.booleans()):
        state["modules"] = {"blacklist": draw(st.sampled_from([["igbvf"], [], ["igbvf", "iavf"]]))}
    if draw(st.integers(0, 3)) == 0:
        pages = st.integers(0, 30) | st.dictionaries(st.sampled_from(NODES), st.integers(0, 30), min_size=1)
        state["hugepages"] = draw(st.dictionaries(st.sampled_from(["2M", "1G", "16M"]), pages, min_size=1))
        declared = st.sampled_from(["running", "stopped"])
        state["services"] = draw(st.dictionaries(st.sampled_from(SERVICES), declared, min_size=1))
    if draw(st.integers(0, 2)) == 0:
        state["kernel"] = {"cmdline": draw(st.lists(st.sampled_from(ARGUMENTS), unique=True))}
    for name, netdev in (("int", "enp1s0"), ("ext", "enp2s0")):
        pf: dict = {"match": {"name": netdev}, "link": "up"}  # type: ignore[type-arg]
        count = draw(st.integers(0, 7))
        pf["vfs"] = count
        if draw(st.booleans()):
            pf["vf_driver"] = draw(st.sampled_from(["none", "vfio-pci"]))
        if draw(st.booleans()):
            pf["vf_defaults"] = {"spoofchk": draw(st.booleans())}
        pf["vf"] = {
            str(index): draw(st.fixed_dictionaries({}, optional=ATTRIBUTES))
            for index in draw(st.sets(st.integers(0, max(count - 1, 0)), max_size=3 if count else 0))
        }
        state["pf"][name] = pf
    if draw(st.booleans()):
        absent = draw(st.booleans())
        state["pool"] = {"p": {"state": "absent"} if absent else {"pf": "ext", "autostart": draw(st.booleans())}}
    state["domain"] = {name: {"nic": nics} for name in ("web", "db") if (nics := draw(_nics(name, state)))}
    return state


@st.composite
def _nics(draw: st.DrawFn, name: str, state: dict) -> dict:  # type: ignore[type-arg]
    choices = [
        {"vf": f"int/{1 if name == 'web' else 2}"},
        {"vf": "int/4"},
        {"vf": "int/0"},
        {"pf": "int"},
        {"pf": "int", "method": "hostdev"},
    ]
    if state.get("pool", {}).get("p", {}).get("pf"):
        choices.append({"pool": "p"})
    nics = {}
    for number, key in enumerate(draw(st.sets(st.sampled_from("abc"), max_size=2))):
        nic = dict(draw(st.sampled_from(choices)))
        if draw(st.booleans()):
            nic["mac"] = f"52:54:00:00:0{1 if name == 'web' else 2}:0{number + 1}"
        if draw(st.booleans()):
            nic |= draw(st.fixed_dictionaries({}, optional=ATTRIBUTES))
        if ("mac" in nic or nic.get("method") != "hostdev") and draw(st.integers(0, 2)) == 0:
            nic["failover"] = {"bridge": draw(st.sampled_from(["br0", "br1"]))}
        nics[key] = {"state": "absent"} if draw(st.integers(0, 9)) == 0 else nic
    return nics


def accepted(state: dict) -> Desired:  # type: ignore[type-arg]
    try:
        return load("host.toml", render(state, []).encode())
    except StateFileError:
        assume(False)
        raise


def plan_of(state: dict, observed: Snapshot) -> tuple[Desired, Plan]:  # type: ignore[type-arg]
    wanted = accepted(state)
    plan = make_plan(wanted, observed)
    incomplete = [d for d in plan.diagnostics if d.code == "plan-incomplete"]
    assert not incomplete, incomplete
    assume(plan.verdict != "blocked")
    return wanted, plan


def facts_of(snapshot: Snapshot) -> dict:  # type: ignore[type-arg]
    """What an undo has to bring back: all but the carrier, and the names of network interfaces, which are the kernel's
    to give."""
    found = asdict(snapshot)
    for pf in found["pfs"].values():
        del pf["carrier"]
        for vf in pf["vfs"]:
            del vf["driver_override"], vf["iommu_group"], vf["saved"]
    for network in found["libvirt"]["networks"].values():
        del network["uuid"]
    for domain in found["libvirt"]["domains"].values():
        for side in ("live", "config"):
            domain[side].sort(key=lambda nic: (nic["alias"] or "", nic["mac"] or ""))
    boot = snapshot.boot  # The boot loader follows our own file, also where it did not before.
    found["boot"] = {"own": boot.own, "others": set(boot.next or ()) - set(boot.own or ())}
    units = snapshot.services.units or {}
    found["services"] = {name: (now_of(unit) == "running", starts_at_boot(unit)) for name, unit in units.items()}
    return found


@BROAD
@given(files(), hosts())
def test_after_the_plan_there_is_nothing_left_to_do(state, observed):  # type: ignore[no-untyped-def]
    wanted, plan = plan_of(state, observed)
    after = copy_host(observed)
    for action in plan.actions:
        OPERATIONS[action.op].simulate(after, action.args)
        assert OPERATIONS[action.op].satisfied(after, action.args) is not False, action
        no_vf_twice(after, plan)
    again = make_plan(wanted, after)
    assert again.verdict == "in-sync", [(a.op, a.address, a.args) for a in again.actions] + again.diagnostics


def no_vf_twice(snapshot: Snapshot, plan: Plan) -> None:
    """libvirt refuses a domain with the same VF twice, at every moment of the way."""
    for domain in snapshot.libvirt.domains.values():
        for nics in (domain.live, domain.config):
            found = [nic.vf_address for nic in nics if nic.vf_address is not None]
            assert len(found) == len(set(found)), [(a.op, a.args) for a in plan.actions]


@BROAD
@given(files(), hosts())
def test_planning_changes_nothing_and_is_the_same_twice(state, observed):  # type: ignore[no-untyped-def]
    before = asdict(observed)
    wanted, plan = plan_of(state, observed)
    assert asdict(observed) == before
    assert dump_plan(make_plan(wanted, observed)) == dump_plan(plan)
    assert dump_plan(load_plan(dump_plan(plan).encode(), "p")) == dump_plan(plan)
    assert desired_from_json(desired_to_json(wanted)) == wanted


@BROAD
@given(files(), hosts())
def test_needs_come_before_what_needs_them(state, observed):  # type: ignore[no-untyped-def]
    _, plan = plan_of(state, observed)
    done: set[str] = set()
    for action in plan.actions:
        assert set(action.needs) <= done
        assert action.id not in done
        done.add(action.id)


@BROAD
@given(files(), hosts())
def test_the_undo_of_a_plan_brings_back_what_was(state, observed):  # type: ignore[no-untyped-def]
    _, plan = plan_of(state, observed)
    assume(not any(action.undo.impossible for action in plan.actions))
    after = copy_host(observed)
    for action in plan.actions:
        OPERATIONS[action.op].simulate(after, action.args)
    for action in reversed(plan.actions):
        for step in action.undo.steps:
            OPERATIONS[step.op].simulate(after, step.args)
    assert not DeepDiff(facts_of(observed), facts_of(after)), [(a.op, a.args) for a in plan.actions]


@BROAD
@given(files(), hosts())
def test_apply_arrives_and_a_second_one_writes_nothing(tmp_path_factory, state, observed):  # type: ignore[no-untyped-def]
    wanted, plan = plan_of(state, observed)
    assume(not refusals(plan, wanted, observed, ["management"]))
    machine = DataHost(observed)
    outcomes = _execute(machine, plan, tmp_path_factory.mktemp("state"))
    bad = [outcome for outcome in outcomes if outcome.outcome not in ("changed", "unchanged")]
    assert not bad, [(a.op, a.args) for a in plan.actions if a.id == bad[0].id]
    assert make_plan(wanted, machine.observe()).verdict == "in-sync"
    machine.calls.clear()
    _execute(machine, plan_again := make_plan(wanted, machine.observe()), tmp_path_factory.mktemp("state"))
    assert plan_again.actions == []
    assert machine.calls == []


def _execute(machine: DataHost, plan: Plan, folder: Path):  # type: ignore[no-untyped-def]
    journal = Journal(folder, "run", {"plan.json": dump_plan(plan)}, {})
    try:
        executor = Executor(View(machine, machine.clock, machine.observe(), "run"), machine, journal, Silent())
        return executor.execute(plan.actions)
    finally:
        journal.close()


@BROAD
@given(hosts())
def test_what_adopt_writes_has_an_empty_plan(observed):  # type: ignore[no-untyped-def]
    adopted = adopt(observed)
    plan = make_plan(load("adopted", render(adopted.state, adopted.left_out).encode()), observed)
    assert plan.verdict == "in-sync", (adopted, plan.actions, plan.diagnostics)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_operation_has_a_deadline_above_zero(name):  # type: ignore[no-untyped-def]
    assert OPERATIONS[name].deadline({"vfs": 0, "live": True}) > 0
