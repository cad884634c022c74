"""Services, huge pages and modules of the host itself, on a real systemd and a real kernel. One host goes through all
of it in the order of this file."""

from __future__ import annotations

import pytest

from tests.lab.conftest import Host

UNITS = {
    "very-steady@": "ExecStart=/bin/sleep infinity",
    "mortal": "ExecStart=/bin/sh -c 'echo no such card >&2; exit 3'",
}
FILE = """
schema = 1

[modules]
blacklist = ["igbvf"]
load = ["dummy", "ext4"]

[services]
irqbalance = "stopped"
numad = "stopped"
"very-steady@a" = "running"

[hugepages]
2M = { node0 = 100 }
"""
WRONG = """
schema = 1

[modules]
load = ["dumy"]

[services]
irqblance = "running"
"getty@tty1" = "running"
libvirtd = "stopped"

[hugepages]
2M = 4096
16M = 1
"""
BLACKLIST = """
schema = 1
[modules]
blacklist = ["igbvf"]
"""
HOOK = """#!/bin/sh
[ "$1" = prereqs ] && exit
. /usr/share/initramfs-tools/hook-functions
manual_add_modules igbvf
"""
DYING = """
schema = 1
[services]
mortal = "running"
[hugepages]
2M = 900
"""
EATS = """
import pathlib, time
def available():
    return next(int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith("MemAvailable"))
memory = []
while available() > 600 << 10:
    memory.append(b"x" * (16 << 20))
pathlib.Path("/run/eaten").touch()
time.sleep(999)
"""
"""Has so much memory that what is left, 600 MiB, is not enough."""


def unit(name: str, start: str) -> str:
    """A shell command that installs a service."""
    text = f"[Service]\\n{start}\\n[Install]\\nWantedBy=multi-user.target\\n"
    return f'printf "{text}" >/etc/systemd/system/{name}.service'


def services(host: Host, *names: str) -> list[str]:
    """``active/enabled`` of each, in systemd's words."""
    return host.sh(
        f'for unit in {" ".join(names)}; do echo "$(systemctl is-active $unit)/$(systemctl is-enabled $unit)"; done',
    ).split()


def pages(host: Host) -> int:
    """Huge pages of 2 MiB."""
    return int(host.sh("cat /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"))


def make_vfs(host: Host) -> dict[int, str]:
    """Two VFs on the first card, whoever takes them: the driver of each."""
    host.sh(
        "ip link set enp1s0 up; cd /sys/class/net/enp1s0/device; echo 0 >sriov_numvfs; echo 2 >sriov_numvfs; "
        "for i in $(seq 20); do [ -e virtfn0/net ] && [ -e virtfn1/net ] && break; sleep 0.5; done; udevadm settle"
    )
    return host.vf_drivers("enp1s0")


def in_initramfs(host: Host) -> tuple[bool, bool]:
    """Whether igbvf is in it, and our list."""
    listed = host.sh("lsinitramfs /boot/initrd.img-$(uname -r)").splitlines()
    return any("/igbvf.ko" in line for line in listed), "etc/modprobe.d/reconciler.conf" in listed


@pytest.fixture(scope="module")
def prepared(host: Host) -> Host:
    """The host with two services of the tests, and with VFs that igbvf drives."""
    assert make_vfs(host) == {0: "igbvf", 1: "igbvf"}
    host.sh("; ".join([*(unit(name, start) for name, start in UNITS.items()), "systemctl daemon-reload"]))
    host.put("kinds.toml", FILE)
    host.put("wrong.toml", WRONG)
    host.put("dying.toml", DYING)
    return host


def test_what_can_not_be_had_is_told_in_one_plan(prepared: Host) -> None:
    before = prepared.observed()
    refused = prepared.reconciler("apply wrong.toml --yes").expect(1)
    refused.says(
        'did you mean "dummy"?',
        'did you mean "irqbalance"?',
        "systemctl unmask getty@tty1.service",
        "systemctl disable --now libvirtd-admin.socket libvirtd-ro.socket libvirtd.socket",
        "There is not enough memory for so many.",
        "There are none of 16M. It has 2M, 1G.",
    )
    assert prepared.changes_since(before) == []
    assert pages(prepared) == 0


