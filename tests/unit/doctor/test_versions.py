"""What a version of libvirt lacks or gets wrong, and to whom that matters."""

from __future__ import annotations

import pytest

from reconciler.doctor.diagnose import diagnose
from reconciler.host.model import Snapshot
from tests.hosts import desired
from tests.unit.doctor.samples import platform, sound

CARD = '[pf.int]\nmatch = { name = "enp1s0" }\nvfs = 2\n'
NIC = CARD + '[domain.web1.nic.a]\nvf = "int/1"\nmac = "52:54:00:00:01:05"\n'


def told(snapshot: Snapshot, version: int, file: str = "") -> dict[str, str]:
    """Severity by the version that NEWS names."""
    snapshot.libvirt.version = version
    report = diagnose(snapshot, platform(), desired(file) if file else None)
    found = [item for item in report.findings if item.code in ("libvirt-known-bug", "libvirt-lacks")]
    assert all(item.why and item.todo.startswith("Update libvirt to") for item in found)
    return {item.seen.rpartition("NEWS ")[2].rstrip(")."): item.severity for item in found}


def autostarted() -> Snapshot:
    snapshot = sound()
    snapshot.libvirt.networks["p"].autostart = True
    return snapshot


def mellanox() -> Snapshot:
    snapshot = sound()
    snapshot.pfs["pci/0000:01:00.0"].driver = "mlx5_core"
    return snapshot


@pytest.mark.parametrize(
    ("first", "gone", "news", "severity"),
    [
        (5_004_000, 5_005_000, "5.5.0", "note"),
        (5_008_000, 5_009_000, "5.9.0", "note"),
        (6_000_000, 6_001_000, "6.1.0", "note"),
        (7_000_000, 7_001_000, "7.1.0", "note"),
        (6_008_000, 6_009_000, "6.9.0", "note"),
        (9_004_000, 9_005_000, "9.5.0", "warning"),
        (12_001_000, 12_002_000, "12.2.0", "warning"),
    ],
)
def test_each_ends_with_its_version(first: int, gone: int, news: str, severity: str) -> None:
    assert told(autostarted(), first)[news] == severity
    assert news not in told(autostarted(), gone)


@pytest.mark.parametrize(
    ("first", "gone", "news", "severity"),
    [
        (8_000_000, 8_001_000, "8.1.0", "warning"),
        (9_006_000, 9_007_000, "9.7.0", "note"),
        (9_007_000, 10_000_000, "10.0.0", "note"),
    ],
)
def test_some_matter_to_one_card_only(first: int, gone: int, news: str, severity: str) -> None:
    assert told(mellanox(), first)[news] == severity
    assert news not in told(mellanox(), gone)
    assert news not in told(sound(), first)


def test_what_a_host_does_not_use_is_not_told() -> None:
    assert "5.9.0" not in told(sound(), 5_008_000), "no pool has autostart"
    assert told(sound(), 11_003_000) == {}
    assert "12.2.0" not in told(sound(), 12_001_000, NIC), "the file has no pool"
    assert "12.2.0" in told(sound(), 12_001_000, CARD + '[pool.q]\npf = "int"\n')
    assert told(sound(), 5_000_000, CARD) == {}, "the file needs no libvirt"
    assert "6.1.0" not in told(sound(), 6_000_000, NIC)


def test_when_a_pool_is_started_by_itself_depends_on_the_version() -> None:
    snapshot = sound()
    snapshot.libvirt.networks["p"].active = False
    for version, once in ((5_008_000, False), (5_009_000, True)):
        snapshot.libvirt.version = version
        (finding,) = [item for item in diagnose(snapshot, platform()).findings if item.code == "pool-inactive"]
        assert ("once per boot" in finding.why) is once
