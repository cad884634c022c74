"""The recordings that the twin is held to are still what the real host does. ``UPDATE_CONFORMANCE=1`` writes them."""

import json
import os
import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

from tests.conformance.cases import Case, Step, is_outside, load_cases, text
from tests.conformance.comparable import Flat
from tests.conformance.playing import Played
from tests.conformance.recording import differences, load, save
from tests.conformance.refusals import OK
from tests.lab.machinery import hardware, netdevsim, python
from tests.lab.machinery.basics import CHECKOUT, archive
from tests.lab.machinery.core import Lab

CASES = load_cases()
SNAPSHOT = "conformance"
MODULES = ("__init__", "cases", "comparable", "in_lab", "playing", "refusals")
PYTHON = f"PYTHONPATH={python.HOME}/src:{python.HOME}/deps python3 -m tests.conformance.in_lab"


@pytest.fixture(scope="module")
def lab(lab_machine: Lab) -> Lab:
    """The lab with the player, which has run once, kept as a snapshot."""
    lab_machine.restore("ready")
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch)
        (tree / "tests/conformance").mkdir(parents=True)
        (tree / "tests/__init__.py").touch()
        for module in MODULES:
            name = f"tests/conformance/{module}.py"
            (tree / name).write_bytes((CHECKOUT / name).read_bytes())
        python.compile_tree(lab_machine.image, tree, f"{python.HOME}/src")
        lab_machine.shell.bytes(f"tar -x -C {python.HOME}/src", 60, archive(tree))
    _play(lab_machine, [], look=True, macs=frozenset(), recorded=[])
    lab_machine.save(SNAPSHOT)
    return lab_machine


LONG = {
    *("pool", "pool-definition", "pulled-card", "netdevsim"),
    *("reboot", "survival", "igbvf-and-the-pf", "hot-plug-from-igbvf", "hot-plug-from-vfio"),
    *("attributes-together", "autoload-with-autoprobe-off", "bind", "driver-of-new-vfs", "start-and-stop"),
}
"""Cases that take long, or do much of what others do."""


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.name, marks=[pytest.mark.long] if case.name in LONG else []) for case in CASES],
)
def test_the_recording_is_what_the_host_does(lab: Lab, case: Case) -> None:
    lab.restore(SNAPSHOT)
    if case.netdevsim:
        lab.run(f"ip link property add dev {netdevsim.plug_in(lab)} altname sim")
    update = bool(os.environ.get("UPDATE_CONFORMANCE"))
    played = list(_played(lab, case, [] if update else [item.observed for item in load(case)]))
    if update:
        save(case, played)
    found = differences(load(case), played)
    assert not found, f"{case.title}:\n" + "\n".join(found)


def _played(lab: Lab, case: Case, recorded: list[Flat]) -> Iterator[Played]:
    """One process in the lab for all steps between two that come from outside. A step is over as soon as what is
    recorded of it is seen, so that only a difference is waited for."""
    yield from _play(lab, [], look=True, macs=case.macs, recorded=recorded[:1])
    done = 1
    for outside, group in groupby(case.steps, is_outside):
        steps = list(group)
        expected = recorded[done : done + len(steps)]
        done += len(steps)
        if not outside:
            yield from _play(lab, steps, look=False, macs=case.macs, recorded=expected)
            continue
        for number, step in enumerate(steps):
            _from_outside(lab, step)
            (seen,) = _play(lab, [], look=True, macs=case.macs, recorded=expected[number : number + 1])
            yield Played(text(step), OK, seen.observed)


def _play(lab: Lab, steps: list[Step], *, look: bool, macs: frozenset[str], recorded: list[Flat]) -> list[Played]:
    asked = json.dumps({"steps": steps, "look": look, "macs": sorted(macs), "recorded": recorded})
    return [Played(**item) for item in json.loads(lab.run(PYTHON, 300, input=asked).stdout)]


def _from_outside(lab: Lab, step: Step) -> None:
    words = step["run"].split()
    cards = {card.netdev: card.id for card in hardware.CARDS}
    if words == ["reboot"]:
        lab.reboot()
    elif words[0] == "pull":
        lab.monitor(f"device_del {cards[words[1]]}")
        lab.run(f"timeout 60 sh -c 'while [ -e /sys/class/net/{words[1]} ]; do sleep 0.1; done'")
    else:
        lab.monitor(f"set_link {cards[words[1]]} {'on' if words[2] == 'in' else 'off'}")
