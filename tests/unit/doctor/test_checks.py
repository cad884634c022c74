"""Each check: silent on a sound host, and telling when one thing of it is broken."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reconciler.doctor.diagnose import diagnose
from reconciler.host.model import BlacklistEntry, Libvirt, Nic, Snapshot, Use
from reconciler.host.platform import CapableDevice, IommuGroup, OwnerLine, Platform, Service
from tests.hosts import desired, guest, host, igb
from tests.unit.doctor.samples import GIB, VF0, VF1, by_code, examine, platform, sound

PF = "pci/0000:01:00.0"
CARD = '[pf.int]\nmatch = { name = "enp1s0" }\nvfs = 2\n'
Breaks = Callable[[Snapshot, Platform], object]


def test_a_sound_host_has_no_problem_and_says_what_was_looked_at() -> None:
    report = diagnose(sound(), platform())
    assert {finding.severity for finding in report.findings} == {"note"}
    assert set(by_code(report)) == {"no-bridge-in-guest", "no-live-migration"}
    assert report.verdict == "ok"
    assert {"IOMMU", "vfio", "KVM", "cards", "links", "libvirt", "QEMU", "pools", "memory", "root ports"} <= {
        item.subject for item in report.checked
    }


def hardware(name: str, value: object) -> Breaks:
    return lambda host, _: setattr(host.libvirt.domains["web1"].hardware, name, value)


def put(name: str, value: object) -> Breaks:
    return lambda _, facts: setattr(facts, name, value)


def blacklisted(host: Snapshot, _: Platform) -> None:
    host.modules.loaded = ["igbvf"]
    host.modules.blacklist = [BlacklistEntry("igbvf", "/etc/modprobe.d/a.conf", 3)]


def in_bridge(host: Snapshot, _: Platform) -> None:
    host.pfs[PF].vfs[1].uses = [Use("master", "br0")]


def many(count: int) -> Breaks:
    def have(host: Snapshot, _: Platform) -> None:
        host.libvirt.domains["big"] = guest("big", config=[Nic("hostdev", f"ua-{n}") for n in range(count)])

    return have


def by_address(host: Snapshot, _: Platform) -> None:
    host.libvirt.domains["db1"] = guest("db1", config=[Nic("interface", "ua-x", "52:54:00:00:01:09", VF1)])


def owner(makes: bool) -> Breaks:
    line = OwnerLine("rc.local", "/etc/rc.local", 2, "echo 4 >…", ["enp1s0"], makes)
    return put("owners", [line])


@pytest.mark.parametrize(
    ("breaks", "code", "severity", "says"),
    [
        (put("iommu_groups", []), "iommu-off", "problem", "dmar0"),
        (put("kvm", False), "no-kvm", "problem", "/dev/kvm"),
        (put("modules", {"vfio": "loaded", "vfio_pci": "missing"}), "vfio-missing", "problem", "vfio_pci"),
        (
            put("iommu_groups", [IommuGroup(1, "DMA", ["0000:01:00.0", VF0, VF1])]),
            "group-shared",
            "problem",
            f"0000:01:00.0, {VF0}",
        ),
        (put("iommu_groups", [IommuGroup(1, "DMA-FQ", ["0000:01:00.0"])]), "iommu-translates", "note", "DMA-FQ"),
        (
            put("capable", [CapableDevice("0000:09:00.0", 64, False, "ixgbe", ["eth9"])]),
            "no-room-for-vfs",
            "problem",
            "64 VFs",
        ),
        (put("capable", [CapableDevice("0000:09:00.0", 64, True)]), "card-without-driver", "problem", "0000:09:00.0"),
        (lambda host, _: setattr(host.pfs[PF], "total_vfs", 0), "no-vfs-possible", "problem", "enp1s0"),
        (lambda host, _: setattr(host.pfs[PF], "up", False), "pf-down", "problem", "enp1s0 is down"),
        (blacklisted, "vf-driver-loaded", "problem", "/etc/modprobe.d/a.conf:3"),
        (lambda host, _: setattr(host.modules, "loaded", ["igbvf"]), "vf-driver-takes-vfs", "note", "enp1s0"),
        (owner(True), "another-owner", "problem", "/etc/rc.local:2"),
        (owner(False), "pf-configured-elsewhere", "note", "/etc/rc.local:2"),
        (put("services", {"NetworkManager": Service(True, True)}), "networkmanager-runs", "note", "NetworkManager"),
        (
            lambda host, _: setattr(host, "libvirt", Libvirt(reason="Refused.")),
            "libvirt-unreachable",
            "problem",
            "Refused.",
        ),
        (lambda host, _: setattr(host.libvirt, "version", 12001000), "libvirt-known-bug", "warning", "12.1.0"),
        (put("qemu", 0), "no-qemu", "problem", "QEMU"),
        (lambda host, _: host.libvirt.networks["p"].ports.clear(), "pool-forgot", "problem", f"{VF0} by guest web1"),
        (lambda host, _: setattr(host.libvirt.networks["p"], "active", False), "pool-inactive", "warning", "autostart"),
        (by_address, "pool-vf-by-address", "warning", VF1),
        (
            lambda host, _: setattr(host.pfs[PF].vfs[1], "saved", {"mac": "52:54:00:00:00:07"}),
            "vf-not-given-back",
            "warning",
            "VF 1 of enp1s0",
        ),
        (put("memory_total_kib", 3 * GIB), "memory-too-small", "problem", "4.0 GiB"),
        (
            hardware("hard_limit_kib", 4 * GIB),
            "hard-limit-too-low",
            "problem",
            "hard_limit",
        ),
        (hardware("free_root_ports", 0), "no-free-root-port", "warning", "web1"),
        (many(33), "too-many-vfs-in-guest", "warning", "33"),
        (many(65), "too-many-vfs-in-guest", "problem", "65"),
        (in_bridge, "vf-in-bridge", "warning", "br0"),
    ],
)
def test_what_is_broken_is_found(breaks: Breaks, code: str, severity: str, says: str) -> None:
    snapshot, facts = sound(), platform()
    breaks(snapshot, facts)
    finding = examine(snapshot, facts)[code]
    assert finding.severity == severity
    assert says in finding.seen
    assert finding.why
    assert finding.todo


def test_qemu_that_is_too_old_for_its_libvirt() -> None:
    snapshot, facts = sound(), platform()
    facts.qemu = 7_001_000
    assert "qemu-too-old" not in examine(snapshot, facts)
    snapshot.libvirt.version = 12_004_000
    assert "7.2.0" in examine(snapshot, facts)["qemu-too-old"].seen


@pytest.mark.parametrize(("version", "has"), [(9_004_000, True), (9_005_000, False), (12_002_000, False)])
def test_a_known_bug_ends_with_the_version_that_mends_it(version: int, has: bool) -> None:
    snapshot = sound()
    snapshot.libvirt.version = version
    assert ("libvirt-known-bug" in examine(snapshot, platform())) is has


def test_what_to_do_about_an_iommu_depends_on_what_was_asked_of_the_kernel() -> None:
    facts = platform()
    facts.iommu_groups = []
    assert "it had no effect" in examine(sound(), facts)["iommu-off"].todo
    facts.cmdline = "quiet intel_iommu=off"
    assert "started with intel_iommu=off: take that out" in examine(sound(), facts)["iommu-off"].todo
    facts.cmdline = "quiet"
    assert "add intel_iommu=on iommu=pt" in examine(sound(), facts)["iommu-off"].todo
    facts.cpu_vendor = "AuthenticAMD"
    assert "AMD-Vi" in examine(sound(), facts)["iommu-off"].todo


def test_a_machine_without_a_card_has_one_finding() -> None:
    report = diagnose(host(), Platform(capable=[], notes=["libvirt is not there."]))
    (finding,) = report.findings
    assert (finding.code, report.verdict) == ("no-card", "problems")
    assert finding.seen == "This machine has no network card that can make VFs."


def test_a_file_without_guests_needs_neither_libvirt_nor_iommu() -> None:
    snapshot, facts = sound(), platform()
    snapshot.libvirt, facts.iommu_groups, facts.kvm = Libvirt(reason="Refused."), [], False
    assert by_code(diagnose(snapshot, facts, desired(CARD))) == {}
    guests = desired(CARD + '[domain.web1.nic.a]\nvf = "int/1"\nmac = "52:54:00:00:01:05"\n')
    assert {"libvirt-unreachable", "iommu-off", "no-kvm"} <= set(by_code(diagnose(snapshot, facts, guests)))


def test_a_file_that_mends_a_thing_makes_a_note_of_it() -> None:
    snapshot, facts = sound(), platform()
    blacklisted(snapshot, facts)
    snapshot.pfs[PF].up = False
    file = desired('[modules]\nblacklist = ["igbvf"]\n' + CARD + 'link = "up"\n')
    found = by_code(diagnose(snapshot, facts, file))
    assert (found["vf-driver-loaded"].severity, found["pf-down"].severity) == ("note", "note")
    assert (found["pf-down"].address, found["pf-down"].line) == ("pf.int", 4)


def test_a_file_that_does_not_fit_is_told_as_by_the_plan() -> None:
    report = diagnose(sound(), platform(), desired(CARD.replace("vfs = 2", "vfs = 9")))
    (problem,) = [finding for finding in report.findings if finding.severity == "problem"]
    assert problem.address == "pf.int"
    assert "9" in problem.seen
    assert problem.todo.startswith("Declare at most that many")
    assert "state file" not in {item.subject for item in report.checked}


def long_group(host: Snapshot, facts: Platform) -> None:
    facts.iommu_groups = [IommuGroup(1, "DMA", ["0000:01:00.0", *(f"0000:01:10.{n}" for n in range(62))])]


def test_of_a_large_group_only_a_few_devices_are_named() -> None:
    snapshot, facts = sound(), platform()
    long_group(snapshot, facts)
    seen = examine(snapshot, facts)["group-shared"].seen
    assert seen.count("0000:") == 4
    assert "and 59 more" in seen


@pytest.mark.parametrize(
    ("others", "warns"),
    [([], False), (["0000:01:00.1"], False), (["0000:00:01.0"], True), (["0000:00:01.0", "0000:01:00.1"], True)],
)
def test_a_card_without_vfs_is_judged_by_who_else_is_in_its_group(others: list[str], warns: bool) -> None:
    """Another function of the card says nothing about VFs; a port above it, or another card, does."""
    snapshot, facts = host(igb(1, up=True, carrier=True)), platform()
    facts.iommu_groups = [IommuGroup(1, "identity", ["0000:01:00.0", *others])]
    report = diagnose(snapshot, facts)
    assert ("group-will-be-shared" in by_code(report)) is warns
    assert ("IOMMU groups" in {item.subject for item in report.checked}) is not warns
    assert "group-shared" not in by_code(report)


@pytest.mark.parametrize(
    ("file", "severity"),
    [
        ("", "note"),
        ("vfs = 0\n", "note"),
        ("vfs = 2\n", "warning"),
        ('vfs = 2\nlink = "up"\n', "note"),
        ('vfs = 2\n[pool.p]\npf = "int"\n', "problem"),
        ('vfs = 2\n[domain.db1.nic.a]\nvf = "int/1"\nmac = "52:54:00:00:01:05"\n', "problem"),
        ('vfs = 2\nlink = "down"\n[domain.db1.nic.a]\nvf = "int/1"\nmac = "52:54:00:00:01:05"\n', "problem"),
        ('vfs = 2\n[domain.db1.nic.a]\npf = "int"\nmethod = "hostdev"\nmac = "52:54:00:00:01:05"\n', "warning"),
        ('vfs = 2\n[domain.db1.nic.a]\nvf = "int/1"\nstate = "absent"\n', "warning"),
    ],
)
def test_a_pf_that_is_down_is_a_problem_to_whoever_needs_it(file: str, severity: str) -> None:
    down = igb(1, 0, up=False)
    report = diagnose(
        host(down, domains=[guest("db1")]), platform(), desired('[pf.int]\nmatch = { name = "enp1s0" }\n' + file)
    )
    finding = by_code(report)["pf-down"]
    assert finding.severity == severity
    assert (report.verdict == "problems") is (severity == "problem")


def test_a_link_that_is_declared_down_and_not_needed_is_nobodys_trouble() -> None:
    snapshot = host(igb(1, up=False))
    file = desired('[pf.int]\nmatch = { name = "enp1s0" }\nlink = "down"\nvfs = 2\n')
    assert "pf-down" not in by_code(diagnose(snapshot, platform(), file))


def test_ports_are_counted_against_what_the_file_adds() -> None:
    nics = "".join(f'[domain.web1.nic.n{i}]\npf = "int"\nmac = "52:54:00:00:02:0{i}"\n' for i in range(3))
    found = by_code(diagnose(sound(), platform(), desired(CARD.replace("2", "2") + nics)))
    assert found["no-free-root-port"].severity == "problem"
    assert "3 more NICs" in found["no-free-root-port"].seen


def test_a_networkmanager_that_is_kept_off_is_no_news() -> None:
    snapshot, facts = sound(), platform()
    facts.services = {"NetworkManager": Service(True, True)}
    assert "networkmanager-runs" in by_code(diagnose(snapshot, facts))
    snapshot.host_network.ignored = list(snapshot.pfs)
    assert "networkmanager-runs" not in by_code(diagnose(snapshot, facts))
