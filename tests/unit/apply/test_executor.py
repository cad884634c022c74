"""The executor: what it does when all goes well, and when something doesn't."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from reconciler.apply import view
from reconciler.apply.executor import Executor
from reconciler.apply.journal import Journal, read_journal
from reconciler.apply.outcome import Outcome, Progress
from reconciler.apply.runs import last_run
from reconciler.apply.view import View
from reconciler.diagnostics import ReconcilerError
from reconciler.host.model import Applied, Hang, Libvirt, Network, NetworkPort, Nic, Process, Snapshot
from reconciler.host.protocol import HostError, NicMatch, Scope, VfSet
from reconciler.kinds.action import Action
from reconciler.plan.document import Plan, dump_plan
from reconciler.plan.planner import make_plan
from tests.hosts import DataHost, desired, guest, host, igb

FILE = """
[pf.int]
match = { name = "enp1s0" }
link = "up"
vfs = 3

[pf.int.vf.0]
mac = "52:54:00:6d:90:00"
max_tx_rate = 10

[pf.int.vf.1]
link_state = "enable"
vlan = 5

[domain.web.nic.a]
vf = "int/1"
mac = "52:54:00:6d:90:01"

[domain.web.nic.b]
vf = "int/2"
mac = "52:54:00:6d:90:02"
"""


PF = "pci/0000:01:00.0"


class Jumps:
    """A clock by which each look at it costs ten seconds, and a pause nothing."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 10
        return self.now

    def sleep(self, seconds: float, /) -> None:
        self.now += seconds


class Listener:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def start(self, total: int) -> None:
        self.told.append(f"start {total}")

    def begin(self, action: dict[str, object]) -> None:
        self.told.append(f"begin {action['id']}")

    def end(self, action_id: str, outcome: str, seconds: float, error: str) -> None:
        self.told.append(f"{outcome} {action_id}")

    def finish(self) -> None:
        self.told.append("finish")


