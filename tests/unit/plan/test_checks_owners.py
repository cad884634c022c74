"""What other tools' files say, held against the state file."""

from __future__ import annotations

import pytest

from reconciler.host.model import Claim, Owners, Snapshot
from reconciler.plan.drift import find_drift
from reconciler.plan.planner import make_plan
from reconciler.state.desired import AttributeValue
from tests.hosts import desired, host, igb

FILE = """[pf.int]
match = { name = "enp1s0" }
vfs = 4
mtu = 9000
vf_driver = "none"
[pf.int.vf.1]
vlan = 100
mac = "52:54:00:00:00:aa"
"""
INT = igb(1).id


def claim(field: str, value: AttributeValue, vf: int | None = None, path: str = "/etc/netplan/a.yaml") -> Claim:
    return Claim("netplan", path, 7, INT, field, value, vf)


def seen(*claims: Claim, unread: tuple[str, ...] = ()) -> Snapshot:
    snapshot = host(igb(1, 4, mtu=9000, autoprobe=False))
    snapshot.owners = Owners(list(claims), list(unread))
    return snapshot


def found(snapshot: Snapshot) -> list[tuple[str, str, str]]:
    plan = make_plan(desired(FILE), snapshot)
    return [(d.severity, d.code, d.address) for d in plan.diagnostics if d.code.startswith("another-owner")]


@pytest.mark.parametrize(
    ("field", "value", "vf"),
    [
        ("vfs", 7, None),
        ("mtu", 1500, None),
        ("autoprobe", True, None),
        ("vlan", 200, 1),
        ("mac", "52:54:00:00:00:bb", 1),
    ],
)
def test_what_differs_is_a_warning_with_file_and_line(field: str, value: AttributeValue, vf: int | None) -> None:
    snapshot = seen(claim(field, value, vf))
    assert found(snapshot) == [("warning", "another-owner-differs", "pf.int")]
    plan = make_plan(desired(FILE), snapshot)
    (said,) = [d.detail for d in plan.diagnostics if d.code == "another-owner-differs"]
    assert said.startswith("/etc/netplan/a.yaml:7 (netplan): ")
    assert "declared is " in said
    assert plan.verdict != "blocked"
    drift = find_drift(desired(FILE), snapshot)
    assert [d.code for d in drift.diagnostics] == ["another-owner-differs"]


@pytest.mark.parametrize(("field", "value", "vf"), [("vfs", 4, None), ("autoprobe", False, None), ("vlan", 100, 1)])
def test_what_is_the_same_is_a_note_and_no_drift(field: str, value: AttributeValue, vf: int | None) -> None:
    snapshot = seen(claim(field, value, vf))
    assert found(snapshot) == [("note", "another-owner-agrees", "pf.int")]
    assert find_drift(desired(FILE), snapshot).diagnostics == []


@pytest.mark.parametrize(
    ("field", "value", "vf"), [("link", "up", None), ("vlan", 1, 3), ("spoofchk", False, 1), ("trust", True, 99)]
)
def test_what_is_not_declared_is_the_other_ones_to_say(field: str, value: AttributeValue, vf: int | None) -> None:
    assert found(seen(claim(field, value, vf))) == []


def test_each_file_is_told_once() -> None:
    claims = [claim("vfs", 7), claim("vlan", 7, 1), claim("vfs", 2, path="/etc/rc.local"), claim("mtu", 9000)]
    snapshot = seen(*claims)
    assert [code for _, code, _ in found(snapshot)] == ["another-owner-differs"] * 2
    first = next(d.detail for d in make_plan(desired(FILE), snapshot).diagnostics if "netplan" in d.detail)
    assert "vfs = 7, declared is 4; vlan of VF 1 (line 7) = 7, declared is 100." in first


def test_another_card_is_not_concerned() -> None:
    assert found(seen(Claim("netplan", "/etc/netplan/a.yaml", 1, "pci/0000:09:00.0", "vfs", 7))) == []


def test_what_could_not_be_read_is_a_note() -> None:
    assert found(seen(unread=("/etc/netplan/a.yaml was not read: it is no YAML.",))) == [
        ("note", "another-owner-unread", "pf.int")
    ]
    snapshot = seen()
    snapshot.owners.claims = None
    assert found(snapshot) == []
