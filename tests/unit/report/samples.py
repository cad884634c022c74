"""Documents to render: small ones built by hand, in the form that the planner writes."""

from __future__ import annotations

from typing import Any

from reconciler.diagnostics import Diagnostic
from reconciler.disruption import severity
from reconciler.host.model import (
    BlacklistEntry,
    Domain,
    HostIdentity,
    Libvirt,
    Modules,
    Network,
    Nic,
    Pf,
    Process,
    Snapshot,
    Use,
    Vf,
)
from reconciler.kinds.action import Action, Impact, Step, Undo
from reconciler.plan.document import Change, FieldChange, Git, Plan, Source, Summary, plan_to_json
from tests.hosts import FRESH

PF = "pci/0000:01:00.0"
GUEST = Impact("guest", ["web1"], ["web1: ua-rec-data on VF 3 of 0000:01:00.0"])


def plan(**parts: Any) -> dict[str, Any]:
    """A plan document with counts that fit its parts."""
    built = Plan(
        created_at="2026-01-01T00:00:00Z",
        host=HostIdentity("r620-01", "m", "b", "6.12"),
        source=Source("states/r620-01.toml", "0" * 64, Git("1a2b3c4d5e6f7890", True)),
        desired={"schema": 1, "policy": {"disruption": "vf-reset", "max_vfs_per_domain": 32}},
        **parts,
    )
    counts = Summary(
        actions=len(built.actions),
        disruptive=sum(severity(action.disruption) > 0 for action in built.actions),
    )
    for change in built.changes:
        setattr(counts, change.op, getattr(counts, change.op) + 1)
    built.summary = counts
    if any(diagnostic.severity == "error" for diagnostic in built.diagnostics):
        built.verdict = "blocked"
    elif built.actions:
        built.verdict = "changes"
    return plan_to_json(built)


def set_vf(index: int, needs: list[str] | None = None, **values: Any) -> Action:
    """A ``vf.set`` on a VF of ``pf.int`` that can be taken back."""
    where = f"pf.int.vf.{index}"
    return Action(
        id=f"vf.set {where} {','.join(values)}",
        op="vf.set",
        address=where,
        args={"pf": PF, "vf": index, "set": values},
        needs=needs or [],
        undo=Undo([Step("vf.set", where, {"pf": PF, "vf": index, "set": {name: FRESH[name] for name in values}})]),
    )


def rates(count: int, *, before: int = 0, after: int = 1000) -> dict[str, Any]:
    """A plan that sets the rate of ``count`` VFs."""
    return plan(
        changes=[
            Change(f"pf.int.vf.{i}", "update", [FieldChange("max_tx_rate", before, after)], line=31)
            for i in range(count)
        ],
        actions=[set_vf(i, max_tx_rate=after) for i in range(count)],
    )


def remade() -> dict[str, Any]:
    """A new number of VFs while a guest has one: everything that a plan can have, in one."""
    pf = "pf.int"
    changes = [
        Change(
            "modules.blacklist",
            "update",
            [FieldChange("entries", [], ["ixgbevf"])],
            reason="a module that is blacklisted is not loaded when its VFs appear",
            line=9,
        ),
        Change(
            pf,
            "replace",
            [FieldChange("vfs", 4, 8), FieldChange("autoprobe", True, False)],
            reason="the kernel only accepts a new VF count from 0",
            impact=GUEST,
            line=25,
        ),
        *(
            Change(
                f"{pf}.vf.{i}",
                "create",
                [FieldChange("spoofchk", None, True), FieldChange("max_tx_rate", None, 1000)],
                line=31,
            )
            for i in range(1, 8)
        ),
        Change(
            f"{pf}.vf.0",
            "create",
            [FieldChange("mac", None, "52:54:00:6d:90:00"), FieldChange("vlan", None, 100)],
            line=35,
        ),
        Change(
            "pool.sriov-int",
            "create",
            [
                FieldChange("state", "absent", "present"),
                FieldChange("vfs", None, [f"int/{i}" for i in range(4, 8)]),
                FieldChange("active", None, True),
            ],
            line=44,
        ),
        Change("pool.old", "delete", [FieldChange("state", "present", "absent")], line=50),
    ]
    nic = {"method": "interface", "alias": "ua-rec-data", "mac": "52:54:00:6d:90:02", "vf": [PF, 3]}
    where = "domain.web1.nic.data"
    both = {"domain": "web1", "live": True}
    detach = Action(
        "nic.detach " + where,
        "nic.detach",
        where,
        {**both, "match": {"alias": "ua-rec-data"}, "config": False},
        impact=GUEST,
        undo=Undo([Step("nic.attach", where, {**both, "nic": nic, "config": False})]),
    )
    down = Action("pf.set_numvfs pf.int", "pf.set_numvfs", pf, {"pf": PF, "vfs": 0}, [detach.id], impact=GUEST)
    up = Action("pf.set_numvfs pf.int #2", "pf.set_numvfs", pf, {"pf": PF, "vfs": 8}, [down.id])
    pool = {"pool": "sriov-int", "vfs": [[PF, i] for i in range(4, 8)]}
    actions = [
        Action("b", "modules.set_blacklist", "modules.blacklist", {"modules": ["ixgbevf"]}),
        detach,
        down,
        up,
        *(set_vf(i, [up.id], spoofchk=True) for i in range(1, 8)),
        *(set_vf(i, [up.id], max_tx_rate=1000) for i in range(1, 8)),
        set_vf(0, [up.id], mac="52:54:00:6d:90:00"),
        Action("pd", "pool.define", "pool.sriov-int", pool, [up.id]),
        Action("ps", "pool.start", "pool.sriov-int", {"pool": "sriov-int"}, ["pd"]),
        Action(
            "pu",
            "pool.undefine",
            "pool.old",
            {"pool": "old"},
            undo=Undo(impossible="its XML names a VF that is not there"),
        ),
        Action("na", "nic.attach", where, {**both, "nic": nic, "config": False}, [up.id]),
    ]
    diagnostics = [
        Diagnostic(
            severity="warning",
            code="rate-needs-link",
            summary="A rate is refused while the PF has no link.",
            detail="enp1s0 (igb) has no carrier now. Plug it in, or the plan stops at its first rate.",
            address=pf,
            line=25,
        ),
        Diagnostic(severity="note", code="read-only", summary="Some facts need root.", detail="Run it as root."),
    ]
    return plan(changes=changes, actions=actions, diagnostics=diagnostics)


