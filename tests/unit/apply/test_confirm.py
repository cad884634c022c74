"""Commit-confirm on the lab's twin: what is done before the confirmation is gone after a power cycle or when the time
is over, and the confirmation makes it last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from reconciler.apply import confirm as confirm_module
from reconciler.apply import rollback as rollback_module
from reconciler.apply.confirm import Countdown, confirm_run, is_due
from reconciler.apply.journal import add_record
from reconciler.apply.ledger import read_ledger
from reconciler.apply.rollback import Rollback, take_back_run
from reconciler.apply.run import RunResult, carry_out
from reconciler.apply.runs import RecordedRun, recorded_runs
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.host.model import Snapshot
from reconciler.host.protocol import HostError, PoolSpec
from reconciler.host.twin.boot import reboot
from reconciler.host.twin.host import TwinHost
from reconciler.host.twin.profiles import make_from
from reconciler.plan.confirm import halves_of, without_way_back
from reconciler.plan.difference import differences
from reconciler.plan.document import Plan
from reconciler.plan.planner import make_plan
from reconciler.state.desired import Desired
from reconciler.state.load import load
from tests.unit.apply.test_executor import Listener

STATE = Path(__file__).parents[3] / "states" / "lab.toml"


class Timers:
    """What systemd was asked for."""

    def __init__(self) -> None:
        self.armed: dict[str, tuple[int, list[str]]] = {}
        self.refuse = False

    def arm(self, unit: str, seconds: int, argv: Sequence[str]) -> None:
        if self.refuse:
            raise HostError("systemd refused.", "It has no time.")
        self.armed[unit] = (seconds, list(argv))

    def disarm(self, unit: str) -> None:
        del self.armed[unit]

    def willing(self, last: RecordedRun) -> list[str]:
        """Those that would take it back if they fired now."""
        return [unit for unit in self.armed if is_due(last, unit)]


class Scene:
    """A twin of the lab, its state file, and runs on record."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = TwinHost(make_from("igb-lab"))
        self.timers = Timers()
        self.desired: Desired = load("lab.toml", STATE.read_bytes())
        self.before: Snapshot = self.host.observe()
        self.plan: Plan = make_plan(self.desired, self.host.observe())

    def observe(self) -> Snapshot:
        snapshot = self.host.observe()
        snapshot.ledger = read_ledger(self.folder)[0]
        return snapshot

    def apply(self) -> RunResult:
        timer = Countdown(30, self.timers.arm, self.timers.disarm, lambda unit: ["rollback", unit])
        result = self.run(timer)
        if result.code == ExitCode.OK:
            timer.begin_again(self.folder / "runs" / result.run, result.run)
        return result

    def run(self, timer: Countdown) -> RunResult:
        return carry_out(
            self.plan,
            self.desired,
            self.observe(),
            reader=self.host,
            writer=self.host,
            state_dir=self.folder,
            progress=Listener(),
            stopped=lambda: False,
            halves=halves_of(self.plan.actions),
            arm=timer.start,
        )

    @property
    def last(self) -> RecordedRun:
        return recorded_runs(self.folder)[0]

    def confirm(self) -> RunResult:
        return confirm_run(
            self.last,
            self.desired,
            self.observe(),
            reader=self.host,
            writer=self.host,
            state_dir=self.folder,
            progress=Listener(),
            disarm=self.timers.disarm,
        )

    def take_back_of(
        self, run: RecordedRun, attempts: Sequence[RecordedRun] = (), confirmed: RecordedRun | None = None
    ) -> tuple[str, Rollback]:
        return take_back_run(
            run,
            self.observe(),
            confirmed=confirmed,
            attempts=attempts,
            reader=self.host,
            writer=self.host,
            state_dir=self.folder,
            progress=Listener(),
        )

    def take_back(self, confirmed: RecordedRun | None = None) -> list[str]:
        done = self.take_back_of(self.last, confirmed=confirmed)[1]
        assert done.complete, (done.left, [o for o in done.outcomes if o.error])
        return differences(self.before, self.host.observe(), self.plan.actions)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_nothing_lasting_is_written_before_the_confirmation(scene: Scene) -> None:
    assert scene.apply().code == ExitCode.OK
    now = scene.host.observe()
    assert [vf.index for vf in now.pfs["pci/0000:01:00.0"].vfs] == list(range(7))
    assert now.libvirt.networks["sriov-ext"].active
    assert not now.libvirt.networks["sriov-ext"].persistent
    assert any(nic.alias == "ua-rec-mgmt" for nic in now.libvirt.domains["web1"].live)
    for name, domain in now.libvirt.domains.items():
        assert domain.config == scene.before.libvirt.domains[name].config
    assert now.modules.own is None
    assert {entry.module for entry in now.modules.blacklist or []} >= {"igbvf"}
    assert scene.last.waits
    ((seconds, command),) = scene.timers.armed.values()
    assert (seconds, command) == (30, ["rollback", f"reconciler-{scene.last.name}-2"])


