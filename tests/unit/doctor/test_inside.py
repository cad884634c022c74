"""What doctor says of the inside of guests."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.doctor.diagnose import diagnose
from reconciler.doctor.document import Report, report_to_json
from reconciler.host.model import Nic, Snapshot
from reconciler.host.platform import Inside, InsideNic
from reconciler.report.doctor_text import render_doctor
from tests.unit.doctor.samples import MAC, VF0, VF1, by_code, inside, platform, sound

CODES = {
    "no-guest-agent",
    "guest-agent-not-running",
    "guest-agent-silent",
    "guest-agent-not-asked",
    "guest-agent-limited",
    "guest-runs-windows",
    "no-irqbalance-in-guest",
    "few-queues-in-guest",
    "vf-bridged-in-guest",
    "vf-not-seen-in-guest",
    "vf-not-known-in-guest",
}


def report(known: Inside | None, snapshot: Snapshot | None = None) -> Report:
    facts = platform()
    facts.inside = {"web1": known} if known is not None else None
    return diagnose(snapshot or sound(), facts)


def codes(known: Inside) -> set[str]:
    return set(by_code(report(known))) & CODES


def eth0(**changes: Any) -> list[InsideNic]:
    fields: dict[str, Any] = {"driver": "iavf", "queues": 4, "bridge": "", **changes}
    return [InsideNic("eth0", MAC, fields["driver"], fields["queues"], fields["bridge"])]


def test_a_guest_in_which_all_is_well() -> None:
    found = report(inside())
    assert not set(by_code(found)) & CODES
    seen = [item.seen for item in found.checked if item.subject == "inside guests"]
    assert seen == ["web1: irqbalance runs", "web1: eth0 (iavf) is VF 0 of enp1s0, 4 queues for 4 vCPUs"]
    assert found.verdict == "ok"


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("absent", "no-guest-agent"),
        ("disconnected", "guest-agent-not-running"),
        ("silent", "guest-agent-silent"),
        ("unasked", "guest-agent-not-asked"),
    ],
)
def test_without_an_agent_it_says_that_it_can_not_know(state: Any, code: str) -> None:
    found = report(Inside(state, "it did not answer within 10 s"))
    finding = by_code(found)[code]
    assert finding.severity == "note"
    assert "can't be known" in finding.seen
    assert "Linux bridge" in finding.why
    assert finding.todo
    assert found.verdict == "ok"
    assert ("10 s" in finding.seen) is (state in ("silent", "unasked"))


def test_guests_that_lack_it_for_the_same_reason_are_one_note() -> None:
    snapshot, facts = sound(), platform()
    other = Nic("interface", "net0", "52:54:00:00:01:09", VF1)
    db1 = sound().libvirt.domains["web1"]
    db1.name, db1.live = "db1", [other]
    snapshot.libvirt.domains["db1"] = db1
    facts.inside = {name: Inside("absent", "it has no channel for one") for name in ("web1", "db1")}
    findings = [item for item in diagnose(snapshot, facts).findings if item.code == "no-guest-agent"]
    assert [item.subject for item in findings] == ["guests with VFs"]
    assert "web1, db1 have no channel" in findings[0].seen


def test_irqbalance_matters_only_with_several_processors() -> None:
    assert codes(inside(irqbalance=False)) == {"no-irqbalance-in-guest"}
    assert "4 vCPUs" in by_code(report(inside(irqbalance=False)))["no-irqbalance-in-guest"].seen
    assert codes(inside(irqbalance=False, processors=1)) == set()
    assert codes(inside(irqbalance=False, processors=None)) == {"no-irqbalance-in-guest"}
    assert codes(inside(irqbalance=None)) == set()


def test_fewer_queues_than_processors() -> None:
    known = inside(nics=eth0(driver="ixgbevf", queues=2))
    finding = by_code(report(known))["few-queues-in-guest"]
    assert "2 receive queues for 4 vCPUs" in finding.seen
    assert "A VF of ixgbevf usually has at most 2." in finding.why
    assert "ethtool -L eth0" in finding.todo
    assert "usually" not in by_code(report(inside(nics=eth0(driver="new", queues=1))))["few-queues-in-guest"].why
    assert codes(inside(nics=eth0(queues=None))) == set()
    assert codes(inside(nics=eth0(queues=2), processors=None)) == set()


def test_a_vf_under_a_linux_bridge() -> None:
    """The bridge has the VF's MAC, too, and is not taken for it."""
    nics = [InsideNic("br0", MAC, "", 1, ""), *eth0(bridge="br0")]
    finding = by_code(report(inside(nics=nics)))["vf-bridged-in-guest"]
    assert finding.severity == "warning"
    assert "eth0 in web1 (VF 0 of enp1s0) is a port of the Linux bridge br0." in finding.seen


