"""Waiting until the lab has booted, and helping a boot that hangs.

Seldom, and on a busy machine only, the emulated processor loses the end of a timer interrupt while the kernel
starts: the local APIC takes the interrupt for one that is still being served, and that processor gets no
other any more. A lab that had booted was not seen to do it. Such a boot never ends, so it is begun anew.
"""

import re
import time

from tests.lab.machinery.basics import say
from tests.lab.machinery.errors import LabError, Timeout
from tests.lab.machinery.hardware import PROCESSORS
from tests.lab.machinery.machine import Machine
from tests.lab.machinery.shell import Shell

WITHIN = 600.0
"""Seconds that a boot may take; about 40 on two cores that do nothing else."""

STRIKES = 3
"""How many looks in a row, each some seconds after the other, must show a hanging interrupt."""


def boot_id(shell: Shell) -> str:
    """What the kernel calls this boot; each has another."""
    return shell.run("cat /proc/sys/kernel/random/boot_id").stdout.strip()


def wait(machine: Machine, shell: Shell, before: str = "") -> None:
    """Return when ssh answers in another boot than `before`."""
    deadline = time.monotonic() + WITHIN
    strikes = 0
    while not _booted(machine, shell, before):
        if time.monotonic() > deadline:
            raise Timeout(f"waited {WITHIN:.0f} s for the lab to boot, in vain:\n{machine.log_end()}")
        strikes = strikes + 1 if _hangs(machine) else 0
        if strikes == STRIKES:
            say("this boot hangs (a lost timer interrupt); resetting the machine")
            machine.command("system_reset")
            strikes = 0
        time.sleep(1)


def _booted(machine: Machine, shell: Shell, before: str) -> bool:
    machine.check_alive()
    shell.disconnect()
    if not shell.open():
        return False
    try:
        return boot_id(shell) != before
    except LabError:
        # It was the old system's last answer: the connection went away with it.
        machine.check_alive()
        return False


def _hangs(machine: Machine) -> bool:
    """Whether an interrupt is being served for half a second; the kernel's need microseconds."""
    served = _served(machine)
    for _ in range(5):
        if not served:
            return False
        time.sleep(0.1)
        served &= _served(machine)
    return bool(served)


def _served(machine: Machine) -> set[tuple[int, str]]:
    """The interrupts that are being served now: processor and vector."""
    result = set()
    for number in range(PROCESSORS):
        state = machine.monitor(f"info lapic {number}")
        found = re.search(r"^ISR\t ([0-9 ]*)", state, re.MULTILINE)
        result |= {(number, vector) for vector in (found[1].split() if found else [])}
    return result
