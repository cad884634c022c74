"""``rollback`` as a user calls it, on the lab's twin."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from reconciler.apply.journal import add_record
from reconciler.apply.lock import locked
from reconciler.cli.main import run
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.host.snapshot import load
from tests.unit.cli.inside import Inside

FILE = """schema = 1
[pf.int]
match = { name = "enp1s0" }
link = "up"
vfs = 4
vf_driver = "none"
[pf.int.vf.0]
vlan = 5
[pool.data]
vfs = ["int/0-1"]
"""


@pytest.fixture
def inside(tmp_path: Path) -> Inside:
    """A host that is as the lab is when it is clean."""
    folder = Inside(tmp_path)
    (tmp_path / "host.toml").write_text(FILE)
    assert folder.run("sim", "new", "x.sim", "--profile", "igb-lab").returncode == ExitCode.OK
    return folder


def observed(inside: Inside) -> Any:
    found = json.loads(inside.run("--host", "sim:x.sim", "snapshot").stdout)
    return {key: found[key] for key in ("pfs", "modules", "libvirt", "vfio_open", "ledger")}


@pytest.mark.parametrize("trouble", [["--errno", "EIO"], ["--crash"]])
def test_what_a_rollback_left_is_taken_back_by_the_next(inside: Inside, trouble: list[str]) -> None:
    before = observed(inside)
    assert inside.run("--host", "sim:x.sim", "apply", "host.toml", "--yes").returncode == ExitCode.OK
    inside.run("sim", "fault", "x.sim", "--at", "3", *trouble)
    first = inside.run_killed("--host", "sim:x.sim", "rollback")
    assert first.returncode != ExitCode.OK
    assert observed(inside) != before
    told = inside.run("--host", "sim:x.sim", "confirm").stderr
    assert "reconciler --host sim:x.sim rollback goes on with it" in told
    second = inside.run("--host", "sim:x.sim", "rollback")
    assert second.returncode == ExitCode.OK, second.stdout + second.stderr
    assert observed(inside) == before
    third = inside.run("--host", "sim:x.sim", "rollback")
    assert third.returncode == ExitCode.FAILED
    assert "There is nothing to take back." in third.stderr


class Terminal(io.StringIO):
    """A terminal on which something happens before the user answers."""

    def __init__(self, happens: Callable[[], None], answer: str) -> None:
        super().__init__(answer)
        self.happens = happens

    def isatty(self) -> bool:
        return True

    def readline(self, size: int | None = -1, /) -> str:
        self.happens()
        return super().readline()


def answered(inside: Inside, answer: str, happens: Callable[[], None]) -> tuple[int, str]:
    """``rollback`` on a terminal, and what happens while it asks."""
    said = io.StringIO()
    with (
        contextlib.chdir(inside.path),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
        mock.patch("sys.stdin", Terminal(happens, answer)),
        mock.patch.object(signal, "signal"),
    ):
        return run(["--host", "sim:x.sim", "rollback"]), said.getvalue()


def test_the_lock_is_free_while_the_user_is_asked(inside: Inside) -> None:
    before = observed(inside)
    assert inside.run("--host", "sim:x.sim", "apply", "host.toml", "--yes").returncode == ExitCode.OK
    free = []

    def look() -> None:
        with locked("the timer", "now", inside.path / "x.sim.state" / "lock"):
            free.append(True)

    code, said = answered(inside, "no\n", look)
    assert (code, "Declined. Nothing was changed." in said, free) == (ExitCode.FAILED, True, [True])
    assert observed(inside) != before
    code, said = answered(inside, "yes\n", look)
    assert (code, said.count("Taking back run ")) == (ExitCode.OK, 1), said
    assert observed(inside) == before


def test_what_is_another_run_after_the_question_is_not_taken_back(inside: Inside) -> None:
    def apply(text: str) -> None:
        inside.write("host.toml", text)
        assert inside.run("--host", "sim:x.sim", "apply", "host.toml", "--yes").returncode == ExitCode.OK

    apply(FILE)
    code, said = answered(inside, "yes\n", lambda: apply(FILE.replace("vlan = 5", "vlan = 6")))
    assert (code, "The last run is another one now." in said) == (ExitCode.STALE, True), said
    assert '"vlan": 6' in json.dumps(observed(inside))


def test_a_timer_waits_for_the_lock_as_long_as_it_takes(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    before = observed(inside)
    assert inside.run("--host", "sim:x.sim", "apply", "host.toml", "--yes").returncode == ExitCode.OK
    (folder,) = (inside.path / "x.sim.state" / "runs").iterdir()
    (folder / "now.json").write_bytes((folder / "plan.json").read_bytes())
    add_record(folder, "armed", unit="reconciler-x-1", until=0.0, at="2026-01-01T00:00:00Z")
    passed = [0.0]
    holder = contextlib.ExitStack()
    holder.enter_context(locked("a long apply", "now", inside.path / "x.sim.state" / "lock"))

    def sleep(seconds: float) -> None:
        passed[0] += seconds
        if passed[0] > 5000:
            holder.close()

    monkeypatch.setattr(time, "sleep", sleep)
    start = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: start + passed[0])
    done = inside.run("--host", "sim:x.sim", "rollback", "--unconfirmed", "reconciler-x-1")
    assert done.returncode == ExitCode.OK, done.stderr
    assert passed[0] > 5000
    assert observed(inside) == before


def with_twin(inside: Inside, change: Callable[[Any], None]) -> None:
    twin = json.loads((inside.path / "x.sim").read_text())
    change(twin)
    (inside.path / "x.sim").write_text(json.dumps(twin))


def test_a_host_with_odd_names_is_taken_back_too(inside: Inside) -> None:
    odd = lambda twin: twin["pfs"]["pci/0000:02:00.0"].update(altnames=["a name/with:all of it"])  # noqa: E731
    with_twin(inside, odd)
    before = observed(inside)
    with pytest.raises(ReconcilerError, match="The snapshot can't be read"):
        load(inside.run("--host", "sim:x.sim", "snapshot").stdout.encode(), "x.json")  # One that is not our own.
    done = inside.run("--host", "sim:x.sim", "apply", "host.toml", "--yes")
    assert (done.returncode, "Warning" in done.stderr) == (ExitCode.OK, False), done.stderr
    done = inside.run("--host", "sim:x.sim", "rollback")
    assert done.returncode == ExitCode.OK, done.stderr
    assert observed(inside) == before
