"""Injected errors, hangs and crashes."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.apply.executor import Executor
from reconciler.apply.journal import Journal
from reconciler.apply.rounds import rounds
from reconciler.apply.view import View
from reconciler.diagnostics import ReconcilerError
from reconciler.host.protocol import HostError, PoolSpec, VfSet
from reconciler.host.twin import faults, state
from reconciler.host.twin.hands import run
from reconciler.host.twin.host import TwinHost, read_twin
from reconciler.host.twin.profiles import make_from
from reconciler.host.twin.state import Fault
from reconciler.plan.planner import make_plan
from tests.hosts import desired
from tests.unit.host.twin.twins import EXT, INT, do, lab, pf, said


def inject(host: TwinHost, fault: Fault) -> None:
    """Something is to go wrong, counted from now."""
    with host.changing() as twin:
        faults.inject(twin, fault)


def test_the_nth_write_fails_and_has_no_effect() -> None:
    host = lab()
    inject(host, Fault(2, "errno", errno.EIO))
    host.set_link(EXT, True)
    with pytest.raises(HostError) as refused:
        host.set_numvfs(INT, 2, 30)
    assert refused.value.errno == errno.EIO
    assert "Input/output error" in refused.value.detail
    assert pf(host).vfs == []
    host.set_numvfs(INT, 2, 30)


def test_each_request_for_a_vf_is_a_write() -> None:
    host = lab(vfs=3)
    inject(host, Fault(2, "errno", errno.EIO))
    answers = host.set_vfs(INT, [VfSet(index, {"trust": True}) for index in range(3)])
    assert [answer.errno if answer else 0 for answer in answers] == [0, errno.EIO, 0]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda host: host.set_link(INT, False), "could not be set down"),
        (lambda host: host.set_mtu(INT, 9000), "MTU"),
        (lambda host: host.set_blacklist([]), "reconciler.conf"),
        (lambda host: host.load_module("vfio-pci", 10), "vfio-pci could not be loaded"),
        (lambda host: host.define_pool(PoolSpec("p", None, "enp1s0")), "define pool p"),
    ],
)
def test_every_kind_of_write_can_fail(call, says: str) -> None:  # type: ignore[no-untyped-def]
    host = lab()
    inject(host, Fault(1, "errno", errno.EIO))
    with pytest.raises(HostError) as refused:
        call(host)
    assert says in refused.value.detail
    assert "Input/output error" in refused.value.detail


def test_a_hang_takes_the_deadline_and_holds_the_pf_until_it_is_cleared() -> None:
    host = lab()
    inject(host, Fault(1, "hang"))
    began = host.monotonic()
    with pytest.raises(HostError) as hung:
        host.set_numvfs(INT, 2, 44)
    assert hung.value.errno == errno.ETIMEDOUT
    assert "has not come back after 44 s" in hung.value.detail
    assert host.monotonic() - began == pytest.approx(44)
    with pytest.raises(HostError, match="hangs"):
        host.set_numvfs(INT, 2, 5)
    host.set_numvfs(EXT, 1, 30)
    with host.changing() as twin:
        faults.clear(twin)
    host.set_numvfs(INT, 2, 30)
    assert len(pf(host).vfs) == 2


def test_libvirt_that_hangs_is_not_available() -> None:
    host = lab()
    inject(host, Fault(1, "hang"))
    with pytest.raises(HostError) as hung:
        host.define_pool(PoolSpec("p", None, "enp1s0"))
    assert "did not answer within 60 s" in said(hung.value)


@pytest.mark.parametrize(("after", "vfs"), [(False, 0), (True, 2)])
def test_a_crash_kills_the_process_and_leaves_the_file(tmp_path: Path, after: bool, vfs: int) -> None:
    path = tmp_path / "host.sim"
    twin = make_from("igb-lab")
    faults.inject(twin, Fault(1, "crash", after=after))
    state.save(twin, path)
    program = (
        "import sys; from pathlib import Path; from reconciler.host.twin.host import TwinHost\n"
        f"TwinHost.open(Path(sys.argv[1])).set_numvfs({INT!r}, 2, 30)\nprint('still here')"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout == ""
    left = read_twin(path)
    assert len(left.pfs[INT].vfs) == vfs
    assert left.faults == []
    TwinHost.open(path).set_link(INT, True)


AFTER_A_HANG = """
[pf.int]
match = { name = "enp1s0" }
vfs = 2
[pf.int.vf.0]
driver = "vfio-pci"
[pf.int.vf.1]
vlan = 5
[pf.ext]
match = { name = "enp2s0" }
vfs = 1
mtu = 1700
"""


def carried_out(host: TwinHost, folder: Path) -> dict[str, tuple[str, str]]:
    plan = make_plan(desired(AFTER_A_HANG), host.observe())
    journal = Journal(folder, str(host.twin().writes), {}, {})
    done = Executor(View(host, host.clock, host.observe(), "run"), host, journal, Quiet()).execute(plan.actions)
    journal.close()
    return {f"{action.op} {action.address}": (o.outcome, o.error) for action, o in zip(plan.actions, done, strict=True)}


def test_after_a_hang_the_run_writes_nothing_more_that_would_wait_for_it(tmp_path: Path) -> None:
    host = lab(vfs=2)
    plan = make_plan(desired(AFTER_A_HANG), host.observe())
    first = next(rounds(plan.actions, host.observe()))
    inject(host, Fault(1 + [action.op for action in first].index("vf.bind"), "hang"))
    outcomes = carried_out(host, tmp_path)
    kind, said = outcomes["vf.bind pf.int.vf.0"]
    assert (kind, "process 4000 waits for it" in said) == ("failed", True)
    kind, said = outcomes["vf.set pf.int.vf.1"]
    assert (kind, "would wait behind one that hangs" in said, "Nothing was written" in said) == ("failed", True, True)
    assert outcomes["pf.set_mtu pf.ext"][0] == "changed"
    assert pf(host).vfs[1].attributes["vlan"] == 0  # type: ignore[index]
    blocked = make_plan(desired(AFTER_A_HANG), host.observe())
    assert blocked.verdict == "blocked"
    with host.changing() as twin:
        faults.clear(twin)
    assert {kind for kind, _ in carried_out(host, tmp_path).values()} == {"changed"}
    assert make_plan(desired(AFTER_A_HANG), host.observe()).verdict == "in-sync"


class Quiet:
    """A listener that says nothing."""

    def start(self, total: int) -> None:
        """Nothing."""

    def begin(self, action: dict[str, object]) -> None:
        """Nothing."""

    def end(self, action_id: str, outcome: str, seconds: float, error: str) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing."""


