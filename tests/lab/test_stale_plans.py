"""Two runs at a time, and a saved plan after somebody has changed the host by hand. One host goes through all of it in
the order of this file."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.lab.conftest import Host

FILE = """
schema = 1

[pf.last]
match = { name = "enp3s0" }
link = "up"
vfs = 3
vf_driver = "none"

[pf.last.vf.0]
vlan = 50

[pf.last.vf.1]
vlan = 51
"""
VLANS = {0: 50, 1: 51, 2: 0}
RUNS = "/var/lib/reconciler/runs"


def vlans(host: Host) -> dict[int, int]:
    """The VLAN of each VF."""
    return {index: vf["vlan"] for index, vf in host.vfs("enp3s0").items()}


def journals(host: Host) -> list[list[dict[str, Any]]]:
    """What each run has on record."""
    texts = [host.sh(f"cat {RUNS}/{run}/journal.jsonl") for run in host.sh(f"ls {RUNS}").split()]
    return [[json.loads(line) for line in text.splitlines()] for text in texts]


def test_of_two_applies_at_once_one_writes_and_the_other_names_it(host: Host) -> None:
    host.put("last.toml", FILE)
    command = "apply last.toml --yes"
    with ThreadPoolExecutor() as pool:
        done, other = sorted(pool.map(host.reconciler, [command, command]), key=lambda ran: ran.code)
    done.expect(0)
    other.expect(7).says("Another run is under way", "apply last.toml (pid ", "has it since 20")
    (run,) = journals(host)
    assert [record["event"] for record in run].count("end") == 1
    assert run[-1]["code"] == 0
    assert vlans(host) == VLANS


def test_a_saved_plan_goes_through_after_a_change_that_only_helps(host: Host) -> None:
    host.sh("for vf in 0 1; do ip link set enp3s0 vf $vf vlan 60; done")
    host.reconciler("plan last.toml -o saved.plan").expect(0)
    host.sh("ip link set enp3s0 vf 1 vlan 51")
    ran = host.reconciler("apply saved.plan").expect(0)
    assert "pf.last.vf.1" not in ran.stdout
    assert vlans(host) == VLANS


def test_a_saved_plan_is_refused_after_a_change_that_makes_more_work(host: Host) -> None:
    host.sh("ip link set enp3s0 vf 1 vlan 61")
    host.reconciler("plan last.toml -o saved.plan").expect(0)
    host.sh("ip link set enp3s0 vf 0 vlan 62")
    before = host.observed()
    stale = host.reconciler("apply saved.plan").expect(6)
    stale.says("no longer fits", "Nothing was changed", "pf.last.vf.0", "62", "50", "reconciler plan")
    assert host.changes_since(before) == []
    assert len(journals(host)) == 2
