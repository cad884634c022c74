"""Whether a state file fits: whose it is, what its plan says, what apply would refuse; each in three parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.doctor.diagnose import diagnose
from reconciler.doctor.document import Report
from reconciler.host.model import Nic, Process, Snapshot, Use
from reconciler.host.snapshot import load as load_snapshot
from reconciler.state.load import load
from tests.hosts import desired, guest, host, igb
from tests.unit.doctor.samples import by_code, platform, sound

CASES = Path(__file__).parents[2] / "cases"
CARD = '[pf.int]\nmatch = { name = "enp1s0" }\nlink = "up"\n'


def fits(report: Report) -> bool:
    return any("fits this host" in item.seen for item in report.checked)


def examined(snapshot: Snapshot, file: str) -> Report:
    return diagnose(snapshot, platform(), desired(file))


def test_a_file_of_another_host() -> None:
    report = examined(sound(), '[host]\nname = "r620-01"\n' + CARD)
    finding = by_code(report)["another-host"]
    assert (finding.severity, finding.address, finding.line) == ("problem", "host", 2)
    assert "'r620-01' and this is 'lab'" in finding.seen
    assert not fits(report)
    assert report.verdict == "problems"
    assert fits(examined(sound(), '[host]\nname = "lab"\n' + CARD))


def test_a_file_of_another_host_on_a_machine_without_cards() -> None:
    report = examined(host(), '[host]\nname = "r620-01"\n' + CARD)
    assert "another-host" in by_code(diagnose(host(), platform(), desired('[host]\nname = "r620-01"\n' + CARD)))
    assert not fits(report)


def test_what_takes_an_allow_is_a_warning_that_names_it() -> None:
    snapshot = host(igb(1, 0, up=True, uses=[Use("address", "192.0.2.1/24")]))
    report = examined(snapshot, CARD + "vfs = 2\n")
    finding = by_code(report)["apply-refuses"]
    assert (finding.severity, finding.address) == ("warning", "policy")
    assert "is of class management: enp1s0: address 192.0.2.1/24" in finding.seen
    assert "a PF that the host itself uses may lose its link" in finding.why
    assert "--allow management" in finding.todo
    assert "--allow" not in finding.seen
    assert fits(report)
    allowed = examined(snapshot, '[policy]\ndisruption = "management"\n' + CARD + "vfs = 2\n")
    assert "apply-refuses" not in by_code(allowed)


@pytest.mark.parametrize(
    ("by", "todo"), [("guest", "`virsh detach-device-alias web1 net0 --live`"), ("process", "Have it let go")]
)
def test_vfs_that_somebody_has_and_that_would_have_to_go(by: str, todo: str) -> None:
    snapshot = host(igb(1, 2, up=True))
    if by == "guest":
        nic = Nic("interface", "net0", "52:54:00:00:01:00", "0000:01:10.0")
        snapshot.libvirt.domains["web1"] = guest("web1", running=True, live=[nic], config=[nic])
    else:
        snapshot.pfs["pci/0000:01:00.0"].vfs[0].driver = "vfio-pci"
        snapshot.vfio_open = {100: [Process(7, "dpdk")]}
    report = examined(snapshot, CARD + "vfs = 4\n")
    finding = by_code(report)["vf-held"]
    assert finding.severity == "problem"
    assert todo in finding.todo
    assert not fits(report)


def test_a_pf_that_is_declared_down_under_its_guests_does_not_fit() -> None:
    file = CARD.replace("up", "down") + 'vfs = 2\n[domain.web1.nic.b]\nvf = "int/1"\nmac = "52:54:00:00:01:09"\n'
    report = examined(sound(), file)
    assert by_code(report)["pf-down"].severity == "problem"
    assert not fits(report)


@pytest.mark.parametrize(
    ("file", "code", "seen", "todo"),
    [
        (CARD + "vfs = 9\n", "too-many-vfs", "sriov_totalvfs of enp1s0", "Declare at most that many"),
        (CARD.replace("enp1s0", "eth9"), "pf-not-found", "PFs here: enp1s0", "Correct the match"),
        (CARD + "[domain.no]\n", "domain-not-found", "There is no domain 'no'", "Define it, correct the name"),
        (
            "[policy]\nmax_vfs_per_domain = 1\n"
            + CARD
            + '[domain.web1.nic.b]\nvf = "int/1"\nmac = "52:54:00:00:01:09"\n',
            "too-many-vfs-in-guest",
            "would have 2 VFs",
            "raise policy.max_vfs_per_domain",
        ),
    ],
)
def test_what_the_plan_says_in_three_parts(file: str, code: str, seen: str, todo: str) -> None:
    finding = by_code(examined(sound(), file))[code]
    assert seen in finding.seen
    assert "blocks the plan" in finding.why
    assert todo in finding.todo
    assert finding.todo not in finding.seen


@pytest.mark.parametrize("folder", sorted(CASES.glob("*/desired.toml")), ids=lambda path: path.parent.name)
def test_every_finding_has_all_three_parts(folder: Path) -> None:
    observed = load_snapshot((folder.parent / "observed.json").read_bytes(), "observed.json")
    report = diagnose(observed, platform(), load("desired.toml", folder.read_bytes()))
    assert report.findings or report.checked
    for finding in report.findings:
        assert all((finding.seen, finding.why, finding.todo)), finding.code
        assert finding.seen[-1] in ".)", finding.seen
