"""VFs for vfio-pci while the IOMMU is off: left until the reboot that switches it on, or an error that says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.host.model import BootArguments, Snapshot
from reconciler.plan.drift import find_drift
from reconciler.plan.planner import make_plan
from tests.hosts import desired, host, igb
from tests.unit.host.twin.test_cmdline import Desk, off

PF = '[pf.a]\nmatch = { name = "enp1s0" }\nvfs = 2\nvf_driver = "vfio-pci"\n'
ARGUMENT = '[kernel]\ncmdline = ["intel_iommu=on"]\n'


def without(vfs: int, *, groups: int | None = 0, running: str = "quiet", configured: str = "quiet") -> Snapshot:
    found = host(igb(1, vfs))
    for pf in found.pfs.values():
        pf.autoprobe = False
    found.boot = BootArguments(
        running=running.split(), next=configured.split(), loader="GRUB", groups=groups, since_boot=running != configured
    )
    return found


@pytest.mark.parametrize("vfs", [0, 2])
def test_where_nothing_switches_it_on_no_bind_is_tried(vfs: int) -> None:
    found = make_plan(desired(PF), without(vfs))
    assert found.verdict == "blocked"
    assert [(d.code, d.address) for d in found.diagnostics if d.severity == "error"] == [
        ("iommu-off", "pf.a.vf.0"),
        ("iommu-off", "pf.a.vf.1"),
    ]
    rest = make_plan(desired(PF), without(vfs), partial=True)
    assert "vf.bind" not in [action.op for action in rest.actions]
    assert ("pf.set_numvfs" in [action.op for action in rest.actions]) == (vfs == 0)


@pytest.mark.parametrize("vfs", [0, 2])
def test_where_an_argument_waits_the_binds_wait_with_it(vfs: int) -> None:
    for configured in ("quiet", "quiet intel_iommu=on"):
        found = make_plan(desired(ARGUMENT + PF), without(vfs, configured=configured))
        assert found.verdict == ("in-sync" if vfs and configured != "quiet" else "changes")
        assert "vf.bind" not in [action.op for action in found.actions]
        assert [d.address for d in found.diagnostics if d.code == "pending-reboot"] == ["pf.a", "kernel.cmdline"]
        assert found.summary.reboot
    drift = find_drift(desired(ARGUMENT + PF), without(2, configured="quiet intel_iommu=on"))
    assert drift.counts["pending-reboot"] == 3
    assert drift.verdict != "drift"


def test_an_argument_that_did_not_help_is_no_reason_to_wait() -> None:
    started = without(2, running="intel_iommu=on", configured="intel_iommu=on")
    codes = {d.code for d in make_plan(desired(ARGUMENT + PF), started).diagnostics if d.severity == "error"}
    assert codes == {"iommu-off", "kernel-argument-without-effect"}


@pytest.mark.parametrize("groups", [None, 3])
def test_on_or_not_known_they_are_bound(groups: int | None) -> None:
    found = make_plan(desired(PF), without(2, groups=groups))
    assert [action.op for action in found.actions] == ["vf.bind", "vf.bind"]
    assert found.verdict == "changes"


def test_through_the_reboot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On a simulated host, whose vfio-pci refuses a VF without an IOMMU as the kernel's does."""
    desk = Desk(tmp_path, off())
    desk.file.write_text(f"schema = 1\n{PF}".replace("enp1s0", next(iter(desk.twin.pfs.values())).netdev))
    assert desk("plan") == 1
    assert "while the IOMMU is off" in capsys.readouterr().out
    desk.file.write_text(desk.file.read_text() + ARGUMENT)
    assert desk("apply", "--yes", "--allow", "management") == 0
    assert "bound to vfio-pci after a reboot" in capsys.readouterr().out
    assert desk("drift") == 0
    desk.reboot()
    assert desk("apply", "--yes", "--allow", "management") == 0
    assert [vf.driver for pf in desk.twin.pfs.values() for vf in pf.vfs] == ["vfio-pci", "vfio-pci"]
