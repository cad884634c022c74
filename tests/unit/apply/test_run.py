"""A run as a whole: what it ends with, and what it leaves on record."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from reconciler.apply import run as run_module
from reconciler.apply.in_sync import note_in_sync
from reconciler.apply.journal import read_journal
from reconciler.apply.lock import locked
from reconciler.apply.run import RunResult, carry_out
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.host.model import Libvirt, Snapshot
from reconciler.host.protocol import HostError, VfSet
from reconciler.plan.planner import make_plan
from tests.hosts import DataHost, desired, guest, host, igb
from tests.unit.apply.test_executor import Listener

FILE = """
[pf.int]
match = { name = "enp1s0" }
vfs = 2
[pf.int.vf.0]
trust = true
[pool.p]
pf = "int"
"""


def before() -> Snapshot:
    return host(igb(1), domains=[guest("web")])


def run(machine: DataHost, folder: Path, text: str = FILE, targets: Sequence[str] = ()) -> RunResult:
    observed = machine.observe()
    plan = make_plan(desired(text), observed, targets=targets)
    return carry_out(
        plan,
        desired(text),
        observed,
        reader=machine,
        writer=machine,
        state_dir=folder,
        progress=Listener(),
        stopped=lambda: False,
    )


def last_record(folder: Path) -> dict[str, object]:
    return read_journal(next((folder / "runs").iterdir()))[-1]


def test_success_leaves_nothing_to_do(tmp_path: Path) -> None:
    result = run(DataHost(before()), tmp_path)
    assert (result.code, result.unmet, result.warnings) == (ExitCode.OK, [], [])
    assert last_record(tmp_path)["event"] == "end"


class Refusing(DataHost):
    """The first write of all is refused."""

    def set_numvfs(self, pf: str, count: int, deadline: float) -> None:
        raise HostError("The kernel refused.", "EIO")


def test_what_was_begun_is_never_called_nothing(tmp_path: Path) -> None:
    assert run(Refusing(before()), tmp_path).code == ExitCode.PARTIAL


def test_what_was_not_begun_changed_nothing(tmp_path: Path) -> None:
    machine = DataHost(before())
    observed = machine.observe()
    plan = make_plan(desired(FILE), observed)
    del machine.state.pfs["pci/0000:01:00.0"]
    result = carry_out(
        plan,
        desired(FILE),
        observed,
        reader=machine,
        writer=machine,
        state_dir=tmp_path,
        progress=Listener(),
        stopped=lambda: False,
    )
    assert (result.code, machine.calls) == (ExitCode.FAILED, [])


class BlindAfterwards(DataHost):
    """What can be read after the run differs from what could be before."""

    looks = 0

    def observe(self) -> Snapshot:
        self.looks += 1
        fresh = super().observe()
        return self.later(fresh) if self.looks > 1 else fresh

    def later(self, fresh: Snapshot) -> Snapshot:
        raise OSError("no /sys")


class LibvirtGoneAfterwards(BlindAfterwards):
    def later(self, fresh: Snapshot) -> Snapshot:
        fresh.libvirt = Libvirt(reason="The daemon is gone.")
        return fresh


def test_an_end_that_cannot_be_read_is_no_success(tmp_path: Path) -> None:
    result = run(BlindAfterwards(before()), tmp_path)
    assert result.code == ExitCode.PARTIAL
    assert "no /sys" in result.warnings[0]
    assert last_record(tmp_path)["code"] == ExitCode.PARTIAL


@pytest.mark.parametrize("targets", [[], ["pool.p"]])
def test_an_end_that_is_blocked_is_no_success(tmp_path: Path, targets: list[str]) -> None:
    result = run(LibvirtGoneAfterwards(before()), tmp_path, targets=targets)
    assert result.code == ExitCode.PARTIAL
    assert any("The daemon is gone." in item for item in result.unmet)


def test_a_new_plan_that_cannot_be_made_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ReconcilerError("No such target.", code=64)

    machine = DataHost(before())
    observed = machine.observe()
    plan = make_plan(desired(FILE), observed)
    monkeypatch.setattr(run_module, "make_plan", refuse)
    result = carry_out(
        plan,
        desired(FILE),
        observed,
        reader=machine,
        writer=machine,
        state_dir=tmp_path,
        progress=Listener(),
        stopped=lambda: False,
    )
    assert result.code == ExitCode.PARTIAL
    assert result.unmet == ["a new plan can't be made: No such target."]


class Flawed(DataHost):
    def set_vfs(self, pf: str, requests: Sequence[VfSet]) -> list[HostError | None]:
        raise AttributeError("flaw")


def test_a_fault_ends_with_a_result_and_an_end_on_record(tmp_path: Path) -> None:
    result = run(Flawed(before()), tmp_path)
    assert result.code == ExitCode.PARTIAL
    assert last_record(tmp_path)["code"] == ExitCode.PARTIAL


def in_sync() -> Snapshot:
    return host(igb(1, 2))


IN_SYNC = '[pf.int]\nmatch = { name = "enp1s0" }\nvfs = 2\n'


def test_what_is_right_is_noted_once_under_the_lock(tmp_path: Path) -> None:
    taken: list[str] = []

    @contextlib.contextmanager
    def lock():  # type: ignore[no-untyped-def]
        taken.append("lock")
        yield

    for _ in range(2):
        note_in_sync(desired(IN_SYNC), in_sync(), tmp_path, lock)
    assert taken == ["lock"]
    assert json.loads((tmp_path / "ledger.json").read_text())["entries"]["pci/0000:01:00.0"]["vfs"]["value"] == 2


def test_an_unusable_ledger_is_set_aside_when_all_is_right_too(tmp_path: Path) -> None:
    (tmp_path / "ledger.json").write_text("{broken")
    note_in_sync(desired(IN_SYNC), in_sync(), tmp_path, contextlib.nullcontext)
    assert (tmp_path / "ledger.json.unusable").read_text() == "{broken"
    assert "entries" in json.loads((tmp_path / "ledger.json").read_text())


def test_a_ledger_is_not_written_while_another_run_has_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked("other", "now", path), pytest.raises(ReconcilerError) as caught:
        note_in_sync(desired(IN_SYNC), in_sync(), tmp_path, lambda: locked("me", "now", path))
    assert caught.value.code == ExitCode.LOCKED
    assert not (tmp_path / "ledger.json").exists()


def test_what_could_not_be_taken_back_later_is_told(tmp_path: Path) -> None:
    odd = host(igb(1), igb(2, netdev="no/name"), domains=[guest("web")])
    result = run(DataHost(odd), tmp_path)
    assert result.code == ExitCode.OK
    (told,) = result.warnings
    assert "rollback would refuse it" in told
    assert "'no/name' is not the name of a network interface" in told


def test_what_could_not_be_taken_back_does_not_wait_for_a_confirmation(tmp_path: Path) -> None:
    machine = DataHost(host(igb(1), igb(2, netdev="no/name"), domains=[guest("web")]))
    observed, armed = machine.observe(), []
    plan = make_plan(desired(FILE), observed)

    def arm(name: str) -> dict[str, object]:
        armed.append(name)
        return {"unit": name, "until": 0.0}

    with pytest.raises(ReconcilerError, match=r"What nobody confirms could not be taken back\."):
        carry_out(
            plan,
            desired(FILE),
            observed,
            reader=machine,
            writer=machine,
            state_dir=tmp_path,
            progress=Listener(),
            stopped=lambda: False,
            arm=arm,
        )
    assert (armed, machine.observe() == observed, list(tmp_path.iterdir())) == ([], True, [])