def test_now_and_at_boot(prepared: Host) -> None:
    initramfs = prepared.sh("stat -c %y /boot/initrd.img-*")
    prepared.reconciler("apply kinds.toml --yes").expect(0)
    assert "igbvf" not in prepared.modules()
    assert prepared.vf_drivers("enp1s0") == {0: "", 1: ""}
    assert prepared.sh("stat -c %y /boot/initrd.img-*") == initramfs, "it has no igbvf"
    assert services(prepared, "irqbalance", "very-steady@a") == ["inactive/disabled", "active/enabled"]
    assert pages(prepared) == 100
    assert "dummy" in prepared.modules()
    assert prepared.sh("grep -v '^#' /etc/modules-load.d/reconciler.conf").split() == ["dummy", "ext4"]
    assert len(prepared.sh("grep -v '^#' /etc/tmpfiles.d/reconciler-hugepages.conf").splitlines()) == 1
    prepared.reconciler("plan kinds.toml").expect(0).says("In sync")


@pytest.mark.long
def test_drift_tells_what_moved(prepared: Host) -> None:
    prepared.sh(
        "systemctl start irqbalance; systemctl disable very-steady@a; echo 90 >/proc/sys/vm/nr_hugepages; rmmod dummy"
    )
    drift = prepared.reconciler("drift kinds.toml --json").expect(2).json
    assert {(item["address"], item["field"]): (item["label"], item["observed"]) for item in drift["fields"]} == {
        ("services.irqbalance", "now"): ("drift", "running"),
        ('services."very-steady@a"', "boot"): ("drift", "disabled"),
        ("hugepages.2M", "now"): ("drift", {"node0": 90}),
        ("modules.load", "loaded"): ("drift", ["ext4"]),
    }
    prepared.reconciler("apply kinds.toml --yes").expect(0)
    prepared.reconciler("drift kinds.toml").expect(0)


@pytest.mark.long
def test_a_service_that_dies_and_pages_that_are_not_to_be_had_fail_with_the_reason(prepared: Host) -> None:
    eats = prepared.put("eats.py", EATS)
    prepared.sh(f"systemd-run --quiet --unit=eater python3 {eats}; until [ -e /run/eaten ]; do sleep 1; done")
    failed = prepared.reconciler("apply dying.toml --yes").expect(4)
    failed.says("mortal.service was started and did not stay (failed)", "no such card", "of 900")
    assert 100 <= pages(prepared) < 900
    prepared.sh("systemctl stop eater")
    prepared.reconciler("rollback --yes").expect(0)
    assert (pages(prepared), services(prepared, "mortal")) == (100, ["failed/disabled"])


def test_after_a_reboot_all_is_as_declared(prepared: Host) -> None:
    prepared.lab.reboot()
    assert services(prepared, "irqbalance", "very-steady@a") == ["inactive/disabled", "active/enabled"]
    assert pages(prepared) == 100
    assert "dummy" in prepared.modules()
    prepared.reconciler("drift kinds.toml").expect(0)
    assert make_vfs(prepared) == {0: "", 1: ""}
    assert "igbvf" not in prepared.modules()
    prepared.sh("rm /etc/modprobe.d/reconciler.conf; udevadm control --reload")
    assert make_vfs(prepared) == {0: "igbvf", 1: "igbvf"}, "without the file it comes by itself"


@pytest.mark.long
def test_an_initramfs_that_has_the_module_is_made_anew(prepared: Host) -> None:
    prepared.put("blacklist.toml", BLACKLIST)
    hook = "/etc/initramfs-tools/hooks/vf"
    prepared.sh(f"rm -f /etc/modprobe.d/reconciler.conf; cat >{hook} && chmod +x {hook}", input=HOOK)
    prepared.sh("update-initramfs -u", timeout=400)
    assert in_initramfs(prepared) == (True, False)
    done = prepared.reconciler("apply blacklist.toml --yes", timeout=400).expect(0)
    done.says("rebuild the initramfs, which has igbvf")
    assert in_initramfs(prepared) == (True, True)
    made = prepared.sh("stat -c %y /boot/initrd.img-*")
    prepared.reconciler("apply blacklist.toml --yes").expect(0).says("In sync")
    prepared.reconciler("drift blacklist.toml").expect(0)
    assert prepared.sh("stat -c %y /boot/initrd.img-*") == made
    prepared.reconciler("rollback --yes", timeout=400).expect(0)
    assert in_initramfs(prepared) == (True, False)
