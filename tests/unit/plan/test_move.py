"""What stands in the way of a move, and its steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.exit_codes import ExitCode
from reconciler.host.guests import Definition, Destination, Disk, MovingGuest, NetworkThere, Who
from reconciler.host.model import Nic
from reconciler.plan.move import Move, make_move
from tests.hosts import guest, host, igb

HERE = Who("h-a", "a")
URI = "qemu+ssh://b/system"
DEFINITION = Definition("db1", guest("db1").uuid, "<domain/>", {"name": "db1"})
INTERFACE = Nic("interface", "ua-rec-mgmt", "52:54:00:00:00:01", "0000:01:10.0", vlan=7)
PLAIN = Nic("hostdev", "ua-rec-fast", None, "0000:01:10.2")


def plan(there: Destination | str | None = None, nics: tuple[Nic, ...] = (INTERFACE, PLAIN), **changes: Any) -> Move:
    pf = igb(1, 3, up=True)
    (pf.vfs[0].attributes or {}).update(mac="52:54:00:00:00:01", max_tx_rate=50)
    (pf.vfs[1].attributes or {}).update(mac="52:54:00:00:00:02", vlan=9, trust=True)
    observed = host(pf, domains=[guest("db1", config=nics)])
    moving = MovingGuest(DEFINITION, "<domain/>", {"name": "db1"}, taken_off=list(nics), networks={"p": True})
    for name, value in changes.items():
        setattr(moving, name, value)
    there = there if there is not None else Destination(Who("h-b", "b"), {}, {"p": NetworkThere(True, "hostdev")})
    return make_move(moving, "qemu:///system", HERE, URI, there, observed)


def codes(move: Move) -> list[str]:
    return [finding.code for finding in move.findings if finding.severity == "error"]


def test_nothing_in_its_way() -> None:
    move = plan()
    assert (move.code, codes(move), move.pools) == (ExitCode.OK, [], ["p"])
    assert [(step.id, step.side) for step in move.steps] == [
        ("strip", "here"),
        ("define", "there"),
        ("verify", "there"),
        ("undefine", "here"),
    ]
    assert move.taken_off == ["ua-rec-mgmt (VF 0 of enp1s0)", "ua-rec-fast (VF 1 of enp1s0)"]
    assert move.resets == ["enp1s0/0", "enp1s0/1"]
    assert move.document()["toml"] == [
        "[domain.db1.nic.mgmt]",
        'pf = "…"',
        'mac = "52:54:00:00:00:01"',
        "vlan = 7",
        "max_tx_rate = 50",
        "",
        "[domain.db1.nic.fast]",
        'pf = "…"',
        'method = "hostdev"',
        'mac = "52:54:00:00:00:02"',
        "vlan = 9",
        "trust = true",
    ]


def test_steps_that_nothing_asks_for_are_left_out() -> None:
    assert [step.id for step in plan(nics=()).steps] == ["define", "verify", "undefine"]
    started = plan(definition=replace(DEFINITION, autostart=True))
    assert [step.id for step in started.steps][-1] == "autostart"


def test_a_vf_that_is_not_there_is_named_by_its_address() -> None:
    gone = replace(INTERFACE, vf_address="0000:99:10.0")
    move = plan(nics=(gone,))
    assert (move.taken_off, move.resets) == (["ua-rec-mgmt (VF 0000:99:10.0)"], [])
    assert "vlan = 7" in move.toml


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"definition": replace(DEFINITION, running=True)}, "guest-runs"),
        ({"definition": replace(DEFINITION, persistent=False)}, "guest-transient"),
        ({"managed_save": True}, "managed-save"),
        ({"snapshots": ["s"]}, "snapshots"),
        ({"checkpoints": ["c"]}, "checkpoints"),
        ({"states": ["its NVRAM"]}, "own-state"),
        ({"devices": ["a usb device"]}, "host-device"),
        ({"disks": [Disk("vda", "/a", False, "ext4 mounted at /")]}, "disk-not-shared"),
    ],
)
def test_what_would_be_lost_is_refused(changes: dict[str, Any], code: str) -> None:
    move = plan(**changes)
    assert (codes(move), move.code) == ([code], ExitCode.REFUSED)


@pytest.mark.parametrize(
    ("there", "code"),
    [
        ("ssh: no route to host", "destination-unreachable"),
        (Destination(Who("h-a", "b"), {}, {"p": NetworkThere(True, "hostdev")}), "destination-is-here"),
        (Destination(Who("h-b", "b"), {"db1": "x"}, {"p": NetworkThere(True, "hostdev")}), "destination-name"),
        (
            Destination(Who("h-b", "b"), {"other": DEFINITION.uuid}, {"p": NetworkThere(True, "hostdev")}),
            "destination-uuid",
        ),
        (Destination(Who("h-b", "b")), "destination-network"),
        (Destination(Who("h-b", "b"), {}, {"p": NetworkThere(False, "hostdev")}), "destination-network"),
        (Destination(Who("h-b", "b"), {}, {"p": NetworkThere(True, "nat")}), "destination-network"),
        (
            Destination(Who("h-b", "b"), {}, {"p": NetworkThere(True, "hostdev")}, "no such machine"),
            "destination-machine",
        ),
    ],
)
def test_what_the_destination_lacks_blocks_it(there: Destination | str, code: str) -> None:
    move = plan(there)
    assert (codes(move), move.code) == ([code], ExitCode.FAILED)


def test_a_nic_that_nobody_would_be_told_of() -> None:
    pf = igb(1, 3, up=True)
    moving = MovingGuest(DEFINITION, "<domain/>", {"name": "db1"}, taken_off=[INTERFACE, PLAIN])
    there = Destination(Who("h-b", "b"))
    unknown = make_move(moving, "qemu:///system", HERE, URI, there, host(pf, domains=[]))
    assert codes(unknown) == ["nics-unknown"]
    gone = host(pf, domains=[guest("db1", config=(INTERFACE,))])
    move = make_move(moving, "qemu:///system", HERE, URI, there, gone)
    assert move.code == ExitCode.OK
    (finding,) = move.findings
    assert (finding.severity, finding.code) == ("warning", "nics-not-described")
    assert "ua-rec-fast" in finding.detail
    assert "ua-rec-mgmt" not in finding.detail


def test_hosts_that_cannot_be_told_apart_are_none() -> None:
    assert codes(plan(Destination(Who("", "b"), {}, {"p": NetworkThere(True, "hostdev")}))) == ["destination-unknown"]
    own = Destination(Who("h-a qemu+ssh://b/session", "b"), {}, {"p": NetworkThere(True, "hostdev")})
    assert codes(plan(own)) == ["destination-is-here"]


def test_all_reasons_come_at_once() -> None:
    running = replace(DEFINITION, running=True)
    move = plan("no answer", definition=running, snapshots=["s"], states=["NVRAM", "TPM"], managed_save=True)
    assert codes(move) == [
        "guest-runs",
        "managed-save",
        "snapshots",
        "own-state",
        "own-state",
        "destination-unreachable",
    ]


def test_what_the_destination_needs_is_no_obstacle() -> None:
    move = plan(
        disks=[Disk("vda", "/nfs/a", True, "nfs", "/real")],
        files=["/boot/k"],
        secrets=["s"],
        links=["bridge br0"],
        resources=["huge pages"],
        needs=["the network filter f"],
        unread=["/nfs/b (Permission denied)"],
    )
    assert move.code == ExitCode.OK
    told = {finding.code: finding.severity for finding in move.findings}
    assert told == {
        "shared-disks": "note",
        "boot-files": "warning",
        "secrets": "warning",
        "host-links": "warning",
        "host-resources": "warning",
        "host-needs": "warning",
        "disk-links": "warning",
        "disk-unread": "warning",
    }


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"lone": ["ua-rec-mgmt"]}, ["ua-rec-mgmt of db1 has none", "shut it down", "failover"]),
        (
            {"lone": []},
            ["Each VF of db1 has a stand-in", f"virsh migrate --live --persistent --undefinesource db1 {URI}"],
        ),
        ({"lone": [], "taken_off": []}, ["db1 has no VF", "virsh migrate --live"]),
    ],
)
def test_a_running_guest_is_told_what_fits(changes: dict[str, Any], told: list[str]) -> None:
    move = plan(definition=replace(DEFINITION, running=True), **changes)
    (finding,) = [finding for finding in move.findings if finding.code == "guest-runs"]
    assert all(part in finding.detail for part in told), finding.detail
