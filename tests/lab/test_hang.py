"""A real write that hangs in the real kernel, since somebody took a VF between the tool's look and its write.

One host goes through all of it in the order of this file.
"""

import time

import pytest

from tests.lab.conftest import WORK, Host
from tests.lab.machinery.basics import wait_until

FILE = """
schema = 1
[pf.int]
match = {{ name = "enp1s0" }}
vfs = {vfs}
vf_driver = "vfio-pci"
[pf.ext]
match = {{ name = "enp2s0" }}
mtu = {mtu}
"""
VF = "0000:01:10.2"
COUNT = "/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs"
TOOL = f"env PYTHONPATH=/opt/reconciler/src:/opt/reconciler/deps python3 held_meanwhile.py {VF}"

LOOK = "ip -d -j link; for device in /sys/bus/pci/devices/*; do readlink $device $device/driver; done"
"""Shows what can be looked at: a plain look at sriov_numvfs hangs, too."""
USUAL: list[float] = []
"""Seconds that inspect takes when nothing hangs."""


def left_behind(host: Host) -> list[str]:
    """Processes of the tool that still wait for the kernel."""
    return host.sh("grep -l '^reconciler-' /proc/[0-9]*/comm 2>/dev/null | cut -d/ -f3", check=False).split()


def holder(host: Host) -> str:
    """The process that has the VF."""
    return host.sh("pgrep -f '^[^ ]*python3 .*hold_vf.py'").strip()


def test_a_write_that_hangs_is_told_with_the_kernels_words_and_who_holds_the_vf(host: Host) -> None:
    began = time.monotonic()
    host.reconciler("inspect").expect(0)
    USUAL.append(time.monotonic() - began)
    host.put("hold_vf.py")
    host.put("held_meanwhile.py")
    host.put("first.toml", FILE.format(vfs=3, mtu=1500))
    host.reconciler("apply first.toml --yes").expect(0)
    assert set(host.vf_drivers("enp1s0").values()) == {"vfio-pci"}
    host.put("more.toml", FILE.format(vfs=4, mtu=1600))
    ran = host.lab.run(f"cd {WORK} && {TOOL} apply more.toml --yes", 120, check=False)
    text = " ".join((ran.stdout + ran.stderr).replace("|", " ").split())
    assert ran.returncode == 4, text
    (pid,) = left_behind(host)
    for said in (
        f"Writing 0 to {COUNT} has not come back after 8 s; process {pid} waits for it in vfio_unregister_group_dev",
        f'"vfio-pci {VF}: No device request channel registered, blocked until released by user"',
        f"Held now: VF 1 ({VF}): python3 (pid {holder(host)})",
        "stop the guest or the process that has it",
        "pf.ext: set the MTU to 1600: done",
    ):
        assert said in text, f"it should say {said!r}, and says:\n{text}"
    assert host.link("enp2s0")["mtu"] == 1600


def test_what_only_reads_comes_back_and_says_so(host: Host) -> None:
    for command, code in (("inspect", 0), ("plan more.toml", 1), ("drift more.toml", 2), ("doctor more.toml", 1)):
        began = time.monotonic()
        ran = host.reconciler(command, timeout=200).expect(code)
        assert time.monotonic() - began < 2 * USUAL[0] + 15
        if command != "drift more.toml":
            ran.says("The kernel hangs", COUNT, f"python3 (pid {holder(host)})")
    assert len(left_behind(host)) == 1


@pytest.mark.long
def test_the_next_run_writes_nothing_behind_it_and_does_the_rest(host: Host) -> None:
    host.put("most.toml", FILE.format(vfs=4, mtu=1700))
    host.put("count.toml", '\nschema = 1\n[pf.ext]\nmatch = { name = "enp2s0" }\nvfs = 1\n')
    before = host.sh(LOOK)
    host.reconciler("apply most.toml --yes").expect(1).says("The kernel hangs", "pf.int", "--partial")
    # While a removal hangs this kernel makes no VFs on any card.
    host.reconciler("apply count.toml --yes").expect(1).says("The kernel hangs", "pf.ext")
    assert host.sh(LOOK) == before
    host.reconciler("apply most.toml --yes --partial").expect(4).says("pf.ext: set the MTU to 1700: done")
    assert host.link("enp2s0")["mtu"] == 1700
    assert len(left_behind(host)) == 1


@pytest.mark.long
def test_once_the_holder_lets_go_the_next_run_converges(host: Host) -> None:
    host.sh(f"kill {holder(host)}")
    wait_until(lambda: not left_behind(host), "the write that hung has come back", 30)
    host.reconciler("apply most.toml --yes").expect(0)
    assert host.numvfs("enp1s0") == 4
    assert set(host.vf_drivers("enp1s0").values()) == {"vfio-pci"}
    host.reconciler("plan most.toml").expect(0).says("In sync")
