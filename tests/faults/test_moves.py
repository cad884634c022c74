"""A guest that moves from one simulated host to another, with everything that can go wrong at every order on both
sides: it is never on neither, in the end on exactly one, and whole there."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import signal
from collections.abc import Callable, Iterator
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
from tests.faults.world import Disk, Killed

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


@pytest.fixture(scope="module")
def nowhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("made")


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


POINTS_OF_KILLS = (("A", 1), ("B", 1), ("A", 2), ("B", 2))
KINDS = [
    "error",
    "hangs",
    "killed",
    "SIGTERM",
    "systemctl stop libvirtd",
    "systemctl restart libvirtd",
    "virsh start db1",
]
ORDERS = {"A": 2, "B": 2}
"""To take the NICs out and to undefine; to define and to set autostart."""
POINTS = [
    Point(side, number, kind, after)
    for side, orders in ORDERS.items()
    for number in range(1, orders + 1)
    for kind in KINDS
    for after in (False, True)
]
SECOND = [
    (first, Point(side, number, kind, after))
    for first in (Point("B", 1, "error", after=True), Point("A", 2, "error"), Point("B", 1, "hangs"))
    for side, number in (("A", 2), ("A", 3), ("B", 2))
    for kind in ("error", "hangs", "killed", "systemctl stop libvirtd", "virsh start db1")
    for after in (False, True)
]
"""On the way back, too."""
KILLED = [Point(side, number, "killed", after) for side, number in POINTS_OF_KILLS for after in (False, True)]
AGAIN = [
    Point(side, number, kind, after)
    for side in SIDES
    for number in (1, 2)
    for kind in ("killed", "error", "hangs")
    for after in (False, True)
]
"""While the same command takes back, or finishes, what a kill has left."""
OTHERS = {
    "redefined": ("A", None),
    "renamed": ("A", ["virsh", "domrename", "db1", "db2"]),
    "undefined": ("A", ["virsh", "undefine", "db1"]),
    "started": ("A", ["virsh", "start", "db1"]),
    "started there": ("B", ["virsh", "start", "db1"]),
    "undefined there": ("B", ["virsh", "undefine", "db1"]),
}
"""What somebody does between a kill and the next command."""


@pytest.fixture(autouse=True)
def _watched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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


def test_without_a_fault_it_moves(nowhere: Path) -> None:
    begin(nowhere)
    before = db1("A")
    assert before is not None
    assert tried((), before) == []
    assert where() == "B"


def test_whatever_goes_wrong_it_is_on_one_side(nowhere: Path) -> None:
    lost = {}
    for point in POINTS:
        begin(nowhere)
        before = db1("A")
        assert before is not None
        wrong = tried((point,), before)
        if wrong:
            lost[str(point)] = wrong
    assert not lost, told(lost)


def test_also_when_the_way_back_goes_wrong(nowhere: Path) -> None:
    lost = {}
    for points in SECOND:
        begin(nowhere)
        before = db1("A")
        assert before is not None
        wrong = tried(points, before)
        if wrong:
            lost[" and ".join(map(str, points))] = wrong
    assert not lost, told(lost)


def test_whatever_it_reads_goes_wrong(nowhere: Path) -> None:
    """At every reading on both sides libvirt goes away, or the command is killed."""
    begin(nowhere)
    for name in SIDES:
        Point(name, 1000, "error", reading=True).inject()  # Else they are not counted.
    before = {name: TwinHost.open(Path(f"{name}.sim")).twin().reads for name in SIDES}
    assert command(*MOVE)[0] == 0
    counts = {name: TwinHost.open(Path(f"{name}.sim")).twin().reads - before[name] for name in SIDES}
    assert min(counts.values()) >= 5
    lost = {}
    for side, count in counts.items():
        for number in range(1, count + 1):
            for kind in ("killed", "systemctl stop libvirtd"):
                begin(nowhere)
                was = db1("A")
                assert was is not None
                point = Point(side, number, kind, reading=True)
                wrong = tried((point,), was)
                if wrong:
                    lost[str(point)] = wrong
    assert not lost, told(lost)


def test_killed_also_while_the_first_kill_is_dealt_with(nowhere: Path) -> None:
    lost = {}
    for first in KILLED:
        for again in AGAIN:
            begin(nowhere)
            before = db1("A")
            assert before is not None
            first.inject()
            assert command(*MOVE)[0] is None
            heal()
            wrong = tried((again,), before)
            if wrong:
                lost[f"{first} and {again}"] = wrong
    assert not lost, told(lost)


@pytest.mark.parametrize("what", OTHERS)
def test_what_others_do_after_a_kill_is_left_as_it_is(nowhere: Path, what: str) -> None:
    """At whichever order it was killed: nobody's change is lost, and the guest is in the end on at most one side, on
    none only if somebody has undefined it."""
    lost = {}
    for first in KILLED:
        begin(nowhere)
        first.inject()
        assert command(*MOVE)[0] is None
        heal()
        side, words = OTHERS[what]
        if db1(side) is None:
            continue
        theirs = _done_by_others(side, words)
        code, said = command(*MOVE)
        wrong = []
        twin = TwinHost.open(Path("A.sim")).twin()
        names = [name for name, domain in twin.libvirt.domains.items() if domain.uuid == UUID]
        if what == "redefined" and "THEIRS" not in "".join(item.xml for name in SIDES if (item := db1(name))):
            wrong.append("their change is lost")
        if what == "renamed" and names != ["db2"]:
            wrong.append(f"it is called {names} here")
        if what == "undefined" and names:
            wrong.append("it was defined anew")
        if what.startswith("started") and not theirs():
            wrong.append("it was undefined while it ran")
        if len([*names, *filter(None, [db1("B")])]) > 1 and code != 4:
            wrong.append(f"exit {code}, and it is on both sides")
        if what not in ("undefined", "undefined there") and not names and db1("B") is None:
            wrong.append("it is on neither side")
        if wrong:
            lost[f"{first}, then {what}"] = [*wrong, f"exit {code}", said]
    assert not lost, told(lost)


def _done_by_others(side: str, words: list[str] | None) -> Callable[[], bool]:
    """Does it; whether the guest runs, to be asked later."""
    if words is None:
        made_by_hand = guests.TwinGuests(TwinHost.open(Path(f"{side}.sim")), Path(f"{side}.sim"))
        found = made_by_hand.find("db1")
        assert found is not None
        made_by_hand.define(found.xml.replace("keep me", "THEIRS"))
    else:
        assert command("sim", "run", f"{side}.sim", *words)[0] == 0

    def runs() -> bool:
        domain = TwinHost.open(Path(f"{side}.sim")).twin().libvirt.domains.get("db1")
        return domain is not None and domain.running

    return runs


def test_what_the_destination_drops_brings_it_back(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As libvirt does with what it doesn't know."""
    genuine = guests._define

    def define(twin: Twin, xml: str) -> None:
        genuine(twin, xml.replace('<unheard-of level="3"/>', "") if twin.host.name == "B" else xml)

    monkeypatch.setattr(guests, "_define", define)
    begin(nowhere)
    before = db1("A")
    assert before is not None
    code, said = command(*MOVE)
    assert (code, judge(code, said, before)) == (3, []), said
    assert "/unheard-of (empty) is not there" in said


def test_a_full_disk_loses_nothing(nowhere: Path) -> None:
    """Neither at the first record nor at any other one."""
    lost = {}
    for number in range(1, 14):
        for stays in (False, True):
            begin(nowhere)
            before = db1("A")
            assert before is not None
            with Disk(number, stays).mounted():
                code, said = command(*MOVE)
            wrong = judge(code, said, before)
            again = command(*MOVE)[0] if code != 0 and where() != "B" else 0
            if again != 0 or where() != "B":
                wrong.append(f"run again: exit {again}, and it is on {where() or 'neither'}")
            if wrong:
                lost[f"record {number}, stays {stays}"] = [*wrong, said]
    assert not lost, told(lost)


def test_one_without_vfs_moves_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    begin(tmp_path_factory.mktemp("no-vfs"), NICS[NICS.index("[domain.db1.nic.data]") :])
    code, said = command(*MOVE)
    assert (code, where()) == (0, "B"), said
