"""Taking back on the real kernel: by hand, by a timer that nobody confirmed, and not after a confirmation."""

from __future__ import annotations

import difflib
import re

import pytest

from tests.lab.conftest import WORK, Host
from tests.lab.machinery.basics import wait_until

IN_SYNC = 0
OF_THE_MOMENT = re.compile(
    r'"(ifindex|operstate|qdisc|promiscuity|allmulti|link_index|txqlen)":[^,}]*,?|LOWER_UP|NO-CARRIER'
)
"""What comes and goes by itself: a port's link takes seconds, one that was up once has a queue discipline, and an index
is never given twice."""


VFIO = re.compile(r"vfio\w*|irqbypass|iommufd")
"""Modules that libvirt has the kernel load for the first VF of a guest."""


def steady(host: Host) -> list[str]:
    """Everything that the tool may change, without what comes and goes by itself."""
    lines = OF_THE_MOMENT.sub("", host.observed()).splitlines()
    return [line for line in lines if not VFIO.fullmatch(line)]


def differing(before: list[str], after: list[str]) -> list[str]:
    """The lines that are not as before."""
    return list(difflib.unified_diff(before, after, lineterm="", n=0))


@pytest.fixture
def clean(host: Host) -> Host:
    """The clean host, for each test anew."""
    host.lab.restore("ready")
    host.put("main.toml")
    return host


def test_a_run_is_taken_back_by_hand(clean: Host) -> None:
    before = steady(clean)
    clean.reconciler("apply main.toml --yes").expect(0)
    assert clean.numvfs("enp1s0") == 7
    clean.reconciler("rollback").expect(0).says("what they touched is as before")
    assert differing(before, steady(clean)) == []
    clean.reconciler("rollback").expect(1).says("There is nothing to take back.")
    clean.reconciler("history").expect(0).says("rollback of", "apply", "main.toml")


def test_what_nobody_confirms_is_taken_back_also_after_kill_9(clean: Host) -> None:
    before = steady(clean)
    clean.sh(
        f"cd {WORK}; setsid reconciler apply main.toml --yes --confirm-within 25 >out.txt 2>&1 & "
        "for i in $(seq 600); do grep -qs 'make 7 VFs: done' out.txt && break; sleep 0.1; done; kill -9 $!; wait; true"
    )
    assert clean.numvfs("enp1s0") == 7, clean.sh(f"cat {WORK}/out.txt")
    assert clean.sh("systemctl list-timers --no-legend 'reconciler-*'").count("reconciler-") > 0
    wait_until(lambda: clean.numvfs("enp1s0") == 0, "the timer takes the VFs back", 120, 2.0)
    clean.reconciler("history").expect(0)
    assert differing(before, steady(clean)) == []
    clean.reconciler("history").expect(0).says("rollback of", "interrupted")


def test_a_confirmation_makes_it_last(clean: Host) -> None:
    definition = clean.sh("virsh dumpxml --inactive web1")
    done = clean.reconciler("apply main.toml --yes --confirm-within 300").expect(0)
    done.says("reconciler confirm", "nic.attach of domain.web1.nic.mgmt", "pool.set_autostart of pool.sriov-ext")
    assert clean.nics("web1").keys() >= {"ua-rec-mgmt"}
    assert clean.sh("virsh dumpxml --inactive web1") == definition
    assert clean.net_info("sriov-ext")["Persistent"] == "no"
    assert "igbvf" not in clean.sh("cat /etc/modprobe.d/* 2>/dev/null; true")
    clean.reconciler("confirm").expect(0).says("outlasts a reboot")
    assert clean.net_info("sriov-ext")["Persistent"] == "yes"
    assert clean.sh("systemctl list-timers --all --no-legend 'reconciler-*'") == ""
    clean.reconciler("plan main.toml --detailed-exitcode").expect(IN_SYNC)
    clean.reconciler("confirm").expect(1).says("Nothing waits for a confirmation.")
