"""A change that nobody confirms is taken back: by a timer after the tool was killed or its connection cut, and by a
power cycle. On a host that people have worked on by hand (files/lived.sh), every kind of thing is changed (lived.toml).
"""

from __future__ import annotations

import difflib
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from deepdiff import DeepDiff

from tests.lab.conftest import WORK, Host
from tests.lab.machinery.basics import wait_until

LIVED = "lived"
"""The snapshot of that host."""

OF_THE_MOMENT = re.compile(
    r'"(ifindex|operstate|qdisc|promiscuity|allmulti|link_index|txqlen)":[^,}]*,?|LOWER_UP|NO-CARRIER'
)
"""What comes and goes by itself: a port's link takes seconds, one that was up once has a queue discipline, and an index
is never given twice."""

NO_UNDO = """
schema = 1
[pf.ext]
match = { name = "enp2s0" }
[pool.borrowed]
vfs = ["ext/2"]
"""
"""Has to stop a network that has no definition to be started from again."""


LASTING = "cd /etc && find . -type f -exec sha256sum {} + | sort -k 2; find . -type l -printf '%p %l\\n' | sort"
"""Whatever outlasts a power cycle: libvirt's definitions and autostart, and modprobe's configuration among it."""


@pytest.fixture(scope="module")
def snapshot(host: Host) -> str:
    """The host that people have worked on, kept for all tests here."""
    host.put("lived.toml")
    host.sh(f"cd {WORK} && sh {host.put('lived.sh')}")
    host.lab.save(LIVED)
    return LIVED


@pytest.fixture
def lived(host: Host, snapshot: str) -> Host:
    """That host, for each test anew."""
    host.lab.restore(snapshot)
    return host


def everything(host: Host) -> tuple[Any, list[str]]:
    """All that `reconciler snapshot` records, and all that `ip` and `virsh` show. Only the time, the free memory and
    the services (some come and go as they are asked for) are left out of the former, and what comes and goes by itself
    of the latter."""
    document = host.reconciler("snapshot").expect(0).json
    del document["taken_at"], document["services"], document["platform"]["memory_available_kib"]
    return document, OF_THE_MOMENT.sub("", host.observed()).splitlines()


def assert_as_before(host: Host, before: tuple[Any, list[str]]) -> None:
    """Asserts that nothing is otherwise than it was."""
    document, lines = everything(host)
    assert DeepDiff(before[0], document) == {}
    assert list(difflib.unified_diff(before[1], lines, lineterm="", n=0)) == []


