"""Two simulated hosts and a guest that moves from one to the other, what can go wrong with that, and what is wrong
afterwards."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from unittest import mock

import pytest

from reconciler.cli.main import run
from reconciler.host.guests import Definition
from reconciler.host.model import Domain
from reconciler.host.twin import faults, guests, libvirt
from reconciler.host.twin.clock import settle
from reconciler.host.twin.host import TwinHost
from reconciler.host.twin.state import Fault, Twin
from tests.faults.world import Killed

PORTS = """
schema = 1
[pf.int]
match = { name = "enp1s0" }
link = "up"
vfs = 4
vf_driver = "none"
[pf.ext]
match = { name = "enp2s0" }
link = "up"
vfs = 4
vf_driver = "none"
[pool.shared]
vfs = ["ext/2-3"]
"""
NICS = """
[domain.db1.nic.mgmt]
vf = "int/1"
mac = "52:54:00:6d:90:13"
vlan = 200
[domain.db1.nic.fast]
pf = "ext"
method = "hostdev"
mac = "52:54:00:6d:90:14"
[domain.db1.nic.data]
pool = "shared"
mac = "52:54:00:6d:90:15"
"""
OURS = "<metadata><x:note xmlns:x='urn:example'>keep me</x:note></metadata><unheard-of level='3'/>"
SIDES = ("A", "B")
UUID = "7b1f0001-0000-4000-8000-000000000002"
MOVE = ["--host", "sim:A.sim", "migrate", "db1", "--to", "sim:B.sim", "--yes"]


def command(*arguments: str) -> tuple[int | None, str]:
    """A command in this process, with its exit code (``None``: it was killed) and all that it said."""
    said = io.StringIO()
    with _signals(), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            return run(list(arguments)), said.getvalue()
        except Killed:
            return None, said.getvalue()


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    with mock.patch("reconciler.cli.interrupts._say"):
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@cache
def made(folder: Path, nics: str) -> dict[str, bytes]:
    """Both hosts before the move."""
    with contextlib.chdir(folder):
        for name in SIDES:
            assert command("sim", "new", f"{name}.sim", "--profile", "igb-lab")[0] == 0
            with TwinHost.open(Path(f"{name}.sim")).changing() as twin:
                twin.host.name = name
                if name == "B":
                    twin.libvirt.domains = {"other": Domain("other", "00000000-0000-4000-8000-00000000000f")}
            Path("host.toml").write_text(PORTS + (nics if name == "A" else ""))
            code, said = command("--host", f"sim:{name}.sim", "apply", "host.toml", "--yes")
            assert code == 0, said
        side = guests.TwinGuests(TwinHost.open(Path("A.sim")), Path("A.sim"))
        found = side.find("db1")
        assert found is not None
        side.define(found.xml.replace("<vcpu>", f"{OURS}<vcpu>"))
        side.set_autostart(found.uuid, True)
        return {name: Path(f"{name}.sim").read_bytes() for name in SIDES}


def begin(folder: Path, nics: str = NICS) -> None:
    """Puts both hosts, with nothing on record, into the present folder."""
    known = made(folder, nics)
    for name in SIDES:
        Path(f"{name}.sim").write_bytes(known[name])
        shutil.rmtree(f"{name}.sim.state", ignore_errors=True)


def db1(name: str) -> Definition | None:
    """The guest as one side has it."""
    twin = TwinHost.open(Path(f"{name}.sim")).twin()
    return guests._definition(twin, twin.libvirt.domains.get("db1"))


def where() -> str:
    """On which sides it is."""
    return "".join(name for name in SIDES if db1(name) is not None)


@dataclass(frozen=True, slots=True)
class Point:
    """What goes wrong at which order to which side."""

    side: str
    number: int
    kind: str
    after: bool = False
    reading: bool = False

    def __str__(self) -> str:
        what = "reading " if self.reading else ""
        return f"{self.kind} {'after' if self.after else 'before'} {what}{self.side}{self.number}"

    def inject(self) -> None:
        """From the next command on."""
        fault = {
            "error": Fault(self.number, "errno", errno.EIO, self.after),
            "hangs": Fault(self.number, "hang", 0, self.after),
            "killed": Fault(self.number, "crash", 0, self.after),
            "SIGTERM": Fault(self.number, "errno", -signal.SIGTERM, self.after),
        }.get(self.kind, Fault(self.number, "do", 0, self.after, self.kind))
        fault.reading = self.reading
        with TwinHost.open(Path(f"{self.side}.sim")).changing() as twin:
            faults.inject(twin, fault)


def watch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A kill ends the command and not this process; nobody undefines a guest that the other side doesn't have."""
    monkeypatch.chdir(tmp_path)
    genuine_fail, genuine_undefine = TwinHost._fail, guests._undefine

    def fail(self: TwinHost, twin: Twin, fault: Fault, pf: str) -> None:
        if fault.kind == "crash":
            raise Killed
        if fault.errno < 0:
            os.kill(os.getpid(), -fault.errno)
        else:
            genuine_fail(self, twin, fault, pf)

    def undefine(twin: Twin, uuid: str) -> None:
        here = twin.libvirt.domains["db1"]
        if not here.running:
            other = TwinHost.open(Path("B.sim" if twin.host.name == "A" else "A.sim")).twin()
            assert any(item.uuid == UUID for item in other.libvirt.domains.values()), "it would be on neither side"
        genuine_undefine(twin, uuid)

    monkeypatch.setattr(TwinHost, "_fail", fail)
    monkeypatch.setattr(guests, "_undefine", undefine)


