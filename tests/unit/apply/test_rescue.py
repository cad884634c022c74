"""A guest's NIC that a run took off: whatever fails, it is put back, or it is said who is without it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from reconciler.apply.owed import guests_without, owed
from reconciler.apply.rollback import take_back_run
from reconciler.apply.runs import last_run
from reconciler.exit_codes import ExitCode
from reconciler.host.twin.clock import settle
from reconciler.host.twin.hands import run
from reconciler.host.twin.host import TwinHost
from reconciler.host.twin.state import Fault, Twin
from tests.faults.scenarios import SCENARIOS, desired, start
from tests.faults.world import Ended, Silent, apply, op_at

GROW = next(scenario for scenario in SCENARIOS if scenario.name == "4 to 7 VFs under guests")


@pytest.fixture(autouse=True)
def no_power_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


def write_of(op: str, count: int = 1) -> int:
    """Number of the ``count``-th write of an operation, when nothing goes wrong."""
    twin = start(GROW)
    with TemporaryDirectory() as folder:
        ended = apply(twin, desired(GROW.after), Path(folder))
    found = [number for number in range(1, twin.writes + 1) if op_at(ended.writes, number) == op]
    return found[count - 1]


def nics(twin: Twin) -> dict[str, tuple[str | None, int]]:
    """MAC and VLAN of web1's live NICs by alias."""
    return {str(nic.alias): (nic.mac, nic.vlan) for nic in twin.libvirt.domains["web1"].live}


def fail(twin: Twin, folder: Path, op: str, count: int = 1, **options: int) -> Ended:
    twin.faults = [Fault(write_of(op, count), "errno", 12)]
    return apply(twin, desired(GROW.after), folder, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("op", "count"), [("pf.set_numvfs", 1), ("pf.set_numvfs", 2), ("vf.set", 1), ("nic.attach", 1)]
)
def test_a_failure_in_the_middle_brings_the_nics_back(tmp_path: Path, op: str, count: int) -> None:
    twin = start(GROW)
    before, other = nics(twin), [*twin.libvirt.domains["db1"].live]
    ended = fail(twin, tmp_path, op, count)
    assert nics(twin) == before
    assert twin.libvirt.domains["db1"].live == other
    assert not any("WITHOUT" in text for text in ended.said())


def test_a_count_that_is_refused_is_the_old_one_again_with_all_that_the_vfs_had(tmp_path: Path) -> None:
    twin = start(GROW)
    pf = next(iter(twin.pfs.values()))
    before = [dict(vf.attributes or {}) for vf in pf.vfs]
    ended = fail(twin, tmp_path, "pf.set_numvfs", 2)
    assert ended.code == ExitCode.PARTIAL
    assert [dict(vf.attributes or {}) for vf in twin.pfs[pf.id].vfs] == before
    assert any("which was put back. It is on VF 1 of enp1s0." in text for text in ended.said())
    assert ended.result is not None
    kinds = {outcome.id: outcome.outcome for outcome in ended.result.outcomes}
    assert kinds["pf.set_numvfs pf.int"] == "undone"
    last = last_run(tmp_path)
    assert last is not None
    assert "pf.set_numvfs pf.int" not in last.changed, "a rollback has nothing left to do there"


def test_who_is_without_its_nic_is_said_and_what_to_do(tmp_path: Path) -> None:
    twin = start(GROW)
    ended = apply(twin, desired(GROW.after), tmp_path, broken_from=write_of("nic.attach"))
    assert ended.code == ExitCode.PARTIAL
    said = [text for text in ended.said() if "WITHOUT" in text]
    assert len(said) == 1
    assert "guest web1 is WITHOUT its NIC ua-rec-" in said[0]
    assert "`rollback`" in said[0]
    assert len(nics(twin)) == 1, "the other one is back"


def test_after_a_kill_it_is_said_who_is_without_and_the_next_run_gives_back_what_vfs_had(tmp_path: Path) -> None:
    twin = start(GROW)
    twin.faults = [Fault(write_of("pf.set_numvfs", 1), "crash", after=True)]
    assert apply(twin, desired(GROW.after), tmp_path).code is None
    observed, last = TwinHost(twin).observe(), last_run(tmp_path)
    assert last is not None
    told = guests_without(last, observed)
    assert len(told) == 2
    assert f"NIC ua-rec-mgmt (MAC 52:54:00:6d:90:03), which run {last.name} took off" in told[0]
    kept = owed(tmp_path, observed.host.boot_id)
    assert [vf.index for vf in next(iter(kept.values())).vfs] == [0, 1, 2, 3]
    assert owed(tmp_path, "another boot") == {}
    assert apply(twin, desired(GROW.after), tmp_path).code == 0
    third = next(iter(twin.pfs.values())).vfs[3].attributes or {}
    assert (third["vlan"], third["qos"], third["trust"], third["max_tx_rate"]) == (77, 2, True, 300)
    assert owed(tmp_path, observed.host.boot_id) == {}


def test_a_guest_that_answers_after_the_deadline_gets_its_nic_back(tmp_path: Path) -> None:
    twin = start(GROW)
    before = nics(twin)
    twin.guest("web1").answers_after = 63.0
    ended = apply(twin, desired(GROW.after), tmp_path)
    assert ended.code == ExitCode.PARTIAL
    assert nics(twin) == before
    assert any("was without its NIC" in text for text in ended.said())


def test_of_a_guest_that_never_answers_it_is_said_that_it_may(tmp_path: Path) -> None:
    twin = start(GROW)
    before = nics(twin)
    twin.guest("web1").answers = False
    ended = apply(twin, desired(GROW.after), tmp_path)
    assert ended.code == ExitCode.PARTIAL
    assert nics(twin) == before
    assert any("has not answered; it still has it" in text for text in ended.said())


def test_an_interrupt_in_the_middle_of_the_whole_finishes_the_whole(tmp_path: Path) -> None:
    twin = start(GROW)
    twin.faults = [Fault(write_of("pf.set_numvfs", 1), "do", command="kill SIGTERM")]
    before = nics(twin)
    ended = apply(twin, desired(GROW.after), tmp_path)
    assert nics(twin) == before
    assert ended.code == 0
    assert next(iter(twin.pfs.values())).num_vfs == 7


def test_a_rollback_attaches_a_nic_on_a_port_that_is_down_and_leaves_it_down(tmp_path: Path) -> None:
    """libvirt refuses to attach a VF of a PF that is down, and the plan would have set it up only after the detach."""
    twin = start(GROW)
    run(TwinHost(twin), "ip link set enp1s0 down")
    before = nics(twin)
    twin.faults = [Fault(1, "crash", after=True)]
    assert apply(twin, desired(GROW.after), tmp_path).code is None
    settle(twin)
    assert nics(twin) != before
    host, last = TwinHost(twin), last_run(tmp_path)
    assert last is not None
    done = take_back_run(
        last, host.observe(), confirmed=None, reader=host, writer=host, state_dir=tmp_path, progress=Silent()
    )[1]
    assert done.complete, done.left
    assert nics(twin) == before
    assert next(iter(twin.pfs.values())).up is False