def test_after_a_power_cycle_the_old_state_is_back(scene: Scene) -> None:
    scene.apply()
    with scene.host.changing() as twin:
        reboot(twin)
    after = scene.host.observe()
    assert after.libvirt.networks == scene.before.libvirt.networks
    assert after.modules.own is None
    assert not any(entry.module == "igbvf" for entry in after.modules.blacklist or [])
    assert all(not pf.vfs for pf in after.pfs.values())
    assert [d.config for d in after.libvirt.domains.values()] == [
        d.config for d in scene.before.libvirt.domains.values()
    ]


def test_the_confirmation_makes_it_last(scene: Scene) -> None:
    scene.apply()
    done = scene.confirm()
    assert done.code == ExitCode.OK, [(o.id, o.error) for o in done.outcomes if o.error]
    assert scene.timers.armed == {}
    now = scene.observe()
    assert make_plan(scene.desired, now).verdict == "in-sync"
    network = now.libvirt.networks["sriov-ext"]
    assert (network.persistent, network.active, network.autostart) == (True, True, True)
    assert any(nic.alias == "ua-rec-mgmt" for nic in now.libvirt.domains["web1"].config)
    assert now.modules.own == ["igbvf"]
    assert not [entry for entry in now.modules.blacklist or [] if "unconfirmed" in entry.file]


def test_when_nobody_confirms_all_is_as_before(scene: Scene) -> None:
    scene.apply()
    assert scene.take_back() == []
    assert not any(entry.module == "igbvf" for entry in scene.host.observe().modules.blacklist or [])
    assert not recorded_runs(scene.folder)[1].waits


def test_a_lasting_pool_runs_with_its_new_list_and_is_defined_by_the_confirmation(scene: Scene) -> None:
    scene.apply()
    scene.confirm()
    scene.before = scene.host.observe()
    scene.desired = load("lab.toml", STATE.read_bytes().replace(b'"ext/3-6"', b'"ext/4-6"'))
    scene.plan = make_plan(scene.desired, scene.observe())
    done = scene.apply()
    assert (done.code, done.unmet) == (ExitCode.OK, [])
    network, old = (host.libvirt.networks["sriov-ext"] for host in (scene.host.observe(), scene.before))
    assert (network.live_addresses, network.addresses) == (old.addresses[1:], old.addresses)
    assert scene.confirm().code == ExitCode.OK
    network = scene.host.observe().libvirt.networks["sriov-ext"]
    assert network.live_addresses == network.addresses == old.addresses[1:]


def test_a_transient_network_that_has_to_stop_has_no_way_back(scene: Scene) -> None:
    scene.apply()
    scene.confirm()
    scene.host.stop_pool("sriov-ext")
    scene.host.undefine_pool("sriov-ext")
    scene.host.create_pool(PoolSpec("sriov-ext", addresses=["0000:02:10.0"]))
    plan = make_plan(scene.desired, scene.observe())
    assert [action.op for action in plan.actions][:3] == ["pool.define", "pool.stop", "pool.start"]
    (told,) = without_way_back(plan.actions)
    assert told.startswith("pool.stop of pool.sriov-ext: the network is transient")


def test_what_was_confirmed_goes_back_as_a_whole(scene: Scene) -> None:
    scene.apply()
    first = scene.last
    scene.confirm()
    assert scene.take_back(first) == []


def test_without_a_timer_nothing_is_written(scene: Scene) -> None:
    scene.timers.refuse = True
    with pytest.raises(ReconcilerError):
        scene.apply()
    assert scene.host.twin().writes == 0
    assert scene.last.end is not None
    assert not scene.last.waits


def test_a_run_is_confirmed_once(scene: Scene) -> None:
    scene.apply()
    scene.confirm()
    with pytest.raises(ReconcilerError):
        confirm_run(
            recorded_runs(scene.folder)[1],
            scene.desired,
            scene.observe(),
            reader=scene.host,
            writer=scene.host,
            state_dir=scene.folder,
            progress=Listener(),
            disarm=scene.timers.disarm,
        )


