"""Plans for early in boot: libvirt's definitions are known from its files, and nothing may be asked of it."""

from __future__ import annotations

from reconciler.cli.boot import early_targets
from reconciler.host.model import Network, Nic, Snapshot
from reconciler.kinds.operations import OPERATIONS
from reconciler.plan.document import Plan
from reconciler.plan.planner import make_plan
from tests.hosts import DataHost, desired, guest, host, igb

FILE = """
[services]
irqbalance = "running"
[modules]
blacklist = ["igbvf"]
[pf.int]
match = { name = "enp1s0" }
link = "up"
vfs = 7
[pf.int.vf.0]
vlan = 100
max_tx_rate = 50
[pool.p]
vfs = ["int/4-6"]
[domain.db.nic.named]
vf = "int/1"
method = "hostdev"
mac = "52:54:00:00:00:01"
[domain.db.nic.kept]
pf = "int"
method = "hostdev"
mac = "52:54:00:00:00:02"
[domain.db.nic.pooled]
pool = "p"
[domain.db.nic.plain]
vf = "int/2"
mac = "52:54:00:00:00:03"
spoofchk = false
"""


def booting() -> Snapshot:
    """After the kernel has found its cards: no VFs, and guests that are off. One of them had VF 3 before the boot."""
    fast = Nic("hostdev", "ua-rec-kept", vf_address="0000:01:10.6")
    snapshot = host(
        igb(1),
        domains=[guest("db", config=[fast])],
        networks=[Network("p", "1", mode="hostdev", autostart=True)],
        loaded=["igb", "igbvf"],
    )
    snapshot.libvirt.by_files, snapshot.libvirt.version = True, None
    return snapshot


def early(text: str = FILE, snapshot: Snapshot | None = None) -> Plan:
    wanted = desired(text)
    return make_plan(wanted, snapshot or booting(), targets=early_targets(wanted), partial=True)


def test_vfs_are_made_and_set_also_for_the_nics_of_guests_and_nothing_is_asked_of_libvirt() -> None:
    plan = early()
    done = [(action.op, action.address) for action in plan.actions if not action.op.startswith("modules.")]
    assert done[:2] == [("pf.set_link", "pf.int"), ("pf.set_numvfs", "pf.int")]
    assert {(a.address, a.args["vf"]): a.args["set"] for a in plan.actions if a.op == "vf.set"} == {
        ("pf.int.vf.0", 0): {"vlan": 100},
        ("domain.db.nic.named", 1): {"mac": "52:54:00:00:00:01"},
        ("domain.db.nic.kept", 3): {"mac": "52:54:00:00:00:02"},
        ("domain.db.nic.plain", 2): {"spoofchk": False},
    }
    assert not any(op.startswith(("pool.", "nic.", "service.", "pf.wait_link")) for op, _ in done)


def test_what_is_left_is_told_and_is_no_error() -> None:
    plan = early()
    (note,) = [d for d in plan.diagnostics if d.code == "left-for-later"]
    assert (note.severity, plan.dropped, plan.verdict) == ("note", [], "changes")
    for address in ("pool.p", "domain.db.nic.pooled", "domain.db.nic.plain", "pf.int.vf.0"):
        assert address in note.detail
    assert "pf.int," not in note.detail


def test_what_was_done_early_leaves_nothing_to_do_early() -> None:
    """Also when the port has its carrier by then, which rates wait for."""
    machine = DataHost(booting())
    for action in early().actions:
        OPERATIONS[action.op].simulate(machine.state, action.args)
    machine.state.pfs["pci/0000:01:00.0"].carrier = True
    assert early(snapshot=machine.state).actions == []


def test_a_guest_that_libvirt_does_not_know_is_left_out() -> None:
    plan = early(FILE.replace("domain.db.", "domain.dbx."))
    assert plan.dropped == ["domain.dbx"]
    assert "pf.set_numvfs" in {action.op for action in plan.actions}


def test_a_missing_card_is_left_out() -> None:
    plan = early(FILE + '[pf.gone]\nmatch = { name = "enp9s0" }\nvfs = 2\n')
    assert plan.dropped == ["pf.gone"]
    assert {action.address for action in plan.actions if action.op == "pf.set_numvfs"} == {"pf.int"}


def test_a_file_about_other_things_has_nothing_to_do_early() -> None:
    assert early_targets(desired('[services]\nirqbalance = "running"\n')) == []
