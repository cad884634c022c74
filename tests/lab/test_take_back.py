"""Taking back on the real kernel: by hand, by a timer that nobody confirmed, and not after a confirmation."""

from __future__ import annotations

import re

import pytest

from tests.lab.conftest import WORK, Host
from tests.lab.machinery.basics import wait_until

IN_SYNC = 0
OF_THE_MOMENT = re.compile(r'"(ifindex|operstate|promiscuity|allmulti|link_index|txqlen)":[^,}]*,?|LOWER_UP|NO-CARRIER')
"""What comes and goes by itself: a port's link takes seconds, and an index is never given twice."""


def steady(host: Host) -> str:
    """Everything that the tool may change, without what comes and goes by itself."""
    return OF_THE_MOMENT.sub("", host.observed())


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
    assert steady(clean).splitlines() == before.splitlines()
    clean.reconciler("rollback").expect(1).says("There is nothing to take back.")
    clean.reconciler("history").expect(0).says("rollback of", "apply", "main.toml")


def test_what_nobody_confirms_is_taken_back_also_after_kill_9(clean: Host) -> None:
    before = steady(clean)
    clean.sh(
        f"cd {WORK}; setsid reconciler apply main.toml --yes --confirm-within 25 >out.txt 2>&1 & "
        "for i in $(seq 600); do grep -qs carrier out.txt && break; sleep 0.1; done; kill -9 $!; wait; true"
    )
    assert clean.numvfs("enp1s0") == 7, clean.sh(f"cat {WORK}/out.txt")
    assert clean.sh("systemctl list-timers --no-legend 'reconciler-*'").count("reconciler-") > 0
    wait_until(lambda: clean.numvfs("enp1s0") == 0, "the timer takes the VFs back", 120, 2.0)
    wait_until(lambda: steady(clean) == before, "all is as before", 60, 2.0)
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