def heal() -> None:
    """Both answer again, and nobody has it running."""
    for name in SIDES:
        with TwinHost.open(Path(f"{name}.sim")).changing() as twin:
            faults.clear(twin)
            settle(twin)
            if not twin.libvirt.available:
                libvirt.service(twin, "start")
            if "db1" in twin.libvirt.domains and twin.libvirt.domains["db1"].running:
                libvirt.stop(twin, "db1")


def judge(code: int | None, said: str, before: Definition) -> list[str]:
    """What is not so although the exit code says it, or that it is nowhere."""
    here, there = db1("A"), db1("B")
    domain = TwinHost.open(Path("A.sim")).twin().libvirt.domains.get("db1")
    if domain is not None and domain.running and len(domain.live) < 3 and "without NIC" not in said:
        return ["it runs here without its NICs, and nobody says so"]
    whole = here is not None and (here.xml, here.autostart) == (before.xml, before.autostart)
    match code:
        case 0 if here is not None or there is None or not there.autostart:
            return [f"exit 0, and it is on {where()}"]
        case 1 | 3 | 130 if not whole or there is not None:
            return [f"exit {code}, and it is on {where()}, whole here: {whole}"]
        case 4 if "Error: db1" not in said and "Error: " not in said.partition("did not come to its end")[2]:
            return ["exit 4, and it doesn't say what to do"]
        case 0 | 1 | 3 | 4 | 130 | None:
            return [] if where() else ["it is nowhere"]
    return [f"exit {code}"]


def tried(points: tuple[Point, ...], before: Definition) -> list[str]:
    """What is wrong after these faults, and after the same command was run again when they are over."""
    for point in points:
        point.inject()
    code, said = command(*MOVE)
    wrong = judge(code, said, before)
    if "Something unexpected" in said or "Traceback" in said:
        wrong.append("a fault of our own")
    heal()
    if code == 0:
        return [*wrong, said] if wrong else []
    again, then = command(*MOVE)
    if db1("A") is None and db1("B") is not None and again == 64:
        again = 0  # It had come to its end, and there is nothing to do.
    there = db1("B")
    if again != 0 or where() != "B" or there is None or not there.autostart:
        wrong.append(f"run again: exit {again}, and it is on {where() or 'neither'}: {then}")
    elif "keep me" not in there.xml or "unheard-of" not in there.xml or "ua-rec-data" not in there.xml:
        wrong.append(f"run again: it is not whole: {there.xml}")
    elif "ua-rec-mgmt" in there.xml or "hostdev" in there.xml:
        wrong.append(f"run again: it has a VF of the other host: {there.xml}")
    return [*wrong, said] if wrong else []


def told(lost: dict[str, list[str]]) -> str:
    return f"{len(lost)} lost:\n" + "\n".join(f"{name}:\n    " + "\n    ".join(wrong) for name, wrong in lost.items())