def executor(
    machine: DataHost,
    journal: Journal,
    progress: Progress,
    observed: Snapshot | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Executor:
    """One that works on data in memory."""
    return Executor(
        View(machine, machine.clock, observed or machine.observe(), "run"), machine, journal, progress, stopped
    )


def run(
    machine: DataHost, plan: Plan, folder: Path, observed: Snapshot | None = None, *, stop_after: int | None = None
) -> tuple[dict[str, Outcome], Listener]:
    listener = Listener()
    journal = Journal(folder, "run", {"plan.json": dump_plan(plan)}, {"at": "now"})

    def stopped() -> bool:
        done = [line for line in listener.told if line.startswith("changed")]
        return stop_after is not None and len(done) >= stop_after

    try:
        outcomes = executor(machine, journal, listener, observed, stopped).execute(plan.actions)
    finally:
        journal.close()
    return {outcome.id: outcome for outcome in outcomes}, listener


def clean() -> Snapshot:
    return host(igb(1), domains=[guest("web", running=True)])


def test_every_action_is_announced_on_disk_before_it_is_done(tmp_path: Path) -> None:
    plan = make_plan(desired(FILE), clean())
    outcomes, _ = run(DataHost(clean()), plan, tmp_path)
    assert {outcome.outcome for outcome in outcomes.values()} == {"changed"}
    records = read_journal(tmp_path / "runs" / "run")
    announced: set[str] = set()
    for record in records:
        if record["event"] == "begin":
            announced.update(record["actions"])
        if record["event"] == "done":
            assert set(record["actions"]) <= announced
    assert announced == set(outcomes)
    assert json.loads((tmp_path / "runs" / "run" / "plan.json").read_text())["format"] == "reconciler-plan/1"
    assert (tmp_path / "runs").stat().st_mode & 0o777 == 0o700


def test_attributes_of_one_pf_are_one_batch(tmp_path: Path) -> None:
    plan = make_plan(desired(FILE), clean())
    run(DataHost(clean()), plan, tmp_path)
    batches = [r["actions"] for r in read_journal(tmp_path / "runs" / "run") if r["event"] == "begin"]
    assert [len(batch) for batch in batches if batch[0].startswith("vf.set")] == [3]


def test_a_refused_attribute_stops_only_what_needs_it(tmp_path: Path) -> None:
    machine = DataHost(clean(), refuse=["link_state"])
    outcomes, _ = run(machine, make_plan(desired(FILE), clean()), tmp_path)
    by_kind = {key: value.outcome for key, value in outcomes.items()}
    failed = [key for key, kind in by_kind.items() if kind == "failed"]
    left = [key for key, kind in by_kind.items() if kind == "skipped"]
    assert failed == ["vf.set pf.int.vf.1"]
    assert "EOPNOTSUPP" in outcomes[failed[0]].error
    assert left == ["nic.attach domain.web.nic.a"]
    assert "vf.set pf.int.vf.1" in outcomes[left[0]].error
    assert by_kind["nic.attach domain.web.nic.b"] == "changed"
    assert machine.state.pfs["pci/0000:01:00.0"].vfs[0].attributes["max_tx_rate"] == 10  # type: ignore[index]


def test_what_is_already_right_is_not_written(tmp_path: Path) -> None:
    plan = make_plan(desired(FILE), clean())
    machine = DataHost(clean())
    run(machine, plan, tmp_path)
    machine.calls.clear()
    outcomes, _ = run(machine, plan, tmp_path / "again")
    assert machine.calls == []
    assert {outcome.outcome for outcome in outcomes.values()} <= {"unchanged", "changed"}
    assert outcomes["pf.set_numvfs pf.int"].outcome == "unchanged"


class Forgetful(DataHost):
    """A kernel that says yes and does nothing."""

    def set_link(self, pf: str, up: bool) -> None:
        self.calls.append("pf.set_link")


def test_success_without_effect_is_a_failure(tmp_path: Path) -> None:
    machine = Forgetful(clean())
    machine.clock = Jumps()
    outcomes, _ = run(machine, make_plan(desired(FILE), clean()), tmp_path)
    assert outcomes["pf.set_link pf.int"].outcome == "failed"
    assert "was still not there" in outcomes["pf.set_link pf.int"].error
    assert outcomes["pf.set_numvfs pf.int"].outcome == "skipped"


class Taken(DataHost):
    """Between plan and apply a guest has taken a VF."""

    def observe(self) -> Snapshot:
        fresh = super().observe()
        nic = Nic("interface", "ua-other", "52:54:00:00:00:99", fresh.pfs["pci/0000:01:00.0"].vfs[0].address)
        fresh.libvirt.domains["web"].live = [nic]
        return fresh


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is just being let go of gets no time."""
    monkeypatch.setattr(view, "_LETTING_GO", 0.0)


@pytest.mark.usefixtures("impatient")
def test_vfs_are_not_destroyed_under_a_guest_that_came_late(tmp_path: Path) -> None:
    before = host(igb(1, 2, up=True, carrier=True), domains=[guest("web", running=True)])
    plan = make_plan(desired('[pf.int]\nmatch = { name = "enp1s0" }\nvfs = 3\n'), before)
    machine = Taken(before)
    outcomes, _ = run(machine, plan, tmp_path, before)
    assert machine.calls == []
    assert outcomes["pf.set_numvfs pf.int"].outcome == "failed"
    assert "guest web (ua-other)" in outcomes["pf.set_numvfs pf.int"].error
    assert outcomes["pf.set_numvfs pf.int #2"].outcome == "skipped"


class LettingGo(DataHost):
    """QEMU closes its VFIO group a moment after libvirt said that the NIC is off."""

    def observe(self) -> Snapshot:
        fresh = super().observe()
        self.state.vfio_open = {}
        return fresh


def test_who_is_just_letting_go_gets_a_moment(tmp_path: Path) -> None:
    before = host(igb(1, 2, up=True, carrier=True))
    before.pfs[PF].vfs[0].driver = "vfio-pci"
    plan = make_plan(desired('[pf.int]\nmatch = { name = "enp1s0" }\nvfs = 3\n'), before)
    machine = LettingGo(before)
    machine.state.vfio_open = {100: [Process(7, "qemu")]}
    outcomes, _ = run(machine, plan, tmp_path, before)
    assert {outcome.outcome for outcome in outcomes.values()} == {"changed"}


class LatePool(DataHost):
    """A guest takes a VF of a pool that is about to be stopped."""

    def observe(self) -> Snapshot:
        fresh = super().observe()
        fresh.libvirt.networks["p"].ports = [NetworkPort("web")]
        return fresh


@pytest.mark.usefixtures("impatient")
def test_a_pool_is_not_stopped_under_a_guest_that_came_late(tmp_path: Path) -> None:
    before = host(igb(1, 2), networks=[Network("p", "u", active=True, mode="hostdev", pf_dev="enp1s0")])
    machine = LatePool(before)
    outcomes, _ = run(machine, make_plan(desired('[pool.p]\nstate = "absent"\n'), before), tmp_path, before)
    assert machine.calls == []
    assert "guest web" in outcomes["pool.stop pool.p"].error


class LibvirtDies(DataHost):
    """libvirt stops answering after the plan was made."""

    def observe(self) -> Snapshot:
        fresh = super().observe()
        fresh.libvirt = Libvirt(reason="The daemon is gone.")
        return fresh

    def refresh(self, snapshot: Snapshot, scope: Scope) -> None:
        super().refresh(snapshot, scope)
        if scope.kind in ("domain", "pool"):
            snapshot.libvirt = Libvirt(reason="The daemon is gone.")


def test_without_libvirt_no_nic_is_taken_for_gone(tmp_path: Path) -> None:
    nic = Nic("interface", "ua-rec-a", "52:54:00:00:00:01", "0000:01:10.0")
    before = host(igb(1, 2, up=True), domains=[guest("web", running=True, live=[nic], config=[nic])])
    text = '[pf.int]\nmatch = { name = "enp1s0" }\n[domain.web.nic.a]\nstate = "absent"\n'
    machine = LibvirtDies(before)
    outcomes, _ = run(machine, make_plan(desired(text), before), tmp_path, before)
    assert machine.calls == []
    assert [(o.outcome, o.written) for o in outcomes.values()] == [("failed", False)]
    assert "The daemon is gone." in next(iter(outcomes.values())).error


def test_without_libvirt_vfs_that_guests_may_have_are_not_destroyed(tmp_path: Path) -> None:
    before = host(igb(1, 2, up=True))
    machine = LibvirtDies(before)
    plan = make_plan(desired('[pf.int]\nmatch = { name = "enp1s0" }\nvfs = 3\n'), before)
    outcomes, _ = run(machine, plan, tmp_path, before)
    assert machine.calls == []
    assert "not known which guests" in outcomes["pf.set_numvfs pf.int"].error


class Broken(DataHost):
    """A fault in our own code."""

    def set_vfs(self, pf: str, requests: Sequence[VfSet]) -> list[HostError | None]:
        raise ValueError("boom")


def test_a_fault_fails_its_actions_and_what_needs_them_and_no_more(tmp_path: Path) -> None:
    text = FILE + '[pf.ext]\nmatch = { name = "enp2s0" }\nvfs = 1\n'
    before = host(igb(1), igb(2), domains=[guest("web", running=True)])
    outcomes, listener = run(Broken(before), make_plan(desired(text), before), tmp_path)
    assert "ValueError: boom" in outcomes["vf.set pf.int.vf.0"].error
    assert outcomes["vf.set pf.int.vf.0"].written
    assert outcomes["pf.set_numvfs pf.ext"].outcome == "changed"
    assert listener.told[-1] == "finish"
    faults = [r for r in read_journal(tmp_path / "runs" / "run") if r["event"] == "fault"]
    assert "Traceback" in faults[0]["traceback"]


class Forgotten(DataHost):
    """A driver that doesn't list a VF for a while."""

    def refresh(self, snapshot: Snapshot, scope: Scope) -> None:
        super().refresh(snapshot, scope)
        snapshot.pfs[PF].vfs[0].attributes = None


@pytest.mark.parametrize("more", ["", "[pf.int.vf.1]\ntrust = true\n"])
def test_half_a_struct_is_not_completed_from_nothing(tmp_path: Path, more: str) -> None:
    before = host(igb(1, 2, up=True, carrier=True))
    text = f'[pf.int]\nmatch = {{ name = "enp1s0" }}\n[pf.int.vf.0]\nmax_tx_rate = 200\n{more}'
    machine = Forgotten(before)
    outcomes, _ = run(machine, make_plan(desired(text), before), tmp_path, before)
    first = outcomes["vf.set pf.int.vf.0"]
    assert (first.outcome, first.written) == ("failed", False)
    assert "could not be read" in first.error
    assert machine.calls == (["vf.set"] if more else [])


class Deaf(Listener):
    """A terminal that is gone."""

    def _gone(self, *_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    start = begin = end = finish = _gone  # type: ignore[assignment]


def test_progress_that_nobody_can_be_told_of_changes_nothing(tmp_path: Path) -> None:
    machine, plan = DataHost(clean()), make_plan(desired(FILE), clean())
    journal = Journal(tmp_path, "run", {"plan.json": dump_plan(plan)}, {})
    outcomes = executor(machine, journal, Deaf()).execute(plan.actions)
    journal.close()
    assert {outcome.outcome for outcome in outcomes} == {"changed"}


class Vanishing(DataHost):
    """A card that is pulled after its VFs were made."""

    def set_vfs(self, pf: str, requests: Sequence[VfSet]) -> list[HostError | None]:
        del self.state.pfs[pf]
        return [HostError("The kernel refused a VF attribute.", "No such device", errno=errno.ENODEV) for _ in requests]


def test_a_card_that_vanishes_is_told_and_nothing_crashes(tmp_path: Path) -> None:
    outcomes, listener = run(Vanishing(clean()), make_plan(desired(FILE), clean()), tmp_path)
    assert outcomes["vf.set pf.int.vf.0"].outcome == "failed"
    assert listener.told[-1] == "finish"
    assert len(outcomes) == len(make_plan(desired(FILE), clean()).actions)


@pytest.mark.parametrize("pf", [PF, ""])
def test_a_hang_that_outlives_the_last_card_is_told(tmp_path: Path, pf: str) -> None:
    found = host(loaded=["igbvf"])
    found.hangs = [Hang(50, "sh", "/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs", pf)]
    plan = make_plan(desired(FILE), clean())
    plan.actions = [Action("unload", "modules.unload", "modules.blacklist", {"module": "igbvf"})]
    machine = DataHost(found)
    outcomes, _ = run(machine, plan, tmp_path, found)
    assert outcomes["unload"].error.startswith("A write would wait behind one that hangs. The kernel hangs: process 50")
    assert machine.calls == []


def test_an_interrupt_ends_the_run_after_the_step_under_way(tmp_path: Path) -> None:
    machine = DataHost(clean())
    outcomes, _ = run(machine, make_plan(desired(FILE), clean()), tmp_path, stop_after=1)
    kinds = [outcome.outcome for outcome in outcomes.values()]
    assert kinds[0] == "changed"
    assert set(kinds[1:]) == {"skipped"}


class Unplugger(DataHost):
    """A guest that doesn't answer the unplug request."""

    def detach_nic(self, domain: str, match: NicMatch, *, live: bool, config: bool) -> None:
        if live:
            self.calls.append("nic.detach")
        else:
            super().detach_nic(domain, match, live=live, config=config)

    def refresh(self, snapshot: Snapshot, scope: Scope) -> None:
        super().refresh(snapshot, scope)


def test_a_guest_that_does_not_answer_keeps_its_nic(tmp_path: Path) -> None:
    nic = Nic("interface", "ua-rec-a", "52:54:00:00:00:01", "0000:01:10.0")
    before = host(igb(1, 2, up=True, carrier=True), domains=[guest("web", running=True, live=[nic], config=[nic])])
    text = '[pf.int]\nmatch = { name = "enp1s0" }\n[domain.web.nic.a]\nstate = "absent"\n'
    machine = Unplugger(before)
    machine.clock = Jumps()
    outcomes, _ = run(machine, make_plan(desired(text), before), tmp_path)
    assert [o.outcome for o in outcomes.values()] == ["failed"]
    assert "has not answered" in next(iter(outcomes.values())).error
    assert machine.calls == ["nic.detach"]
    assert machine.state.libvirt.domains["web"].config == [nic]


def test_a_nic_leaves_the_guest_and_then_the_definition(tmp_path: Path) -> None:
    nic = Nic("interface", "ua-rec-a", "52:54:00:00:00:01", "0000:01:10.0")
    before = host(igb(1, 2, up=True), domains=[guest("web", running=True, live=[nic], config=[nic])])
    text = '[pf.int]\nmatch = { name = "enp1s0" }\n[domain.web.nic.a]\nstate = "absent"\n'
    machine, plan = DataHost(before), make_plan(desired(text), before)
    outcomes, _ = run(machine, plan, tmp_path)
    assert [o.outcome for o in outcomes.values()] == ["changed"]
    assert machine.calls == ["nic.detach", "nic.detach"]
    machine.state.libvirt.domains["web"].config = [nic]  # Gone from the guest only, as after a kill.
    machine.calls.clear()
    run(machine, plan, tmp_path / "again")
    assert machine.calls == ["nic.detach"]
    assert machine.state.libvirt.domains["web"].config == []


def test_a_journal_that_cannot_be_written_stops_before_the_first_change(tmp_path: Path) -> None:
    machine = DataHost(clean())
    plan = make_plan(desired(FILE), clean())
    journal = Journal(tmp_path, "run", {"plan.json": dump_plan(plan)}, {})
    journal.close()
    journal._file = os.open("/dev/full", os.O_WRONLY)
    outcomes = executor(machine, journal, Listener()).execute(plan.actions)
    assert machine.calls == []
    assert {outcome.outcome for outcome in outcomes} == {"failed", "skipped"}
    assert "No space left" in outcomes[0].error
    journal.close()


def test_a_killed_run_is_found_with_what_it_was_doing(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "20260101T000000-1", {}, {})
    journal.write("begin", actions=["a"])
    journal.write("done", actions=["a"])
    journal.write("begin", actions=["b", "c"])
    journal.close()
    with (tmp_path / "runs" / "20260101T000000-1" / "journal.jsonl").open("a") as file:
        file.write('{"event": "done", "acti')
    found = last_run(tmp_path)
    assert found is not None
    assert (found.name, found.unfinished) == ("20260101T000000-1", ["b", "c"])
    journal = Journal(tmp_path, "20260102T000000-1", {}, {})
    journal.write("end", code=0)
    journal.close()
    found = last_run(tmp_path)
    assert found is not None
    assert found.end is not None


def test_a_run_that_cannot_begin_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("reconciler.apply.journal.append_synced", full)
    with pytest.raises(ReconcilerError):
        Journal(tmp_path, "20260102T000000-1", {}, {})
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_run_that_was_killed_before_it_began_is_none(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "20260101T000000-1", {}, {})
    journal.write("begin", actions=["a"])
    journal.close()
    (tmp_path / "runs" / "20260102T000000-1").mkdir()
    found = last_run(tmp_path)
    assert found is not None
    assert (found.name, found.unfinished) == ("20260101T000000-1", ["a"])


def test_what_was_written_to_vfs_that_are_gone_is_forgotten(tmp_path: Path) -> None:
    """An attribute that the driver doesn't report is written again when its VF was made again."""
    before = host(igb(1, 2, up=True, carrier=True))
    for vf in before.pfs["pci/0000:01:00.0"].vfs:
        assert vf.attributes is not None
        del vf.attributes["trust"]
    before.ledger = {f"pci/0000:01:00.0/{index}": {"trust": Applied(True, "boot-1")} for index in range(2)}
    plan = make_plan(desired('[pf.int]\nmatch = { name = "enp1s0" }\nvfs = 3\n'), before)
    machine = DataHost(before)
    journal = Journal(tmp_path, "run", {"plan.json": dump_plan(plan)}, {})
    carried = executor(machine, journal, Listener(), before)
    carried.execute(plan.actions)
    journal.close()
    assert not any("trust" in fields for key, fields in carried.view.host.ledger.items() if key.endswith(("/0", "/1")))


def test_what_the_kernel_refuses_as_a_whole_was_not_written(tmp_path: Path) -> None:
    before = host(igb(1, 2, up=True, carrier=True))
    plan = make_plan(desired('[pf.int]\nmatch = { name = "enp1s0" }\n[pf.int.vf.0]\ntrust = true\n'), before)
    outcomes, _ = run(DataHost(before, refuse=["trust"]), plan, tmp_path)
    assert [(o.outcome, o.written) for o in outcomes.values()] == [("failed", False)]


class Unheard(DataHost):
    """A kernel that does it, and whose acknowledgement is lost."""

    def set_vfs(self, pf: str, requests: Sequence[VfSet]) -> list[HostError | None]:
        super().set_vfs(pf, requests)
        return [HostError("No answer.", "timed out", errno=errno.ETIMEDOUT) for _ in requests]


def test_what_was_not_acknowledged_may_have_been_written(tmp_path: Path) -> None:
    before = host(igb(1, 2, up=True, carrier=True))
    plan = make_plan(desired('[pf.int]\nmatch = { name = "enp1s0" }\n[pf.int.vf.0]\nvlan = 5\n'), before)
    outcomes, _ = run(Unheard(before), plan, tmp_path)
    assert [(o.outcome, o.written) for o in outcomes.values()] == [("failed", True)]


class Short(DataHost):
    """A driver that takes any count and makes two VFs (bnxt when its firmware has no more resources)."""

    def set_numvfs(self, pf: str, count: int, deadline: float) -> None:
        super().set_numvfs(pf, min(count, 2), deadline)


def test_fewer_vfs_than_ordered_are_counted_and_not_waited_for(tmp_path: Path) -> None:
    machine = Short(clean())
    machine.clock = Jumps()
    outcomes, _ = run(machine, make_plan(desired(FILE), clean()), tmp_path)
    made = outcomes["pf.set_numvfs pf.int"]
    assert made.outcome == "failed"
    assert made.written
    assert "igb took the order and made 2 of 3 VFs" in made.error
