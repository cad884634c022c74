"""The kernel's arguments, with a real GRUB and real reboots: what is missing is said, written once, and in effect after
the reboot; what a reboot did not bring is not tried for ever. One host goes through all of it in the order of this
file."""

from __future__ import annotations

import pytest

from tests.lab.conftest import Host

DROP_IN = "/etc/default/grub.d/60-reconciler.cfg"
IOMMU = """
schema = 1
[kernel]
cmdline = ["intel_iommu=on", "iommu=pt"]
"""
OTHER = """
schema = 1
[kernel]
cmdline = ["transparent_hugepage=madvise"]
"""


def menu(host: Host) -> list[str]:
    """The arguments of every kernel in GRUB's menu."""
    return host.sh(r"grep -h '^[[:blank:]]*linux[[:blank:]]' /boot/grub/grub.cfg").splitlines()


def written(host: Host) -> str:
    """Every file that there is to write, with its time."""
    return host.sh("cd / && find etc/default etc/reconciler boot/grub/grub.cfg -type f -printf '%p %T@ %s\n' | sort")


def groups(host: Host) -> int:
    """How many IOMMU groups there are."""
    return int(host.sh("ls /sys/kernel/iommu_groups | wc -l"))


def runs(host: Host) -> int:
    """How many runs there were."""
    return int(host.sh("ls /var/lib/reconciler/runs 2>/dev/null | wc -l"))


@pytest.fixture(scope="module")
def prepared(host: Host) -> Host:
    """The host with the tests' files."""
    host.put("iommu.toml", IOMMU)
    host.put("other.toml", OTHER)
    return host


def test_what_another_file_has_and_is_in_effect_satisfies(prepared: Host) -> None:
    assert groups(prepared) > 0
    before = written(prepared)
    prepared.reconciler("plan iommu.toml --detailed-exitcode").expect(0).says("In sync")
    prepared.reconciler("apply iommu.toml --yes").expect(0)
    assert written(prepared) == before


def test_where_update_grub_fails_there_is_one_error_and_all_is_as_it_was(prepared: Host) -> None:
    prepared.sh(
        "mv /usr/sbin/update-grub /root/ && printf '#!/bin/sh\\necho no space left >&2\\nexit 1\\n' "
        "> /usr/sbin/update-grub && chmod +x /usr/sbin/update-grub"
    )
    before = menu(prepared)
    failed = prepared.reconciler("apply other.toml --yes").expect(1)
    failed.says("update-grub failed with exit code 1: no space left", "All is as it was.")
    assert menu(prepared) == before
    assert prepared.sh(f"ls {DROP_IN} 2>/dev/null", check=False) == ""
    prepared.sh("mv /root/update-grub /usr/sbin/update-grub")


def test_it_is_written_once_and_waits_for_a_reboot(prepared: Host) -> None:
    prepared.reconciler("apply other.toml --yes").expect(0).says("A reboot is needed")
    assert all("transparent_hugepage=madvise" in line for line in menu(prepared))
    assert prepared.sh(f"head -1 {DROP_IN}").startswith("# Written by reconciler")
    before, count = written(prepared), runs(prepared)
    prepared.reconciler("apply other.toml --yes").expect(0).says("In sync", "waits for a reboot")
    prepared.reconciler("drift other.toml").expect(0).says("pending-reboot")
    assert (written(prepared), runs(prepared)) == (before, count)


def test_what_a_reboot_did_not_bring_is_an_error_and_not_tried_again(prepared: Host) -> None:
    """The IOMMU is taken out by hand, and the kernel is started without what was written: as by another entry, one that
    switches the IOMMU off, which Debian's kernel has on by itself."""
    prepared.sh("sed -i s/intel_iommu=on// /etc/default/grub && update-grub")
    prepared.reconciler("plan iommu.toml --detailed-exitcode").expect(2).says("intel_iommu=on")
    prepared.sh("sed -i s/transparent_hugepage=madvise/intel_iommu=off/ /boot/grub/grub.cfg")
    prepared.lab.reboot()
    assert groups(prepared) == 0
    prepared.sh("update-grub")
    before = written(prepared)
    for command in ("plan other.toml", "apply other.toml --yes"):
        prepared.reconciler(command).expect(1).says("did not come into effect", "another entry was chosen")
    prepared.reconciler("drift other.toml").expect(2)
    assert written(prepared) == before


def test_an_iommu_that_was_switched_off_by_hand_is_said_and_written(prepared: Host) -> None:
    prepared.reconciler("doctor iommu.toml").expect(1).says(
        "/sys/kernel/iommu_groups is empty", "The boot loader does not have"
    )
    prepared.reconciler("plan iommu.toml").expect(0).says("intel_iommu=on", "A reboot is needed")
    prepared.reconciler("apply iommu.toml --yes").expect(0)
    assert all("intel_iommu=on" in line and "madvise" not in line for line in menu(prepared))
    before = written(prepared)
    prepared.reconciler("apply iommu.toml --yes").expect(0)
    prepared.reconciler("drift iommu.toml").expect(0).says("pending-reboot")
    prepared.reconciler("doctor iommu.toml").expect(1).says("this kernel was started without. ", "Reboot.")
    assert written(prepared) == before


def test_after_the_reboot_all_is_in_sync(prepared: Host) -> None:
    prepared.lab.reboot()
    assert groups(prepared) > 0
    prepared.reconciler("plan iommu.toml --detailed-exitcode").expect(0).says("In sync")
    assert prepared.reconciler("drift iommu.toml --json").expect(0).json["fields"] == []
    prepared.reconciler("doctor iommu.toml").says("IOMMU: on")