def host() -> Snapshot:
    """A host with two PFs, a guest on each way to a VF, a process, and things that could not be read."""
    vfs = [Vf(i, f"0000:01:10.{i * 2}", "vfio-pci", iommu_group=40 + i, attributes=dict(FRESH)) for i in range(4)]
    vfs[0].attributes = {**FRESH, "mac": "52:54:00:6d:90:02", "vlan": 100, "max_tx_rate": 1000}
    vfs[2].driver, vfs[2].netdev, vfs[2].uses = "igbvf", "enp1s0v2", [Use("address", "192.0.2.9/24")]
    vfs[3].driver, vfs[3].attributes = None, None
    first = Pf(
        "pci",
        "0000:01:00.0",
        "enp1s0",
        altnames=["p1p1"],
        vendor="8086",
        device_id="10c9",
        driver="igb",
        numa_node=0,
        total_vfs=7,
        num_vfs=4,
        autoprobe=False,
        up=True,
        carrier=True,
        speed=1000,
        mtu=9000,
        uses=[Use("address", "192.0.2.1/24"), Use("master", "br0")],
        vfs=vfs,
    )
    second = Pf(
        "pci", "0000:81:00.0", "ens6f0", driver="ixgbe", numa_node=1, total_vfs=63, num_vfs=0, up=False, mtu=1500
    )
    nic = Nic("interface", "ua-rec-data", "52:54:00:6d:90:02", "0000:01:10.0", vlan=100)
    off = Nic("hostdev", "ua-rec-fast", None, "0000:01:10.4")
    queued = [Nic("pool", f"ua-rec-{i}", f"52:54:00:6d:91:0{i}", pool="sriov-int") for i in range(3)]
    libvirt = Libvirt(
        available=True,
        version=11003000,
        domains={
            "web1": Domain("web1", "u1", running=True, live=[nic], config=[nic]),
            "db1": Domain("db1", "u2", config=[off, *queued]),
        },
        networks={
            "sriov-int": Network(
                "sriov-int",
                "u3",
                active=True,
                autostart=True,
                mode="hostdev",
                addresses=["0000:01:10.2", "0000:01:10.4"],
                live_addresses=["0000:01:10.2", "0000:01:10.4"],
            ),
            "default": Network("default", "u4", active=True, mode="nat"),
        },
    )
    return Snapshot(
        taken_at="2026-01-01T00:00:00Z",
        host=HostIdentity("r620-01", "m", "b", "6.12"),
        pfs={first.id: first, second.id: second},
        modules=Modules(["igb", "igbvf", "vfio_pci"], [BlacklistEntry("ixgbevf", "/etc/modprobe.d/vf.conf", 2)], []),
        libvirt=libvirt,
        vfio_open={41: [Process(4711, "dpdk-testpmd")]},
        notes=["The attributes of VF 3 of enp1s0 are not known: the kernel's answer has no entry for it."],
    )
