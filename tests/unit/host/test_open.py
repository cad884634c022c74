"""From a host's URI to its reader or writer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.diagnostics import ReconcilerError
from reconciler.host.local.reader import LocalReader
from reconciler.host.local.writer import LocalWriter
from reconciler.host.model import Snapshot
from reconciler.host.open import open_reader, open_writer
from reconciler.host.snapshot import dump


def test_local() -> None:
    assert isinstance(open_reader("local", "qemu:///system", None), LocalReader)
    assert isinstance(open_writer("local", "qemu:///system"), LocalWriter)


def test_snapshots(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(dump(Snapshot(tool="x")))
    for uri in (f"snapshot:{tmp_path}/a.json", f"snapshot:{tmp_path}"):
        assert open_reader(uri, "", "a").observe().tool == "x"


@pytest.mark.parametrize(
    ("uri", "name", "code", "says"),
    [
        ("", None, 64, "local · snapshot:FILE"),
        ("remote", None, 64, "local · snapshot:FILE"),
        ("snapshot:", None, 64, "local · snapshot:FILE"),
        ("local:x", None, 64, "local · snapshot:FILE"),
        ("sim:twin.json", None, 64, "sim new twin.json"),
        ("snapshot:/nonexistent", None, 64, "No such file"),
        ("snapshot:/proc", None, 64, "Give the state file a [host]"),
        ("snapshot:/proc", "../etc/x", 64, "'../etc/x'"),
        ("snapshot:/proc", "web", 64, "/proc/web.json: No such file"),
        ("snapshot:/proc/version", None, 65, "is no JSON"),
    ],
)
def test_what_can_not_be_read(uri: str, name: str | None, code: int, says: str) -> None:
    with pytest.raises(ReconcilerError) as caught:
        open_reader(uri, "", name)
    assert caught.value.code == code
    assert says in caught.value.detail


@pytest.mark.parametrize("uri", ["snapshot:x", "sim:x", "remote", ""])
def test_what_can_not_be_written(uri: str) -> None:
    with pytest.raises(ReconcilerError) as caught:
        open_writer(uri, "")
    assert caught.value.code == 64


@pytest.mark.parametrize("opened", [lambda uri: open_reader("local", uri, None), lambda uri: open_writer("local", uri)])
def test_a_password_in_libvirts_uri_is_refused_and_not_repeated(opened: Any) -> None:
    with pytest.raises(ReconcilerError) as caught:
        opened("qemu+tcp://admin:hunter2@198.51.100.1/system")
    assert caught.value.code == 64
    assert "hunter2" not in f"{caught.value.summary} {caught.value.detail}"
    assert opened("qemu+ssh://admin@198.51.100.1:22/system?authfile=/a:b@c") is not None