@contextmanager
def login(host: Host, command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A login of its own, with a terminal, in which a command runs."""
    ssh = host.lab.shell.arguments()
    process = subprocess.Popen(
        [ssh[0], "-oControlPath=none", *ssh[1:], "-tt", f"cd {WORK} && {command}"],
        cwd=host.lab.dir,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def timers(host: Host) -> str:
    """Timers of runs that wait for a confirmation, and what they have started."""
    return host.sh("systemctl list-units --all --no-legend --plain 'reconciler-2*'")


def wait_for_timer(host: Host) -> None:
    """Returns when the timer has had its run taken back, however that came out."""
    wait_until(lambda: timers(host) == "", "the timer has done its work", 300, 1.0)


def journals(host: Host) -> list[list[dict[str, Any]]]:
    """What each run has on record, the last one first."""
    runs = host.sh("ls -r /var/lib/reconciler/runs").split()
    texts = [host.sh(f"cat /var/lib/reconciler/runs/{run}/journal.jsonl") for run in runs]
    return [[json.loads(line) for line in text.splitlines()] for text in texts]


def test_after_kill_9_the_timer_takes_everything_back(lived: Host) -> None:
    before = everything(lived)
    lived.sh(
        f"cd {WORK}; setsid reconciler apply lived.toml --yes --confirm-within 20 >out.txt 2>&1 & "
        f"timeout 300 sh -c 'until grep -qs \"nic.extra: attach.*done\" {WORK}/out.txt; do sleep 0.1; done'; "
        "kill -9 $!; wait; true",
        timeout=320,
    )
    assert "ua-rec-extra" in lived.nics("web1"), lived.sh(f"cat {WORK}/out.txt")
    assert len(lived.net_addresses("lasting")) == 3
    assert lived.numvfs("enp3s0") == 2
    assert timers(lived) != ""
    wait_for_timer(lived)
    assert_as_before(lived, before)
    lived.reconciler("history").expect(0).says("rollback of", "done", "interrupted")


@pytest.mark.long
def test_with_its_connection_cut_a_run_ends_and_its_timer_takes_everything_back(lived: Host) -> None:
    before = everything(lived)
    with login(lived, "reconciler apply lived.toml --yes --confirm-within 20") as client:
        wait_until(lambda: lived.numvfs("enp3s0") == 2, "the run is in the middle", 300, 0.2)
        client.kill()
    lived.sh("while pgrep -f '[r]econciler apply' >/dev/null; do sleep 0.2; done", timeout=300)
    ((*_, ended),) = [[record for record in journals(lived)[0] if record["event"] == "end"]]
    assert (ended["code"], ended["unmet"]) == (0, [])
    wait_for_timer(lived)
    assert_as_before(lived, before)
    lived.reconciler("rollback").expect(1).says("There is nothing to take back.")


@pytest.mark.long
def test_nothing_lasting_is_written_before_the_confirmation_and_a_power_cycle_brings_the_old_state_back(
    lived: Host,
) -> None:
    lived.put("no-undo.toml", NO_UNDO)
    refused = lived.reconciler("apply no-undo.toml --yes --confirm-within 20").expect(5)
    refused.says("pool.stop of pool.borrowed", "the network is transient", "Nothing was changed")
    lasting = lived.sh(LASTING)
    assert "networks/autostart/lasting.xml" in lasting

    done = lived.reconciler("apply lived.toml --yes --confirm-within 300").expect(0)
    done.says("reconciler confirm", "nic.update of domain.web1.nic.data", "pool.define of pool.lasting")
    assert "ua-rec-extra" in lived.nics("web1")
    assert lived.sh(LASTING) == lasting
    lived.lab.reset()
    assert lived.sh(LASTING) == lasting
    assert [lived.numvfs(f"enp{n}s0") for n in (1, 2, 3)] == [0, 0, 0]
    assert "igbvf" not in lived.sh("cat /run/modprobe.d/* 2>/dev/null; true")
    lived.reconciler("history").expect(0).says("waits for its confirmation until")
    lived.reconciler("confirm").expect(6).says("The host was rebooted since.", "apply again")
    # Now a definition names VFs that are not there, so there is no way back to it.
    refused = lived.reconciler("apply lived.toml --yes --confirm-within 300").expect(5)
    refused.says("pool.define of pool.lasting", "Nothing was changed")
    lived.reconciler("apply lived.toml --yes --target pf.last").expect(0).says("was not confirmed before the host was")


@pytest.mark.long
def test_a_confirmation_from_another_login_makes_it_last(lived: Host) -> None:
    lasting = lived.sh(LASTING)
    lived.reconciler("apply lived.toml --yes --confirm-within 300").expect(0)
    with login(lived, "reconciler confirm") as client:
        assert client.wait(300) == 0
    assert timers(lived) == ""
    assert lived.sh(LASTING) != lasting
    assert "blacklist igbvf" in lived.sh("cat /etc/modprobe.d/reconciler.conf")
    assert lived.nics("web1", inactive=True).keys() >= {"ua-rec-extra"}
    assert len(lived.net_addresses("lasting", inactive=True)) == 3
    assert "autostart/lasting.xml" not in lived.sh(LASTING)
    lived.reconciler("plan lived.toml --detailed-exitcode").expect(0)
    lived.reconciler("confirm").expect(1).says("Nothing waits for a confirmation.")
