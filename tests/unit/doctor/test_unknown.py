"""What could not be looked at is named, and nothing is called ready then."""

from __future__ import annotations

from dataclasses import fields

import pytest

from reconciler.doctor.diagnose import diagnose
from reconciler.doctor.document import Report, report_to_json
from reconciler.host.model import Snapshot
from reconciler.host.platform import Platform
from reconciler.host.snapshot import SnapshotReader
from reconciler.report.doctor_text import render_doctor
from tests.hosts import desired
from tests.unit.doctor.samples import platform, sound

PF = "pci/0000:01:00.0"
CARD = '[pf.int]\nmatch = { name = "enp1s0" }\nvfs = 2\n'


def headline(report: Report) -> str:
    return render_doctor(report_to_json(report), color=False).split("\n")[0]


def unchecked(snapshot: Snapshot, facts: Platform, file: str = "") -> set[str]:
    report = diagnose(snapshot, facts, desired(file) if file else None)
    return {item.subject for item in report.unchecked}


def test_a_snapshot_without_the_platform_is_not_called_ready() -> None:
    snapshot = sound()
    report = diagnose(snapshot, SnapshotReader(snapshot).examine())
    assert report.verdict == "incomplete"
    assert {"IOMMU", "vfio", "KVM", "memory", "QEMU", "cards"} <= {i.subject for i in report.unchecked}
    assert headline(report).startswith("lab: no problem found in what could be read (2 notes); 8 things could not be")
    assert "take it again" in report.unread[0]


def test_a_platform_of_nulls_is_told_without_a_note_of_the_reader() -> None:
    report = diagnose(sound(), Platform())
    assert (report.verdict, report.unread) == ("incomplete", [])
    text = render_doctor(report_to_json(report), color=False)
    assert "? IOMMU: not known: the host's IOMMU groups" in text
    assert "ready" not in text.split("\n")[0]


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("iommu_groups", "IOMMU"),
        ("kvm", "KVM"),
        ("modules", "vfio"),
        ("capable", "cards"),
        ("qemu", "QEMU"),
        ("memory_total_kib", "memory"),
        ("huge_pages", "memory"),
        ("owners", "other owners"),
    ],
)
def test_each_fact_that_is_unknown_names_its_check(name: str, subject: str) -> None:
    facts = platform()
    assert unchecked(sound(), facts) == set()
    setattr(facts, name, None)
    assert subject in unchecked(sound(), facts)


def test_a_guest_whose_hardware_is_unknown() -> None:
    snapshot = sound()
    snapshot.libvirt.domains["web1"].hardware = None
    assert unchecked(snapshot, platform()) == {"memory", "root ports"}


@pytest.mark.parametrize(("name", "subject"), [("up", "links"), ("total_vfs", "cards")])
def test_so_does_what_is_unknown_of_a_card(name: str, subject: str) -> None:
    snapshot = sound()
    setattr(snapshot.pfs[PF], name, None)
    assert unchecked(snapshot, platform()) == {subject}


def test_unknown_modules_libvirt_version_and_groups_of_vfs() -> None:
    snapshot, facts = sound(), platform()
    snapshot.modules.blacklist = None
    snapshot.libvirt.version = None
    assert facts.iommu_groups is not None
    facts.iommu_groups = facts.iommu_groups[:1]
    assert unchecked(snapshot, facts) == {"VF driver", "libvirt", "IOMMU groups"}


def test_a_file_without_guests_lacks_nothing_that_it_does_not_need() -> None:
    report = diagnose(sound(), Platform(owners=[]), desired(CARD))
    assert (report.verdict, report.unchecked) == ("ok", [])
    assert headline(report) == "lab: ready for SR-IOV."


def test_a_problem_comes_first_and_what_was_left_out_is_told_all_the_same() -> None:
    facts = platform()
    facts.iommu_groups, facts.kvm = [], None
    report = diagnose(sound(), facts)
    assert report.verdict == "problems"
    assert headline(report) == "lab: not ready for SR-IOV (1 problem, 2 notes); 1 thing could not be checked."


def test_a_note_of_the_reader_alone_limits_what_is_said() -> None:
    facts = platform()
    facts.notes = ["/etc/sysfs.conf is large: only its first 256 KiB were searched."]
    report = diagnose(sound(), facts)
    assert report.verdict == "ok"
    assert headline(report) == "lab: ready for SR-IOV, as far as could be read (2 notes)."


def test_every_fact_of_the_platform_is_of_use_or_its_absence_harmless() -> None:
    """The facts that no check insists on: they only add to what another one says."""
    harmless = {"notes", "iommu_units", "cmdline", "cpu_vendor", "cpu_virtualisation", "services"}
    harmless |= {"memory_available_kib", "default_huge_page_kib"}
    for item in fields(Platform):
        facts = platform()
        setattr(facts, item.name, [] if item.name == "notes" else None)
        assert bool(unchecked(sound(), facts)) is (item.name not in harmless), item.name
