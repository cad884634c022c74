"""VFs that are corrected as guests come and go."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.apply.hygiene import Tenants
from reconciler.apply.journal import JOURNAL
from reconciler.apply.lock import locked
from reconciler.apply.watch import AT_MOST, EVERY, Pass, Watch, wait_for_events
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.host.model import Nic, Process, Snapshot
from reconciler.state.desired import Attributes, Desired
from reconciler.state.load import load
from tests.hosts import DataHost, desired, guest, host, igb
from tests.unit.host.twin.twins import INT, attach, attributes, do, lab

PF = "pci/0000:01:00.0"
FILE = """
[pf.int]
match.name = "enp1s0"
[pf.int.vf_defaults]
max_tx_rate = 100
[pf.int.vf.2]
vlan = 9
[domain.web1.nic.data]
pool = "p"
trust = true
[pool.p]
vfs = ["int/0-1"]
"""


class Seconds:
    """A clock that goes on when it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float, /) -> None:
        self.now += seconds


class Scripted:
    """Events at these seconds; after the last wait it stops."""

    trouble = ""

    def __init__(self, clock: Seconds, *at: float, waits: int = 100) -> None:
        self.clock, self.at, self.left, self.waited = clock, list(at), waits, 0

    def wait(self, seconds: float) -> bool:
        self.waited += 1
        until = self.clock.now + seconds
        if self.at and self.at[0] <= until:
            self.clock.now = max(self.clock.now, self.at.pop(0))
            return True
        self.clock.now = until
        return False

    def stopped(self) -> bool:
        return self.waited >= self.left

    def wake(self) -> None: ...

    def close(self) -> None: ...


class World:
    """A host of data with its watch. ``nics``: who has which VFs, as libvirt says."""

    def __init__(self, folder: Path, text: str = FILE) -> None:
        self.folder, self.text = folder, text
        self.clock = Seconds()
        pf = igb(1, 4, up=True, carrier=True, speed=1000)
        for vf in pf.vfs:
            self._set(vf.attributes, max_tx_rate=100, vlan=9 if vf.index == 2 else 0)
        self.machine = DataHost(host(pf, domains=[guest("web1"), guest("web2")]))
        self.machine.clock = self.clock
        self.watch = self.again()

    def again(self) -> Watch:
        """The service, started anew."""
        tenants = Tenants(self.folder / "guests")
        folder = self.folder / "state"
        return Watch(self.machine, self.machine, tenants, self.read, folder, self.folder / "lock", clock=self.clock)

    def read(self) -> Desired:
        return load("host.toml", f"schema = 1\n{self.text}".encode())

    def gives(self, name: str, *vfs: int, method: str = "hostdev", alias: str = "ua-rec-data") -> None:
        """From now on a guest runs with these VFs, or is off without any."""
        where = [self.machine.state.pfs[PF].vfs[index].address for index in vfs]
        domain = self.machine.state.libvirt.domains[name]
        domain.running = bool(vfs)
        domain.live = [Nic(method, alias, None, address, pool="p" if method == "pool" else None) for address in where]  # type: ignore[arg-type]

    def by_hand(self, index: int, **values: object) -> None:
        self._set(self.machine.state.pfs[PF].vfs[index].attributes, **values)

    @staticmethod
    def _set(found: Attributes | None, **values: object) -> None:
        assert found is not None
        found.update(values)  # type: ignore[arg-type]

    def vf(self, index: int) -> Attributes:
        return dict(self.machine.state.pfs[PF].vfs[index].attributes or {})

    def lines(self) -> list[str]:
        done = self.watch.once()
        assert done.code == ExitCode.OK, done
        return [str(change) for change in done.corrected]

    @property
    def notes(self) -> dict[str, list[int]]:
        noted = Tenants(self.folder / "guests").noted()
        return {name: sorted(index for _, index in vfs) for name, vfs in noted.items()}


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    assert made.lines() == []
    return made


# -------------------------------------------------------------------------------------- guests come and go


def test_a_nic_that_is_plugged_in_gets_what_is_declared_and_no_leftovers(world: World) -> None:
    world.by_hand(1, max_tx_rate=9000, spoofchk=False)
    world.gives("web1", 1, method="pool")
    assert world.lines() == [
        "int/1: max_tx_rate 9000 -> 100 (guest web1)",
        "int/1: spoofchk false -> true (guest web1)",
        "int/1: trust false -> true (guest web1)",
    ]
    assert world.vf(1)["trust"] is True
    assert world.notes == {"web1": [1]}
    assert world.lines() == []


