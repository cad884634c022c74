"""Measuring in the lab: by the clock of the lab itself, so that the way there doesn't count."""

from __future__ import annotations

from contrib.bench.measure import CandidateFailed
from tests.lab.machinery import Lab

READY = "bench"
"""The snapshot that a module begins from: the lab's clean host with the checkout's code in it and in its page cache."""


def make_ready(lab: Lab) -> None:
    """Brings up the lab and makes its snapshot `READY`."""
    ran_before = lab.running()
    lab.up()
    if ran_before:
        lab.restore()
    lab.push()
    lab.run("reconciler inspect && ip -V && virsh version && lsmod && modprobe --dry-run netdevsim", 300)
    lab.save(READY)


def seconds(lab: Lab, command: str, *, timeout: float = 300) -> float:
    """Runs a command line in the lab and returns how long it took there. Raises `CandidateFailed` unless its status is
    0. What it says is thrown away: a command that shall be checked is followed by another one."""
    timed = f"begun=${{EPOCHREALTIME/./}}\n{{ {command}\n}} >/tmp/bench.out 2>/tmp/bench.err\ncode=$?\n"
    timed += 'echo "$code $((${EPOCHREALTIME/./} - begun))"\n'
    done = lab.run("bash", timeout, check=False, input=timed)
    code, _, micros = done.stdout.strip().rpartition("\n")[2].partition(" ")
    if done.returncode or code != "0":
        told = lab.run("tail -c 2000 /tmp/bench.out /tmp/bench.err", check=False).stdout
        raise CandidateFailed(f"{command}: exit code {code or done.returncode}\n{told}{done.stderr}")
    return int(micros) / 1e6


_TIMED = """
import runpy, sys, time
from reconciler.apply.journal import Journal
write, begun, ended = Journal.write, [], []

def timed(self, event, **fields):
    before = time.perf_counter()
    write(self, event, **fields)
    if event == "begin":
        begun.append(before)
    if event == "done":
        ended.append(time.perf_counter())

Journal.write = timed
try:
    runpy.run_module("reconciler", run_name="__main__", alter_sys=True)
finally:
    if ended:
        with open("/tmp/bench.steps", "w") as file:
            file.write(str(ended[-1] - begun[0]))
"""
"""The command as it is, with a look at the clock as it writes its journal."""


def steps_and_whole(lab: Lab, arguments: str) -> tuple[float, float]:
    """Runs an apply that has something to do. Seconds of its steps, from before the journal announces the first to
    after their end is on record; and those of the whole process."""
    lab.run("cat >/tmp/bench-timed.py", input=_TIMED)
    place = "PYTHONPATH=/opt/reconciler/src:/opt/reconciler/deps"
    whole = seconds(lab, f"rm -f /tmp/bench.steps; {place} python3 /tmp/bench-timed.py apply {arguments} --yes")
    return float(lab.run("cat /tmp/bench.steps").stdout), whole


def versions(lab: Lab) -> dict[str, str]:
    """Of what is compared with, in the lab."""
    asked = {
        "kernel": "uname -r",
        "python": "python3 --version | cut -d' ' -f2",
        "iproute2": "ip -V | sed 's/.*iproute2-//; s/,.*//'",
        "libvirt": "virsh --version",
        "systemd": "systemctl --version | sed -n '1s/systemd \\([^ ]*\\).*/\\1/p'",
        "netplan": "dpkg-query -W -f '${Version}' netplan.io 2>/dev/null || true",
    }
    return {name: lab.run(command).stdout.strip() for name, command in asked.items()}