def test_what_has_no_way_back_is_named(scene: Scene) -> None:
    scene.plan.actions[0].undo.impossible = "of a test"
    assert without_way_back(scene.plan.actions) == [f"{scene.plan.actions[0].op} of modules.blacklist: of a test"]


def test_a_timer_that_cannot_be_stopped_finds_nothing_that_waits(scene: Scene) -> None:
    scene.apply()
    first = scene.last

    def refuse(unit: str) -> None:
        assert not recorded_runs(scene.folder)[0].waits  # That it is confirmed is on record before.
        raise HostError("systemd refused.", "It has no time.")

    scene.timers.disarm = refuse  # type: ignore[method-assign]
    assert scene.confirm().code == ExitCode.OK
    assert first.name in {run.name for run in recorded_runs(scene.folder) if run.settled == "confirmed"}


def test_a_confirmation_without_its_half_of_the_plan_keeps_the_timer(scene: Scene) -> None:
    scene.apply()
    (scene.last.folder / "later.json").write_bytes(b"\0" * 100)
    with pytest.raises(ReconcilerError) as caught:
        scene.confirm()
    assert (caught.value.code, caught.value.summary) == (ExitCode.INVALID, "A run's record is damaged.")
    assert len(scene.timers.armed) == 1
    assert scene.last.waits
    assert scene.take_back() == []


class Killed(BaseException):
    """In place of a kill: nothing of the program handles it."""


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("point", ["arm", "record", "disarm"])
def test_killed_where_the_time_begins_again_one_timer_takes_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, point: str, after: bool
) -> None:
    def killed(call: Callable[..., None]) -> Callable[..., None]:
        def at(*arguments: Any, **named: Any) -> None:
            if after:
                call(*arguments, **named)
            raise Killed

        return at

    timer = Countdown(30, scene.timers.arm, scene.timers.disarm, lambda unit: [unit])
    scene.run(timer)
    assert len(scene.timers.willing(scene.last)) == 1
    match point:
        case "arm":
            timer.arm = killed(scene.timers.arm)
        case "disarm":
            timer.disarm = killed(scene.timers.disarm)
        case _:
            monkeypatch.setattr(confirm_module, "add_record", killed(add_record))
    with pytest.raises(Killed):
        timer.begin_again(scene.last.folder, scene.last.name)
    assert len(scene.timers.willing(scene.last)) == 1


def test_a_timer_that_is_slow_to_stop_leaves_no_time_in_which_none_takes_back(scene: Scene) -> None:
    seen = []

    def slow(unit: str) -> None:
        seen.append(scene.timers.willing(scene.last))
        scene.timers.disarm(unit)

    timer = Countdown(30, scene.timers.arm, slow, lambda unit: [unit])
    scene.run(timer)
    timer.begin_again(scene.last.folder, scene.last.name)
    (second,) = scene.timers.armed
    assert seen == [[second]]
    assert scene.timers.willing(scene.last) == [second]


def test_where_the_record_of_the_timers_is_damaged_any_of_them_takes_back(scene: Scene) -> None:
    scene.apply()
    lines = (scene.last.folder / "journal.jsonl").read_text().splitlines(keepends=True)
    (scene.last.folder / "journal.jsonl").write_text("".join([*lines[:-1], "{torn\n", lines[0]]))
    assert len(scene.timers.willing(scene.last)) == 1


@pytest.mark.parametrize("where", ["undo_of", "repairs_of", "put_back_after_rollback", "differences"])
def test_a_fault_of_our_own_on_the_way_back_has_an_end_too(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def fault(*_: Any) -> None:
        raise KeyError("of a test")

    scene.apply()
    first = scene.last
    with monkeypatch.context() as patch:
        patch.setattr(rollback_module, where, fault)
        _, done = scene.take_back_of(first)
    assert not done.complete
    assert "taking back stopped in the middle: KeyError: 'of a test'. This is a fault in reconciler" in done.left[0]
    assert scene.last.end is not None
    assert (scene.last.end["code"], scene.last.end["unmet"]) == (ExitCode.PARTIAL, done.left)
    assert "of a test" in (scene.last.folder / "journal.jsonl").read_text()
    assert scene.last.partly_back
    assert (done.undone(first.done().actions) == set()) == (where == "undo_of")
    scene.take_back_of(first, [scene.last])
    assert differences(scene.before, scene.host.observe(), scene.plan.actions) == []
