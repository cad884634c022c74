"""Every write of every change, with everything that can go wrong at it.

POINTS=all tries all of them; without it a sample that is the same each time, of about a minute."""

from __future__ import annotations

import os
import random
import shutil
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from reconciler.apply.run import OnError
from reconciler.apply.runs import last_run
from reconciler.host.twin import hands
from reconciler.host.twin.clock import settle
from reconciler.host.twin.host import TwinHost
from reconciler.host.twin.state import Fault, Twin
from reconciler.state.desired import ZERO_MAC
from tests.faults import judge, tally
from tests.faults.scenarios import SCENARIOS, Scenario, desired, start
from tests.faults.world import Disk, Ended, apply, fresh, heal, op_at

MEDDLING = {
    "libvirt restarts": "systemctl restart libvirtd",
    "libvirt goes away": "systemctl stop libvirtd",
    "guest shuts down": "virsh shutdown web1",
    "guest is destroyed": "virsh destroy web1",
    "guest starts": "virsh start db1",
    "other guest shuts down": "virsh destroy db1",
    "card is pulled": "pull {first}",
    "VF changed by others": "ip link set {first} vf 1 vlan 66",
    "other VF changed by others": "ip link set {second} vf 1 vlan 66",
    "guest goes at a reading": "virsh shutdown web1",
}
KINDS = [
    *("refused", "error before", "error after", "hangs before", "hangs after", "killed before", "killed after"),
    *(
        "error, then killed",
        "refused for good",
        "SIGHUP",
        "SIGTERM",
        "SIGINT",
        "disk full",
        "disk full once",
        "guest answers late",
    ),
    *MEDDLING,
]
_PER_SCENARIO = int(os.environ.get("POINTS", "0").replace("all", "0"))


@dataclass(frozen=True, slots=True)
class Point:
    """One fault at one write."""

    scenario: Scenario
    kind: str
    number: int
    on_error: OnError

    def __str__(self) -> str:
        return f"{self.scenario.name}: {self.kind} {self.number}, {self.on_error}"


@dataclass(frozen=True, slots=True)
class Reference:
    """What happens without a fault."""

    writes: int
    records: int
    ended: Ended
    after: judge.Facts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@cache
def reference(scenario: Scenario, folder: Path) -> Reference:
    """The change without a fault."""
    twin, disk = start(scenario), Disk()
    shutil.rmtree(folder, ignore_errors=True)
    ended = apply(twin, desired(scenario.after), folder, disk=disk)
    assert ended.code == 0, ended.said()
    heal(twin, twin)
    return Reference(twin.writes, disk.written, ended, judge.facts(twin))


def points(scenario: Scenario, folder: Path) -> list[Point]:
    """All of a scenario, or a sample."""
    known = reference(scenario, folder)
    every = [
        Point(scenario, kind, number, on_error)
        for kind in KINDS
        for number in range(1, (known.records if kind.startswith("disk") else known.writes) + 1)
        for on_error in ("stop", "rollback")
    ]
    if os.environ.get("POINTS") == "all":
        return every
    wanted = _PER_SCENARIO or 130
    return every if len(every) <= wanted else random.Random(scenario.name).sample(every, wanted)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_whatever_goes_wrong_no_guest_is_without_its_nic(scenario: Scenario, folder: Path) -> None:
    lost = []
    for point in points(scenario, folder):
        known = reference(scenario, folder)
        operation = "records" if point.kind.startswith("disk") else op_at(known.ended.writes, point.number)
        wrong = tried(point, known, folder)
        tally.TRIED[operation, point.kind] += 1
        if wrong:
            tally.LOST[operation, point.kind] += 1
            lost.append(f"{point} ({operation}):\n    " + "\n    ".join(wrong))
    assert not lost, f"{len(lost)} lost:\n" + "\n".join(lost[:8])