def test_when_the_guest_is_gone_its_vf_goes_back(world: World) -> None:
    world.gives("web1", 1, method="pool")
    world.lines()
    world.by_hand(1, mac="52:54:00:00:00:09", vlan=7)
    world.gives("web1")
    assert world.lines() == [
        "int/1: mac 52:54:00:00:00:09 -> 00:00:00:00:00:00 (guest web1 had it)",
        "int/1: vlan 7 -> 0 (guest web1 had it)",
        "int/1: trust true -> false (guest web1 had it)",
    ]
    assert world.vf(1) == {**world.vf(0)}
    assert world.vf(1)["max_tx_rate"] == 100
    assert world.notes == {}


def test_one_of_two_vfs_is_taken_out_while_the_guest_runs(world: World) -> None:
    world.gives("web2", 1, 2)
    world.lines()
    world.by_hand(1, trust=True)
    world.by_hand(2, trust=True)
    world.gives("web2", 2)
    assert world.lines() == ["int/1: trust true -> false (guest web2 had it)"]
    assert world.vf(2)["trust"] is True
    assert world.notes == {"web2": [2]}


def test_a_pool_guest_that_comes_up_on_another_vf_has_its_own_there(world: World) -> None:
    world.gives("web1", 0, method="pool")
    world.lines()
    world.gives("web1", 1, method="pool")
    assert world.lines() == [
        "int/0: trust true -> false (guest web1 had it)",
        "int/1: trust false -> true (guest web1)",
    ]


def test_what_a_restart_of_the_service_must_not_forget(world: World) -> None:
    world.gives("web2", 3)
    world.lines()
    world.by_hand(3, trust=True)
    world.watch = world.again()
    world.gives("web2")
    assert world.lines() == ["int/3: trust true -> false (guest web2 had it)"]


