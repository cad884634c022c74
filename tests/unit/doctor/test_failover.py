"""Which guests can be migrated while they run, and which pairs are broken."""

from __future__ import annotations

import pytest

from reconciler.doctor.diagnose import diagnose
from reconciler.host.model import Nic, Snapshot
from tests.hosts import desired
from tests.unit.doctor.samples import VF1, examine, platform, sound

MAC = "52:54:00:00:01:00"
STANDBY = "ua-standby-a"


def paired(**changes: object) -> Snapshot:
    """`sound`, with something that stands in for web1's VF."""
    found = sound()
    standby = Nic("other", STANDBY, MAC, bridge="br0", teaming="persistent")
    for name, value in changes.items():
        setattr(standby, name, value)
    web1 = found.libvirt.domains["web1"]
    for nics in (web1.live, web1.config):
        nics[0].teaming, nics[0].partner = "transient", STANDBY
        nics.append(standby)
    return found


def test_a_guest_whose_vf_nothing_stands_in_for_can_not_be_migrated() -> None:
    finding = examine(sound(), platform())["no-live-migration"]
    assert finding.severity == "note"
    assert "web1 (net0)" in finding.seen
    assert "failover" in finding.todo


def test_a_guest_with_a_whole_pair_can() -> None:
    report = diagnose(paired(), platform())
    assert not {"no-live-migration", "failover-broken"} & {finding.code for finding in report.findings}
    (checked,) = [item for item in report.checked if item.subject == "live migration"]
    assert "web1: its VFs don't stand in the way of a migration while it runs, if its virtio_net" in checked.seen
    assert "PCI device" not in checked.seen


def test_other_devices_of_the_host_may_stand_in_the_way() -> None:
    found = paired()
    found.libvirt.domains["web1"].hardware.hostdevs = 3  # type: ignore[union-attr]
    (checked,) = [item for item in diagnose(found, platform()).checked if item.subject == "live migration"]
    assert "2 other PCI devices of the host that it has may" in checked.seen


def test_the_bridge_has_to_be_there() -> None:
    found = paired()
    for bridges, broken in ((None, False), (["br0"], False), (["br1"], True)):
        found.bridges = bridges
        report = diagnose(found, platform())
        told = [item.seen for item in report.findings if item.code == "failover-broken"]
        assert bool(told) is broken
        assert any(item.subject == "live migration" for item in report.checked) is not broken
    assert "ua-standby-a is on the bridge br0, which the host doesn't have" in told[0]


def test_a_broken_pair_is_told_with_the_address_of_a_declared_guest() -> None:
    text = '[pf.int]\nmatch.name = "enp1s0"\n[domain."web.1"]\nroot_ports = 1\n'
    found = paired(alias="net5")
    web1 = found.libvirt.domains.pop("web1")
    web1.name, found.libvirt.domains["web.1"] = "web.1", web1
    findings = diagnose(found, platform(), desired(text)).findings
    (finding,) = [item for item in findings if item.code == "failover-broken"]
    assert (finding.address, finding.line) == ('domain."web.1"', 4)
    assert examine(found, platform())["failover-broken"].address == ""


def test_a_vf_whose_driver_saves_its_state_needs_none() -> None:
    found = sound()
    found.pfs["pci/0000:01:00.0"].vfs[0].driver = "mlx5_vfio_pci"
    assert "no-live-migration" not in examine(found, platform())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"alias": "net5"}, "net0 names ua-standby-a, which is not there"),
        ({"teaming": ""}, "net0 names ua-standby-a, which is no half of a pair"),
        ({"mac": "52:54:00:00:01:77"}, "net0 has the MAC 52:54:00:00:01:00 and ua-standby-a has 52:54:00:00:01:77"),
    ],
)
def test_broken_pairs(changes: dict[str, object], told: str) -> None:
    finding = examine(paired(**changes), platform())["failover-broken"]
    assert finding.severity == "warning"
    assert told in finding.seen


def test_half_a_pair_is_left() -> None:
    found = paired()
    found.libvirt.domains["web1"].live[0].partner = None
    assert "ua-standby-a stands in for no VF" in examine(found, platform())["failover-broken"].seen


def test_the_mac_of_a_plain_hostdev_is_that_of_its_vf() -> None:
    found = paired(mac="52:54:00:00:01:77")
    nic = found.libvirt.domains["web1"].live[0]
    nic.method, nic.mac, nic.vf_address = "hostdev", None, VF1
    vf = found.pfs["pci/0000:01:00.0"].vfs[1]
    assert vf.attributes is not None
    vf.attributes["mac"] = "52:54:00:00:01:77"
    assert "failover-broken" not in examine(found, platform())
    vf.attributes["mac"] = "52:54:00:00:01:78"
    assert "52:54:00:00:01:78" in examine(found, platform())["failover-broken"].seen


def test_both_halves_need_a_slot() -> None:
    found = sound()
    found.libvirt.domains["web1"].hardware.free_root_ports = 1  # type: ignore[union-attr]
    text = '[pf.int]\nmatch.name = "enp1s0"\n[domain.web1.nic.b]\nvf = "int/1"\n'
    for failover, need in (("", 1), ('failover = { bridge = "br0" }\n', 2)):
        report = diagnose(found, platform(), desired(text + failover))
        findings = {item.code: item for item in report.findings if item.subject == "guest web1"}
        assert ("no-free-root-port" in findings) is (need == 2)
    assert "gives it 2 more NICs" in findings["no-free-root-port"].seen
    assert "root_ports = 2" in findings["no-free-root-port"].todo


@pytest.mark.parametrize(("version", "told"), [(6_000_000, True), (6_001_000, True), (7_001_000, False)])
def test_a_libvirt_that_knows_no_pairs_is_told_to_a_file_that_wants_them(version: int, told: bool) -> None:
    found = sound()
    found.libvirt.version = version
    text = '[pf.int]\nmatch.name = "enp1s0"\n[domain.web1.nic.a]\nvf = "int/0"\n'
    for failover, expected in (("", False), ('failover = { bridge = "br0" }\n', told)):
        report = diagnose(found, platform(), desired(text + failover))
        assert any("teaming" in finding.seen for finding in report.findings) is expected
