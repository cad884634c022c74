"""Ledger, lock and files: what is left behind, and what survives."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.apply.files import write_atomically
from reconciler.apply.ledger import read_ledger, record, write_ledger
from reconciler.apply.lock import locked
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.host.model import Applied
from reconciler.kinds.field_state import FieldState
from tests.hosts import host


def state(status: str, value: object = 7, *, field: str = "vfs") -> FieldState:
    return FieldState("pf.int", field, "pci/0000:01:00.0", value, value, status)  # type: ignore[arg-type]


def test_the_ledger_keeps_what_is_right_and_nothing_else(tmp_path: Path) -> None:
    ledger: dict[str, dict[str, Applied]] = {}
    assert record(ledger, [state("same"), state("different", field="mtu")], host(), "r1", {"pf.int"})
    write_ledger(tmp_path, ledger)
    found, problem = read_ledger(tmp_path)
    assert (found, problem) == ({"pci/0000:01:00.0": {"vfs": Applied(7, "boot-1", "r1")}}, "")
    assert stat.S_IMODE((tmp_path / "ledger.json").stat().st_mode) == 0o644


def test_what_waits_for_a_restart_is_kept_when_this_run_wrote_it() -> None:
    ledger: dict[str, dict[str, Applied]] = {}
    assert not record(ledger, [state("pending-restart")], host(), "r1", {"pf.other"})
    assert record(ledger, [state("pending-restart")], host(), "r2", {"pf.int"})
    assert ledger == {"pci/0000:01:00.0": {"vfs": Applied(7, "boot-1", "r2")}}


def test_what_is_found_right_again_is_no_change() -> None:
    ledger: dict[str, dict[str, Applied]] = {}
    assert record(ledger, [state("same")], host(), "r1", set())
    assert not record(ledger, [state("same")], host(), "r2", {"pf.int"})
    assert ledger["pci/0000:01:00.0"]["vfs"].run == ""


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff\xfe", b'{"format": "other/1"}', b'{"format": "reconciler-ledger/1"}', b"[" * 9000],
)
def test_a_corrupt_ledger_counts_as_none_and_is_set_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ledger.json").write_bytes(content)
    ledger, problem = read_ledger(tmp_path)
    assert ledger == {}
    assert "values applied so far are not known" in problem
    assert write_ledger(tmp_path, {}) == "ledger.json.unusable"
    assert (tmp_path / "ledger.json.unusable").read_bytes() == content
    assert read_ledger(tmp_path) == ({}, "")


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write_atomically(path, "one")
    with pytest.raises(ReconcilerError) as error:
        write_atomically(Path("/proc/reconciler/f"), "two")
    assert "can't be written" in error.value.summary
    assert path.read_text() == "one"
    assert os.listdir(tmp_path) == ["f"]


def test_the_lock_names_its_holder_and_dies_with_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    program = (
        "import sys; from pathlib import Path; from reconciler.apply.lock import locked\n"
        "with locked('apply host.toml', '2026-01-01T00:00:00Z', Path(sys.argv[1])):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ReconcilerError) as error, locked("me", "now", path):
            pass
        assert error.value.code == ExitCode.LOCKED
        assert "apply host.toml" in error.value.detail
        assert "2026-01-01T00:00:00Z" in error.value.detail
        assert str(holder.pid) in error.value.detail
    finally:
        holder.kill()
        holder.communicate()
    with locked("me", "now", path):
        assert json.loads(path.read_text())["who"] == "me"