def test_the_first_look_takes_no_guest_by_surprise(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.gives("web2", 3)
    world.by_hand(3, trust=True, max_tx_rate=50, mac="52:54:00:00:00:09")
    assert world.lines() == ["int/3: max_tx_rate 50 -> 100 (guest web2)"]
    assert world.vf(3)["trust"] is True
    assert world.notes == {"web2": [3]}


def test_by_hand_beside_the_file_stays_and_against_it_does_not(world: World) -> None:
    world.gives("web2", 3)
    world.lines()
    world.by_hand(3, trust=True)
    world.by_hand(0, spoofchk=False)
    world.by_hand(2, vlan=4)
    assert world.lines() == ["int/2: vlan 4 -> 9 (nobody has it)"]
    assert world.vf(3)["trust"] is True
    assert world.vf(0)["spoofchk"] is False


def test_what_a_new_guest_could_not_be_given_is_tried_again(world: World) -> None:
    world.by_hand(3, trust=True)
    world.gives("web2", 3)
    world.machine.refuse = {"trust"}
    assert world.watch.once().code == ExitCode.FAILED
    world.machine.refuse = set()
    assert world.lines() == ["int/3: trust true -> false (guest web2)"]
    world.by_hand(3, trust=True)
    assert world.lines() == []


def test_at_the_first_look_a_vf_that_the_hook_noted_for_another_guest_is_new(tmp_path: Path) -> None:
    world = World(tmp_path)
    tenants = Tenants(tmp_path / "guests")
    with tenants.alone():
        tenants.note("web2", [(PF, 3)])
    world.gives("web1", 3, alias="ua-other")
    world.by_hand(3, spoofchk=False)
    assert world.lines() == ["int/3: spoofchk false -> true (guest web1)"]
    assert world.notes == {"web1": [3]}


# -------------------------------------------------------------------------------------- nobody is disturbed


def test_a_late_reset_does_not_hit_the_next_guest(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.gives("web2", 3)
    world.lines()
    world.by_hand(3, trust=True, max_tx_rate=100)
    world.gives("web2")
    looks = _before_look(monkeypatch, world, 2, lambda: world.gives("web1", 3, method="hostdev"))
    world.text += '\n[domain.web1.nic.more]\nvf = "int/3"\nmethod = "hostdev"\ntrust = true\n'
    assert world.lines() == []
    assert looks() == 2
    assert world.vf(3)["trust"] is True
    assert world.notes == {"web1": [3]}


def test_a_guest_that_starts_between_look_and_write_stops_the_pass(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.gives("web2", 3)
    world.lines()
    world.by_hand(3, trust=True)
    world.gives("web2")
    tenants = Tenants(world.folder / "guests")

    def hook() -> None:
        with tenants.alone():
            tenants.note("web1", [(PF, 3)])

    _after_look(monkeypatch, world, 2, hook)
    done = world.watch.once()
    assert (done.corrected, done.again) == ([], True)
    assert world.machine.calls == []
    assert world.notes == {"web1": [3], "web2": [3]}


def test_a_process_that_still_has_the_vf_is_waited_for(world: World) -> None:
    world.gives("web2", 3)
    world.lines()
    world.by_hand(3, trust=True)
    world.gives("web2")
    vf = world.machine.state.pfs[PF].vfs[3]
    vf.driver = "vfio-pci"
    world.machine.state.vfio_open = {vf.iommu_group or 0: [Process(9, "qemu-system-x86", "web2")]}
    done = world.watch.once()
    assert (done.corrected, done.again) == ([], True)
    assert world.notes == {"web2": [3]}
    world.machine.state.vfio_open = {}
    assert world.lines() == ["int/3: trust true -> false (guest web2 had it)"]


def test_what_a_guest_would_notice_is_said_and_left(world: World) -> None:
    world.text += "[pf.int.vf.3]\nmac = '52:54:00:00:00:33'\nlink_state = 'disable'\n"
    world.lines()
    world.gives("web2", 3)
    world.lines()
    world.by_hand(3, mac="52:54:00:00:00:34", link_state="auto", max_tx_rate=7)
    done = world.watch.once()
    assert [str(change) for change in done.corrected] == ["int/3: max_tx_rate 7 -> 100 (guest web2)"]
    mac, link = done.complaints
    assert mac.startswith(
        "int/3: not corrected: mac 52:54:00:00:00:34 -> 52:54:00:00:00:33. guest web2 has it, and igb"
    )
    assert "--allow vf-traffic --target pf.int.vf.3" in mac
    assert "would lose its link" in link
    assert world.vf(3)["mac"] == "52:54:00:00:00:34"


def test_a_vf_that_the_planner_would_pick_is_nobodys_yet(world: World) -> None:
    world.text += '[domain.web2.nic.fast]\npf = "int"\nmethod = "hostdev"\nmac = "52:54:00:00:00:44"\n'
    assert world.lines() == []


# -------------------------------------------------------------------------------------- not now


def test_without_libvirt_nothing_is_known_and_nothing_reset(world: World) -> None:
    world.gives("web2", 3)
    world.lines()
    world.by_hand(3, trust=True)
    world.by_hand(2, vlan=4)
    libvirt = world.machine.state.libvirt
    libvirt.available, libvirt.reason, libvirt.domains = False, "It is down.", {}
    done = world.watch.once()
    assert (done.code, done.corrected) == (ExitCode.UNOBSERVED, [])
    assert "It is down." in done.complaints[0]
    assert world.notes == {"web2": [3]}
    libvirt.available, libvirt.domains = True, {"web1": guest("web1"), "web2": guest("web2")}
    assert len(world.lines()) == 2


def test_while_a_run_is_under_way_the_pass_is_put_off(world: World) -> None:
    world.by_hand(2, vlan=4)
    with locked("apply host.toml", "now", world.folder / "lock"):
        done = world.watch.once()
    assert (done.code, done.corrected, done.again) == (ExitCode.LOCKED, [], True)
    assert "apply host.toml" in done.busy
    assert world.vf(2)["vlan"] == 4
    assert world.lines() == ["int/2: vlan 4 -> 9 (nobody has it)"]


def test_nothing_to_do_takes_no_lock(world: World) -> None:
    with locked("apply host.toml", "now", world.folder / "lock"):
        assert world.watch.once() == Pass()


@pytest.mark.parametrize(("boot", "waits"), [("boot-1", True), ("boot-0", False)])
def test_while_a_run_waits_for_its_confirmation_nothing_is_corrected(world: World, boot: str, waits: bool) -> None:
    run = world.folder / "state" / "runs" / "1"
    run.mkdir(parents=True)
    records = [{"event": "run", "boot_id": boot}, {"event": "armed", "unit": "u", "until": 1.0}]
    (run / JOURNAL).write_text("".join(f"{json.dumps(record)}\n" for record in records))
    world.by_hand(2, vlan=4)
    done = world.watch.once()
    assert bool(done.corrected) is not waits
    assert (world.vf(2)["vlan"] == 4) is waits
    assert any("Run 1 waits for its confirmation" in item for item in done.complaints) is waits


def test_an_invalid_file_and_one_of_another_host(world: World) -> None:
    good, world.text = world.text, "pf = 3\n"
    world.by_hand(2, vlan=4)
    done = world.watch.once()
    assert (done.code, done.corrected) == (ExitCode.INVALID, [])
    assert done.complaints[0].startswith("host.toml:2:")
    world.text = '[host]\nname = "elsewhere"\n' + good
    assert world.watch.once().code == ExitCode.REFUSED
    assert world.vf(2)["vlan"] == 4
    world.text = good
    assert len(world.lines()) == 1


# -------------------------------------------------------------------------------------- no fights, no floods


def test_a_fight_is_given_up_until_something_changes(world: World) -> None:
    for _ in range(3):
        world.by_hand(2, vlan=4)
        assert len(world.lines()) == 1
        world.clock.now += 10
        world.lines()
    world.by_hand(2, vlan=4)
    done = world.watch.once()
    assert done.corrected == []
    assert "corrected 3 times, and it did not hold" in done.complaints[0]
    assert world.vf(2)["vlan"] == 4
    world.by_hand(2, vlan=5)
    assert world.lines() == ["int/2: vlan 5 -> 9 (nobody has it)"]


def test_what_held_for_long_is_no_fight(world: World) -> None:
    for _ in range(5):
        world.by_hand(2, vlan=4)
        assert len(world.lines()) == 1
        world.clock.now += 2 * EVERY
        assert world.lines() == []


def test_what_is_refused_is_tried_three_times_and_said(world: World) -> None:
    world.machine.refuse = {"vlan"}
    world.by_hand(2, vlan=4)
    codes = [world.watch.once() for _ in range(4)]
    assert [done.code for done in codes] == [ExitCode.FAILED] * 3 + [ExitCode.OK]
    assert "EOPNOTSUPP" in codes[0].complaints[0]
    assert "did not hold" in codes[3].complaints[0]


def test_what_could_not_be_reset_stays_noted(world: World) -> None:
    world.gives("web2", 3)
    world.lines()
    world.by_hand(3, trust=True)
    world.gives("web2")
    world.machine.refuse = {"trust"}
    assert world.watch.once().code == ExitCode.FAILED
    assert world.notes == {"web2": [3]}
    world.machine.refuse = set()
    assert world.lines() == ["int/3: trust true -> false (guest web2 had it)"]
    assert world.notes == {}


def test_what_could_not_be_reset_is_the_next_guests_affair(world: World) -> None:
    world.gives("web2", 3)
    world.lines()
    world.by_hand(3, trust=True)
    world.gives("web2")
    world.machine.refuse = {"trust"}
    world.watch.once()
    world.gives("web1", 3, alias="ua-other")
    world.watch.once()
    assert world.notes == {"web1": [3]}


def test_what_stands_is_not_said_again_after_a_pass_that_was_put_off(world: World) -> None:
    world.text += "[pf.int.vf.3]\nmac = '52:54:00:00:00:33'\n"
    world.lines()
    world.gives("web2", 3)
    world.lines()
    world.by_hand(3, mac="52:54:00:00:00:34")
    said: list[str] = []

    class Busy(Scripted):
        """Another run is under way at the second pass."""

        def wait(self, seconds: float) -> bool:
            world.by_hand(2, vlan=4)
            if self.waited == 0:
                self.run = locked("apply host.toml", "now", world.folder / "lock")
                self.run.__enter__()
            elif self.waited == 1:
                self.run.__exit__(None, None, None)
            return super().wait(seconds)

    events = Busy(world.clock, waits=3)
    lines: list[str] = []
    world.watch.run(events, events.stopped, lines.append, said.append)
    assert lines == ["int/2: vlan 4 -> 9 (nobody has it)"]
    assert len(said) == 1
    assert said[0].startswith("int/3: not corrected: mac")


def test_what_stands_is_said_once_and_again_when_it_comes_back(world: World) -> None:
    good = world.text
    events = Scripted(world.clock, waits=3)
    said: list[str] = []
    world.text = "pf = 3\n"
    world.watch.run(events, events.stopped, said.append, said.append)
    assert len(said) == 1
    world.text = good
    events.left += 1
    world.watch.run(events, events.stopped, said.append, said.append)
    assert len(said) == 1
    world.text = "pf = 3\n"
    events.left += 1
    world.watch.run(events, events.stopped, said.append, said.append)
    assert len(said) == 2


def test_each_correction_is_a_line(world: World) -> None:
    events = Scripted(world.clock, waits=1)
    lines: list[str] = []
    world.by_hand(2, vlan=4)
    world.watch.run(events, events.stopped, lines.append, pytest.fail)
    assert lines == ["int/2: vlan 4 -> 9 (nobody has it)"]


def test_what_is_put_off_is_tried_soon_and_then_ever_more_rarely(world: World) -> None:
    events = Scripted(world.clock, waits=4)
    world.by_hand(2, vlan=4)
    with locked("apply host.toml", "now", world.folder / "lock"):
        world.watch.run(events, events.stopped, pytest.fail, pytest.fail)
    assert world.clock.now == 5 + 10 + 20 + 40


# -------------------------------------------------------------------------------------- when


@pytest.mark.parametrize(
    ("events", "ends"),
    [
        ((), EVERY),
        ((7.0,), 8.0),
        ((7.0, 7.5, 8.2), 9.2),
        (tuple(7 + n / 2 for n in range(100)), 7 + AT_MOST),
    ],
)
def test_it_waits_for_quiet_and_not_for_ever(events: tuple[float, ...], ends: float) -> None:
    clock = Seconds()
    wait_for_events(Scripted(clock, *events), clock, EVERY)
    assert clock.now == pytest.approx(ends)


# -------------------------------------------------------------------------------------- on the twin


def test_plug_in_and_take_out_on_the_twin(tmp_path: Path) -> None:
    twin = lab(vfs=4)
    text = (
        '[pf.int]\nmatch.name = "enp1s0"\n[domain.web1.nic.net]\nvf = "int/2"\nmac = "52:54:00:6d:90:01"\ntrust = true'
    )
    watch = Watch(
        twin, twin, Tenants(tmp_path / "guests"), lambda: desired(text), tmp_path / "state", tmp_path / "lock"
    )
    watch.once()
    attach(twin, "web1", 2)
    do(twin, "ip link set enp1s0 vf 2 trust off")
    assert [str(change) for change in watch.once().corrected] == ["int/2: trust false -> true (guest web1)"]
    do(twin, "ip link set enp1s0 vf 2 spoofchk off")
    do(twin, "ip link set enp1s0 vf 2 max_tx_rate 90")
    assert watch.once().corrected == []
    do(twin, "virsh detach-device-alias web1 ua-rec-net --live --config")
    twin.sleep(30)
    assert [str(change) for change in watch.once().corrected] == [
        "int/2: max_tx_rate 90 -> 0 (guest web1 had it)",
        "int/2: spoofchk false -> true (guest web1 had it)",
    ]
    assert attributes(twin, 2)["trust"] is True
    assert twin.observe().pfs[INT].vfs[2].attributes is not None


def test_a_stopped_libvirt_on_the_twin(tmp_path: Path) -> None:
    twin = lab(vfs=2)
    text = '[pf.int]\nmatch.name = "enp1s0"\nvf_defaults.trust = true'
    watch = Watch(
        twin, twin, Tenants(tmp_path / "guests"), lambda: desired(text), tmp_path / "state", tmp_path / "lock"
    )
    do(twin, "systemctl stop libvirtd")
    assert watch.once().code == ExitCode.UNOBSERVED
    assert attributes(twin, 0)["trust"] is False
    do(twin, "systemctl start libvirtd")
    assert len(watch.once().corrected) == 2


def _before_look(
    monkeypatch: pytest.MonkeyPatch, world: World, number: int, do: Callable[[], None]
) -> Callable[[], int]:
    return _at_look(monkeypatch, world, number, do, before=True)


def _after_look(
    monkeypatch: pytest.MonkeyPatch, world: World, number: int, do: Callable[[], None]
) -> Callable[[], int]:
    return _at_look(monkeypatch, world, number, do, before=False)


def _at_look(
    monkeypatch: pytest.MonkeyPatch, world: World, number: int, do: Callable[[], None], *, before: bool
) -> Callable[[], int]:
    """Lets something happen right before or after the n-th look at the host."""
    looks = 0
    observe = world.machine.observe

    def observed() -> Snapshot:
        nonlocal looks
        looks += 1
        if looks == number and before:
            do()
        found = observe()
        if looks == number and not before:
            do()
        return found

    monkeypatch.setattr(world.machine, "observe", observed)
    return lambda: looks


def test_a_host_that_can_not_be_read_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def observed() -> Snapshot:
        raise ReconcilerError("The kernel does not answer.", "RTNL is held.")

    monkeypatch.setattr(world.machine, "observe", observed)
    assert world.watch.once() == Pass(complaints=["The kernel does not answer. RTNL is held."], code=ExitCode.FAILED)
