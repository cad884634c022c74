"""The kernel's arguments on a simulated host, through the commands: written, rebooted, in effect or not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.apply.ledger import read_ledger
from reconciler.cli.main import main
from reconciler.host.twin import boot, cmdline, faults
from reconciler.host.twin.look import look
from reconciler.host.twin.make import from_snapshot
from reconciler.host.twin.profiles import from_profile, read_profile
from reconciler.host.twin.state import Fault, Twin, load, save
from tests.unit.cli.inside import Inside

FILE = 'schema = 1\n[kernel]\ncmdline = ["intel_iommu=on", "iommu=pt"]\n'


def off(*, firmware: bool = True) -> Twin:
    """A host that was started without."""
    profile = read_profile("igb-lab")
    twin = from_profile(replace(profile, host=replace(profile.host, cmdline="quiet", iommu=False)), "igb-lab")
    twin.iommu_in_firmware = firmware
    return twin


class Desk:
    """The command line on a simulated host in a file."""

    def __init__(self, folder: Path, twin: Twin) -> None:
        self.host, self.file = folder / "host.json", folder / "host.toml"
        save(twin, self.host)
        self.file.write_text(FILE)

    def __call__(self, *words: str) -> int:
        try:
            return main(["--host", f"sim:{self.host}", *words, str(self.file)]) or 0
        except SystemExit as stop:
            return int(stop.code or 0)

    @property
    def twin(self) -> Twin:
        return load(self.host.read_bytes(), str(self.host))

    def reboot(self) -> None:
        twin = self.twin
        boot.reboot(twin)
        save(twin, self.host)


def test_written_once_and_in_effect_after_the_reboot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk(tmp_path, off())
    assert desk("apply", "--yes") == 0
    assert "A reboot is needed" in capsys.readouterr().out
    writes = desk.twin.writes
    assert (desk("apply", "--yes"), desk("drift"), desk.twin.writes) == (0, 0, writes)
    assert "pending-reboot" in capsys.readouterr().out
    assert not desk.twin.iommu
    desk.reboot()
    assert desk.twin.iommu
    assert (desk("plan", "--detailed-exitcode"), desk("drift")) == (0, 0)
    assert "pending-reboot" not in capsys.readouterr().out


def test_a_reboot_that_did_not_bring_it_is_an_error_and_no_loop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = Desk(tmp_path, off(firmware=False))
    assert desk("apply", "--yes") == 0
    desk.reboot()
    writes = desk.twin.writes
    assert (desk("apply", "--yes"), desk("plan"), desk("drift"), desk.twin.writes) == (1, 1, 2, writes)
    assert "Switch on VT-d (Intel) or AMD-Vi" in capsys.readouterr().out
    assert desk("apply", "--yes", "--partial") == 4
    ledger, _ = read_ledger(tmp_path / "host.json.state")
    assert ledger["kernel.cmdline"]["effect"].boot_id != desk.twin.host.boot_id


def test_a_run_that_was_killed_is_caught_up_with(tmp_path: Path) -> None:
    """What an earlier boot brought, and somebody took out, says nothing of what a killed run has written now."""
    desk = Desk(tmp_path, off())
    desk.file.write_text('schema = 1\n[kernel]\ncmdline = ["nosmt"]\n')
    assert desk("apply", "--yes") == 0
    desk.reboot()
    assert desk("apply", "--yes") == 0
    twin = desk.twin
    cmdline.set_own(twin, None)
    boot.reboot(twin)
    faults.inject(twin, Fault(2, "crash"))
    save(twin, desk.host)
    desk.file.write_text(f'{desk.file.read_text()}[services]\nirqbalance = "stopped"\n')
    (tmp_path / "elsewhere").mkdir()
    killed = Inside(tmp_path / "elsewhere").run_killed("--host", f"sim:{desk.host}", "apply", "--yes", str(desk.file))
    assert killed.returncode != 0, killed.stdout
    assert desk.twin.boot.own == ["nosmt"]
    assert (desk("apply", "--yes"), desk("drift")) == (0, 0)
    desk.reboot()
    assert (desk("plan", "--detailed-exitcode"), desk("drift")) == (0, 0)


def test_taken_back(tmp_path: Path) -> None:
    desk = Desk(tmp_path, off())
    assert desk("apply", "--yes") == 0
    assert desk.twin.boot.own == ["intel_iommu=on", "iommu=pt"]
    with pytest.raises(SystemExit) as stop:
        main(["--host", f"sim:{desk.host}", "rollback", "--yes"])
    assert stop.value.code in (0, None)
    assert (desk.twin.boot.own, desk.twin.boot.next) == (None, ["quiet"])


def test_without_a_boot_loader(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twin = off()
    twin.boot.loader, twin.boot.next, twin.boot.trouble = "", None, "no boot loader is known here."
    desk = Desk(tmp_path, twin)
    assert (desk("apply", "--yes"), desk.twin.writes) == (1, 0)
    assert "no boot loader is known here" in capsys.readouterr().out


@pytest.mark.parametrize("after", [False, True])
def test_what_fails_is_one_error_and_all_is_as_it_was(
    after: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = off()
    twin.faults = [Fault(1, "errno", 28, after)]
    desk = Desk(tmp_path, twin)
    assert desk("apply", "--yes") == 1
    assert "No space left on device. All is as it was." in capsys.readouterr().out
    assert (desk.twin.boot.own, desk.twin.boot.next) == (None, ["quiet"])
    assert desk("apply", "--yes") == 0


def test_a_twin_of_a_host_starts_as_that_did() -> None:
    for running, in_effect, firmware in (("intel_iommu=on", True, True), ("quiet", True, True), ("quiet", False, True)):
        twin = off()
        twin.boot.running, twin.iommu = running.split(), in_effect
        snapshot = look(twin)
        snapshot.platform = twin.platform
        snapshot.platform.iommu_groups = snapshot.platform.iommu_groups if in_effect else []
        copy = from_snapshot(snapshot)
        copy.boot.next = list(copy.boot.running or [])
        boot.reboot(copy)
        assert (copy.iommu, copy.iommu_in_firmware) == (in_effect, firmware)
        assert bool(cmdline.look(copy).groups) == in_effect