@pytest.mark.parametrize("after", [False, True])
def test_somebody_does_something_at_the_nth_write(after: bool) -> None:
    host = lab()
    inject(host, Fault(1, "do", after=after, command="echo 3 > /sys/class/net/enp1s0/device/sriov_numvfs"))
    if after:
        host.set_numvfs(INT, 2, 30)
        assert "Device or resource busy" in host.twin().log[-1]
    else:
        with pytest.raises(HostError) as refused:
            host.set_numvfs(INT, 2, 30)
        assert refused.value.errno == errno.EBUSY
        assert host.twin().log == ["echo 3 > /sys/class/net/enp1s0/device/sriov_numvfs: done"]
    assert len(pf(host).vfs) == (2 if after else 3)


def test_somebody_does_something_at_the_nth_reading() -> None:
    host = lab()
    inject(host, Fault(2, "do", command="ip link set enp2s0 up", reading=True))
    inject(host, Fault(3, "do", command="ip link set enp2s0 down", reading=True, after=True))
    assert [host.observe().pfs[EXT].up for _ in range(4)] == [False, True, True, False]
    assert host.twin().reads == 3, "counted as long as something is to happen"


def test_an_error_and_a_crash_come_also_after_the_write_took_effect() -> None:
    host = lab()
    inject(host, Fault(1, "errno", errno.EIO, after=True))
    with pytest.raises(HostError):
        host.set_numvfs(INT, 2, 30)
    assert len(pf(host).vfs) == 2


def test_a_command_that_is_none_is_found_in_the_file(tmp_path: Path) -> None:
    twin = make_from("igb-lab")
    twin.faults = [Fault(1, "do", command="rm -rf /")]
    state.save(twin, tmp_path / "x")
    with pytest.raises(ReconcilerError, match="can't be read"):
        read_twin(tmp_path / "x")


def test_nothing_is_known_of_a_libvirt_that_is_away() -> None:
    host = lab(vfs=1)
    do(host, "systemctl restart libvirtd")
    away = host.observe().libvirt
    assert (away.available, away.domains) == (False, {})
    assert "libvirt-sock" in away.reason
    with pytest.raises(HostError, match="not available"):
        host.start_pool("p")
    host.sleep(5)
    assert "web1" in host.observe().libvirt.domains
    do(host, "systemctl stop libvirtd")
    host.sleep(100)
    assert not host.observe().libvirt.available
    assert not run(host, "virsh destroy web1").ok
    do(host, "reboot")
    assert host.observe().libvirt.available
