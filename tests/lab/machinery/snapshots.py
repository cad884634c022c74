"""Saving the lab's state so that it can be restored, and waking the lab up after a restore.

QEMU saves a virtual processor that is just running a nested guest, but refuses to restore one under emulation
("vCPU set in guest-mode inconsistent with migrated kernel nested state", cpu_post_load in its
target/i386/machine.c). So guests in the lab are frozen while a snapshot is taken, and thawed when it is done
and after each restore. They notice nothing but a jump of the clock.
"""

import re
import time

from tests.lab.machinery.errors import LabError
from tests.lab.machinery.machine import Machine
from tests.lab.machinery.shell import Shell

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,40}")
"""What a snapshot may be called: it has to survive the monitor's command line."""

_GUESTS = "/sys/fs/cgroup/machine.slice"
"""The control group that libvirt puts guests into; it comes with the first guest."""

_FREEZE = f"""
    [ -e {_GUESTS} ] || exit 0
    echo 1 >{_GUESTS}/cgroup.freeze
    timeout 30 sh -c 'until grep -qx "frozen 1" {_GUESTS}/cgroup.events; do sleep 0.05; done'
"""
_THAW = f"[ ! -e {_GUESTS} ] || echo 0 >{_GUESTS}/cgroup.freeze"


def save(machine: Machine, shell: Shell, name: str) -> None:
    """Keep the present state, memory and disk, as the snapshot `name`, replacing one of that name."""
    if not NAME.fullmatch(name):
        raise LabError(f"a snapshot's name has letters, digits, '_', '.' and '-'; this one is {name!r}")
    try:
        shell.run(_FREEZE)
        # A connection in the snapshot would be one that nobody has the other end of.
        shell.disconnect()
        machine.save(name)
    finally:
        shell.run(_THAW)


def load(machine: Machine, shell: Shell, name: str, port: int | None = None) -> None:
    """Start QEMU from a snapshot; returns when ssh answers, the clock is right and guests run."""
    machine.start(shell.image, name, port)
    shell.connect(120)
    wake(shell)


def wake(shell: Shell) -> None:
    """Let guests run on, and set the clock, which is still that of the snapshot."""
    shell.run(f"date --set=@{time.time():.3f} && {{ {_THAW}; }}")
