"""Labels: declared, last applied, observed."""

from __future__ import annotations

import pytest

from reconciler.host.model import Applied, Nic, Snapshot
from reconciler.plan.drift import find_drift
from tests.hosts import desired, guest, host, igb

PF = '[pf.int]\nmatch = { name = "enp1s0" }\nlink = "up"\nvfs = 2\n'
FILE = PF + "[pf.int.vf.0]\nvlan = 5\n"


def observed(vlan: int, applied: int | None) -> Snapshot:
    snapshot = host(igb(1, 2, up=True, carrier=True))
    values = snapshot.pfs["pci/0000:01:00.0"].vfs[0].attributes
    assert values is not None
    values["vlan"] = vlan
    if applied is not None:
        snapshot.ledger = {"pci/0000:01:00.0/0": {"vlan": Applied(applied, "boot-0")}}
    return snapshot


@pytest.mark.parametrize(
    ("vlan", "applied", "label", "verdict"),
    [
        (5, None, "in-sync", "in-sync"),
        (5, 9, "in-sync", "in-sync"),
        (7, 5, "drift", "drift"),
        (7, 7, "pending", "in-sync"),
        (7, 9, "conflict", "drift"),
        (7, None, "unrecorded", "drift"),
    ],
)
def test_labels(vlan: int, applied: int | None, label: str, verdict: str) -> None:
    drift = find_drift(desired(FILE), observed(vlan, applied))
    found = {item.field: item.label for item in drift.fields}
    assert found.get("vlan", "in-sync") == label
    assert drift.verdict == verdict
    assert drift.counts[label] >= 1


def test_vfs_that_are_gone_are_counted_once() -> None:
    snapshot = host(igb(1, 0, up=True, carrier=True))
    drift = find_drift(desired(PF + 'vf_driver = "none"\n[pf.int.vf."0-1"]\nvlan = 5\ntrust = true\n'), snapshot)
    assert [(item.address, item.field) for item in drift.fields] == [("pf.int", "vfs")]


def test_a_pool_nic_of_a_guest_that_is_off_is_deferred() -> None:
    config = Nic("pool", "ua-rec-a", "52:54:00:00:00:01", pool="p")
    snapshot = host(igb(1, 2, up=True, carrier=True), domains=[guest("web", config=[config])])
    text = (
        PF + '[pool.p]\nvfs = ["int/0-1"]\n[domain.web.nic.a]\npool = "p"\nmac = "52:54:00:00:00:01"\nmax_tx_rate = 9\n'
    )
    labels = {f"{item.address}.{item.field}": item.label for item in find_drift(desired(text), snapshot).fields}
    assert labels["domain.web.nic.a.max_tx_rate"] == "deferred"


def test_what_the_driver_cannot_report_is_unverifiable() -> None:
    snapshot = host(igb(1, 2, up=True, carrier=True))
    values = snapshot.pfs["pci/0000:01:00.0"].vfs[0].attributes
    assert values is not None
    del values["trust"]
    drift = find_drift(desired(PF + "[pf.int.vf.0]\ntrust = true\n"), snapshot)
    assert [(item.field, item.label) for item in drift.fields] == [("trust", "unverifiable")]
    assert drift.verdict == "in-sync"


def test_a_card_that_is_not_there_is_unknown_unless_it_is_optional() -> None:
    text = '[pf.int]\nmatch = { name = "gone" }\nvfs = 2\n'
    assert find_drift(desired(text), host()).verdict == "unknown"
    assert find_drift(desired(text + "optional = true\n"), host()).verdict == "in-sync"


def test_ignored_fields_are_counted_and_not_listed() -> None:
    drift = find_drift(desired(FILE), observed(7, 5), ignore=["pf.int.vf.0.vlan"])
    assert (drift.verdict, drift.ignored, drift.fields) == ("in-sync", 1, [])
    assert find_drift(desired(FILE), observed(7, 5), ignore=["pf.int"]).verdict == "in-sync"
    assert find_drift(desired(FILE), observed(7, 5), ignore=["pf.int.vf.1"]).verdict == "drift"


def test_libvirts_mac_of_a_guest_that_is_off_is_not_compared() -> None:
    config = Nic("interface", "ua-rec-a", "52:54:00:00:00:01", "0000:01:10.0")
    snapshot = host(igb(1, 2, up=True, carrier=True), domains=[guest("web", config=[config])])
    text = PF + '[domain.web.nic.a]\nvf = "int/0"\nmac = "52:54:00:00:00:01"\n'
    assert find_drift(desired(text), snapshot).fields == []