def tried(point: Point, known: Reference, folder: Path) -> list[str]:
    """What is not as it must be after this fault and after what follows it."""
    shutil.rmtree(folder, ignore_errors=True)
    scenario, wanted = point.scenario, desired(point.scenario.after)
    twin = start(scenario)
    before = deepcopy(twin)
    broken_from, disk = 0, Disk()
    twin.faults = _faults(point)
    if point.kind == "refused for good":
        broken_from = point.number
    elif point.kind.startswith("disk"):
        disk = Disk(point.number, stays=not point.kind.endswith("once"))
    elif point.kind == "guest answers late":
        twin.guest("web1").answers_after = 58.0 + point.number
    ended = apply(twin, wanted, folder, point.on_error, broken_from=broken_from, disk=disk)
    meddled = point.kind in MEDDLING
    wrong = list(judge.faults_of_our_own(ended))
    wrong += judge.untrue(ended, *map(judge.facts, (before, _meddled(point, before), twin)))
    if not meddled:
        wrong += judge.untrue_outcomes(ended, before, twin)
        here, there = (judge.outside(judge.facts(item), ended) for item in (before, twin))
        wrong += [f"outside of the plan: {item}" for item in judge.differences(here, there)]
    if ended.code is None:
        run = last_run(folder)
        if (run is None and ended.effective) or (run is not None and run.end is not None):
            wrong.append("killed, and it is not on record")
    else:
        wrong += [
            f"guest {name} is without {nic.alias}"
            for name, nic in judge.without_nic(scenario, before, twin)
            if not (judge.is_told(ended, name, nic) and _may_fail(point))
        ]
    if ended.code == 0:
        wrong += [f"exit 0, and {action.id} is left" for action in fresh(TwinHost(twin), wanted, folder)[1].actions]
    told = f"exit {ended.code}: {'; '.join(filter(None, ended.said()))}"
    wrong += _again(point, known, folder, before, twin)
    return [told, *wrong] if wrong else []


def _faults(point: Point) -> list[Fault]:
    number, kind = point.number, point.kind
    if kind in MEDDLING:
        reading = kind == "guest goes at a reading"
        at = 3 * number if reading else number
        return [Fault(at, "do", after=number % 2 == 0, command=_by_others(point), reading=reading)]
    match kind.split():
        case ["refused"]:
            return [Fault(number, "errno", 1)]
        case ["error", when]:
            return [Fault(number, "errno", 5, after=when == "after")]
        case ["hangs", when]:
            return [Fault(number, "hang", after=when == "after")]
        case ["error,", *_]:  # On the way back from it.
            return [Fault(number, "errno", 5), Fault(number + 1 + number % 4, "crash", after=number % 2 == 0)]
        case ["killed", when]:
            return [Fault(number, "crash", after=when == "after")]
        case [name] if name.startswith("SIG"):
            return [Fault(number, "do", after=number % 2 == 0, command=f"kill {name}")]
    return []


def _without_own_macs(facts: judge.Facts, before: Twin) -> judge.Facts:
    """A MAC that a VF's user had chosen is given back to it with its NIC, and stays if the NIC goes all the same."""
    chosen = {vf.attributes["mac"] for pf in before.pfs.values() for vf in pf.vfs if vf.attributes}
    return {
        key: {n: v for n, v in value.items() if n != "mac" or (v not in chosen and v != ZERO_MAC)}
        for key, value in facts.items()
    }


def _meddled(point: Point, before: Twin) -> Twin:
    """The host as it would be had only the others done something."""
    other = deepcopy(before)
    if point.kind in MEDDLING:
        hands.run(TwinHost(other), _by_others(point))
        settle(other)
    return other


def _by_others(point: Point) -> str:
    first, second = point.scenario.ports
    return MEDDLING[point.kind].format(first=first, second=second)


def _may_fail(point: Point) -> bool:
    """Whether it can be impossible to bring a NIC back: then it must be told."""
    return point.kind in ("hangs before", "hangs after", "refused for good", "libvirt goes away", "guest answers late")


def _again(point: Point, known: Reference, folder: Path, before: Twin, twin: Twin) -> list[str]:
    """The next apply, when the fault is over."""
    heal(twin, before)
    wanted = desired(point.scenario.after)
    ended = apply(twin, wanted, folder)
    wrong = list(judge.faults_of_our_own(ended))
    if ended.code != 0:
        wrong.append(
            f"a re-run ends with {ended.code}: {'; '.join(filter(None, ended.said()))} {ended.plan.diagnostics}"
        )
    heal(twin, before)
    wrong += [f"after a re-run {action.id} is left" for action in fresh(TwinHost(twin), wanted, folder)[1].actions]
    wrong += [
        f"after a re-run guest {name} is without {nic.alias}"
        for name, nic in judge.without_nic(point.scenario, before, twin)
    ]
    if point.kind not in MEDDLING or point.kind.startswith("libvirt"):
        found = judge.differences(*(_without_own_macs(item, before) for item in (known.after, judge.facts(twin))))
        wrong += [f"after a re-run, against one without a fault: {item}" for item in found]
    return wrong
