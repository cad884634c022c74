"""Injected errors, hangs and crashes."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.host.protocol import HostError, PoolSpec, VfSet
from reconciler.host.twin import faults, state
from reconciler.host.twin.host import TwinHost, read_twin
from reconciler.host.twin.profiles import make_from
from reconciler.host.twin.state import Fault
from tests.unit.host.twin.twins import EXT, INT, lab, pf, said


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
