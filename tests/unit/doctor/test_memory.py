"""Memory that is pinned: in ordinary and in huge pages, and its limit."""

from __future__ import annotations

import pytest

from reconciler.doctor.diagnose import diagnose
from reconciler.doctor.document import Finding
from reconciler.host.model import GuestHardware, Nic, Snapshot
from reconciler.host.platform import HugePages, Platform
from tests.hosts import desired, guest
from tests.unit.doctor.samples import GIB, by_code, platform, sound


def host_with(hardware: GuestHardware, *, running: bool = False) -> tuple[Snapshot, Platform]:
    """web1 has 4 GiB in ordinary pages and runs; big has a VF by its address."""
    snapshot, facts = sound(), platform()
    snapshot.libvirt.domains["big"] = guest("big", running=running, config=[Nic("hostdev", "ua-x")])
    snapshot.libvirt.domains["big"].hardware = hardware
    return snapshot, facts


def found(snapshot: Snapshot, facts: Platform) -> dict[str, Finding]:
    return by_code(diagnose(snapshot, facts))


def test_a_guest_that_is_off_needs_free_memory() -> None:
    snapshot, facts = host_with(GuestHardware(10 * GIB))
    assert "10.0 GiB at once, and 8.0 GiB are available" in found(snapshot, facts)["memory-not-free"].seen
    snapshot, facts = host_with(GuestHardware(10 * GIB), running=True)
    assert "memory-not-free" not in found(snapshot, facts)


@pytest.mark.parametrize("size", [2048, 0])
def test_a_guest_in_huge_pages_needs_free_huge_pages_and_no_others(size: int) -> None:
    snapshot, facts = host_with(GuestHardware(10 * GIB, huge_page_kib=size))
    facts.memory_total_kib, facts.memory_available_kib, facts.default_huge_page_kib = 16 * GIB, GIB, 2048
    facts.huge_pages = [HugePages(2048, 5120, 5120), HugePages(GIB, 0, 0)]
    report = diagnose(snapshot, facts)
    assert {"memory-not-free", "memory-too-small", "huge-pages-too-few"}.isdisjoint(by_code(report))
    assert any("10.0 GiB in huge pages for 1 guest" in item.seen for item in report.checked)
    facts.huge_pages[0].free = 5000
    assert "9.8 GiB are free" in found(snapshot, facts)["memory-not-free"].seen
    facts.huge_pages[0].total = 5119
    problem = found(snapshot, facts)["huge-pages-too-few"]
    assert problem.severity == "problem"
    assert "at least 5120 pages" in problem.todo


def test_a_size_that_the_host_does_not_have_is_a_problem_and_one_that_is_unknown_is_said() -> None:
    snapshot, facts = host_with(GuestHardware(GIB, huge_page_kib=GIB))
    facts.huge_pages = [HugePages(2048, 5120, 5120)]
    assert "the host has 0 MiB" in found(snapshot, facts)["huge-pages-too-few"].seen
    snapshot, facts = host_with(GuestHardware(GIB, huge_page_kib=0))
    report = diagnose(snapshot, facts)
    assert [(item.subject, item.missing) for item in report.unchecked] == [("memory", "the huge pages for big")]


def test_what_huge_pages_take_is_not_there_for_others() -> None:
    snapshot, facts = sound(), platform()
    facts.memory_total_kib, facts.huge_pages = 16 * GIB, [HugePages(GIB, 13, 13)]
    assert "the host 3.0 GiB" in found(snapshot, facts)["memory-too-small"].seen


@pytest.mark.parametrize(
    ("hostdevs", "viommu", "limit_gib", "low"),
    [(3, False, 5, False), (3, False, 4, True), (3, True, 5, True), (3, True, 13, False), (1, True, 5, False)],
)
def test_the_hard_limit_counts_memory_once_per_device_behind_a_viommu(
    hostdevs: int, viommu: bool, limit_gib: int, low: bool
) -> None:
    hardware = GuestHardware(4 * GIB, limit_gib * GIB, viommu=viommu, hostdevs=hostdevs)
    findings = found(*host_with(hardware))
    assert ("hard-limit-too-low" in findings) is low
    if low and viommu:
        assert "above 13.0 GiB" in findings["hard-limit-too-low"].todo


def test_devices_that_the_file_adds_count_for_the_limit() -> None:
    snapshot, facts = host_with(GuestHardware(4 * GIB, 5 * GIB, viommu=True, hostdevs=1))
    file = '[pf.int]\nmatch = { name = "enp1s0" }\n[domain.big.nic.a]\nvf = "int/1"\nmac = "52:54:00:00:01:05"\n'
    finding = by_code(diagnose(snapshot, facts, desired(file)))["hard-limit-too-low"]
    assert "2 devices" in finding.seen
    assert finding.address == "domain.big"
    snapshot.libvirt.domains["big"].config[0].mac = "52:54:00:00:01:05"
    assert "hard-limit-too-low" not in by_code(diagnose(snapshot, facts, desired(file)))


@pytest.mark.parametrize(("version", "warns"), [(8_006_000, True), (8_007_000, False)])
def test_libvirts_own_limit_of_a_guest_with_a_viommu(version: int, warns: bool) -> None:
    snapshot, facts = host_with(GuestHardware(4 * GIB, viommu=True, hostdevs=2))
    snapshot.libvirt.version = version
    assert ("limit-of-pinned-memory" in found(snapshot, facts)) is warns
    snapshot, facts = host_with(GuestHardware(4 * GIB, hostdevs=2))
    snapshot.libvirt.version = version
    assert "limit-of-pinned-memory" not in found(snapshot, facts)