def test_a_failover_pair_is_looked_at_by_its_vf() -> None:
    nics = [InsideNic("eth0", MAC, "virtio_net", 1, ""), InsideNic("eth1", MAC, "virtio_net", 1, ""), *eth0()]
    assert codes(inside(nics=nics)) == set()
    assert codes(inside(nics=nics[:2])) == {"vf-not-seen-in-guest"}


def test_a_vf_that_the_guest_does_not_show() -> None:
    finding = by_code(report(inside(nics=[])))["vf-not-seen-in-guest"]
    assert MAC in finding.seen
    assert codes(inside(nics=None)) == set()


def test_a_plain_hostdev_is_found_by_what_the_pf_has_for_it() -> None:
    snapshot = sound()
    snapshot.libvirt.domains["web1"].live = [Nic("hostdev", "hostdev0", None, VF0)]
    vf = snapshot.pfs["pci/0000:01:00.0"].vfs[0]
    vf.attributes = {"mac": "52:54:00:00:01:77"}
    assert "vf-not-seen-in-guest" in by_code(report(inside(), snapshot))
    vf.attributes = {"mac": "00:00:00:00:00:00"}
    assert "vf-not-seen-in-guest" not in by_code(report(inside(), snapshot)), "the guest chooses its own"


def test_windows_tells_less() -> None:
    known = inside(system="mswindows", irqbalance=None, nics=[InsideNic("Ethernet 2", MAC)])
    assert codes(known) == {"guest-runs-windows"}
    assert "RSS" in by_code(report(known))["guest-runs-windows"].todo


def test_an_agent_that_may_not_tell_all() -> None:
    known = inside(irqbalance=None, unknown=["Not known: irqbalance, since its agent doesn't allow guest-exec."])
    finding = by_code(report(known))["guest-agent-limited"]
    assert "doesn't allow guest-exec" in finding.seen
    assert "FILTER_RPC_ARGS" in finding.todo


def test_what_a_guest_says_moves_no_cursor() -> None:
    nics = eth0(driver="\x1b[2Jevil", bridge="br\x1b]0;x\x07", queues=1)
    known = inside(nics=nics, unknown=["Not known: \x1b[31mred\u202e."])
    text = render_doctor(report_to_json(report(known)), color=False)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b[2Jevil" in text


def test_a_name_that_is_a_command_is_quoted() -> None:
    nics = eth0(queues=1)
    nics[0].name = "`reboot`"
    assert "ethtool -L '`reboot`' combined" in by_code(report(inside(nics=nics)))["few-queues-in-guest"].todo


def test_a_record_without_it_is_not_complete() -> None:
    found = report(None)
    assert found.verdict == "incomplete"
    assert [item.subject for item in found.unchecked] == ["inside guests"]
    snapshot = sound()
    snapshot.libvirt.domains["web1"].live = []
    assert report(None, snapshot).unchecked == []


def bonded(*nics: InsideNic) -> Report:
    """A guest with two VFs, the second with the MAC …:09."""
    snapshot = sound()
    snapshot.libvirt.domains["web1"].live.append(Nic("interface", "net1", "52:54:00:00:01:09", VF1))
    return report(inside(nics=list(nics)), snapshot)


def test_ports_of_a_bond_by_the_macs_that_they_came_with() -> None:
    second = InsideNic("eth1", "52:54:00:00:01:09", "iavf", 4, "")
    found = bonded(*eth0(), second, InsideNic("bond0", MAC, "", 16, ""))
    assert not set(by_code(found)) & CODES
    assert "web1: eth1 (iavf) is VF 1 of enp1s0, 4 queues for 4 vCPUs" in [item.seen for item in found.checked]


@pytest.mark.parametrize("driver", ["iavf", None])
def test_ports_that_show_the_macs_of_their_bond_can_not_be_told_apart(driver: str | None) -> None:
    """Neither which is the second VF, nor which is the first: where the drivers aren't told, as by Windows, the bond
    itself is one of those that it may be."""
    names = ("eth0", "eth1", "bond0")
    nics = [InsideNic(name, MAC, "" if name == "bond0" and driver else driver) for name in names]
    found = bonded(*nics)
    assert set(by_code(found)) & CODES == {"vf-not-known-in-guest"}
    finding = by_code(found)["vf-not-known-in-guest"]
    assert finding.severity == "note"
    assert f"VF 0 of enp1s0 ({MAC}), VF 1 of enp1s0 (52:54:00:00:01:09)" in finding.seen
    assert f"eth0, eth1{'' if driver else ', bond0'} show {MAC}." in finding.seen
    assert not [item for item in found.checked if "is VF" in item.seen]


def test_a_vlan_on_a_vf_is_no_bond() -> None:
    nics = [InsideNic(name, MAC) for name in ("eth0", "eth0.10", "eth0.20")]
    assert codes(inside(nics=nics)) == set()
    found = bonded(*eth0(), InsideNic("eth0.10", MAC, "", 1, ""), InsideNic("eth0.20", MAC, "", 1, ""))
    assert set(by_code(found)) & CODES == {"vf-not-seen-in-guest"}
