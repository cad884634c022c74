"""Plays steps inside the lab: reads ``{"look": …, "steps": […], "macs": […], "recorded": […]}`` as JSON and prints what
was seen as JSON. Run there as root with ``python3 -m tests.conformance.in_lab``."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import asdict

from reconciler.host.local.reader import LocalReader
from reconciler.host.local.writer import LocalWriter
from reconciler.host.model import Snapshot
from tests.conformance.cases import Step
from tests.conformance.comparable import Flat, flat
from tests.conformance.playing import Played, play
from tests.conformance.refusals import OK, said

_URI = "qemu:///system"
_DEADLINE = 40.0
_APART = 0.25
"""Seconds between two looks that must be the same."""


def main() -> None:
    """Plays what standard input asks for. The first thing seen is the host before any step."""
    asked = json.load(sys.stdin)
    reader = LocalReader(_URI)

    def settle(step: Step, expected: Flat | None) -> Snapshot:
        return _settled(reader, step, asked["macs"], expected)

    recorded: list[Flat | None] = asked["recorded"]
    start = []
    if asked["look"]:
        start = [Played("", OK, flat(settle({}, recorded[0] if recorded else None), asked["macs"]))]
    played = play(asked["steps"], asked["macs"], _shell, LocalWriter(_URI), settle, recorded[len(start) :])
    json.dump([asdict(item) for item in start + played], sys.stdout)


def _shell(command: str) -> str:
    # Not sh: dash says "I/O error" whatever the kernel said.
    environment = {"PATH": "/usr/sbin:/usr/bin", "LC_ALL": "C"}
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment, check=False)
    return OK if done.returncode == 0 else said(done.stderr)


def _settled(reader: LocalReader, step: Step, macs: list[str], expected: Flat | None) -> Snapshot:
    """What is seen when nothing moves any more: udev is idle, and it is what was recorded; or links and netdevs that
    have to come are there, and two looks in a row are the same. At the deadline it is what it is."""
    if step.get("write") == "set_vfs" or " vf " in step.get("run", ""):
        return reader.observe()  # An attribute is there when the kernel has answered.
    time.sleep(step.get("pause", 0))
    deadline = time.monotonic() + _DEADLINE
    before: Snapshot | None = None
    while True:
        subprocess.run(["udevadm", "settle", "--timeout=20"], check=True)
        now = reader.observe()
        if expected is not None and flat(now, macs) == expected:
            return now
        same = before is not None and flat(before, ()) == flat(now, ())
        if (same and not _moving(now, step)) or time.monotonic() > deadline:
            return now
        before = now
        time.sleep(_APART)


def _moving(snapshot: Snapshot, step: Step) -> bool:
    """Whether something is still on its way."""
    if "gone" in step:
        domain, alias = step["gone"]
        if any(nic.alias == alias for nic in snapshot.libvirt.domains[domain].live):
            return True
    for pf in snapshot.pfs.values():
        # The cards of the lab that are up always get a link, unless the step is about a cable.
        if pf.up and not pf.carrier and pf.bus == "pci" and not step.get("cable"):
            return True
        for vf in pf.vfs:
            waits = vf.driver is not None and "vfio" not in vf.driver
            if waits and (vf.netdev is None or re.fullmatch(r"eth\d+", vf.netdev)):
                return True
    return False


if __name__ == "__main__":
    main()
