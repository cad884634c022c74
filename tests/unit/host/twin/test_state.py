"""The file in which a simulated host is kept."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from reconciler.diagnostics import ReconcilerError
from reconciler.host import snapshot
from reconciler.host.open import open_reader, open_writer
from reconciler.host.twin import state
from reconciler.host.twin.host import TwinHost
from reconciler.host.twin.profiles import make_from
from tests.unit.host.twin.twins import INT, attach, lab


def kept(tmp_path: Path) -> Path:
    """A new simulated host's file."""
    path = tmp_path / "host.sim"
    state.save(make_from("igb-lab"), path)
    return path


def test_what_is_written_is_read() -> None:
    host = lab(vfs=3)
    attach(host)
    twin = host.twin()
    again = state.load(state.dump(twin).encode(), "x")
    assert again == twin
    assert state.dump(again) == state.dump(twin)


def test_all_who_open_a_file_see_the_same_host(tmp_path: Path) -> None:
    path = kept(tmp_path)
    reader, writer = open_reader(f"sim:{path}", "", None), open_writer(f"sim:{path}", "")
    writer.set_link(INT, True)
    assert reader.observe().pfs[INT].up
    writer.clock.sleep(5)
    assert reader.observe().pfs[INT].carrier
    assert TwinHost.open(path).monotonic() == writer.clock.monotonic()
    assert [item.name for item in tmp_path.iterdir()] == ["host.sim"], "nothing is left beside it"


def test_between_two_who_open_it_time_has_passed(tmp_path: Path) -> None:
    path = kept(tmp_path)
    TwinHost.open(path).set_link(INT, True)
    assert TwinHost.open(path).observe().pfs[INT].carrier
    assert state.load(path.read_bytes(), "x").events == []


PF = {"bus": "pci", "device": "x", "netdev": "n"}


def whole(**values: Any) -> bytes:
    """An empty host's document with these values."""
    parts = {"host": {}, "pfs": {}, "modules": {}, "libvirt": {}}
    return json.dumps({"format": "reconciler-sim/1", **parts, **values}).encode()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is no JSON"),
        (b"\x80\x81", "is no JSON"),
        (b"[]", "it has no format"),
        (b"{}", "it has no format"),
        (b'{"format": "reconciler-sim/2"}', "takes a newer reconciler"),
        (b'{"format": "reconciler-plan/1"}', "'reconciler-plan/1'"),
        (b'{"format": "reconciler-snapshot/1"}', "reconciler sim new NEW --snapshot"),
        (b'{"format": "reconciler-sim/1"}', "is not a whole one: it lacks host, pfs, modules, libvirt."),
        (b'{"format": "reconciler-sim/1", "host": {}, "pfs": {}, "libvirt": {}}', "it lacks modules."),
        (whole(pfs=3), "pfs"),
        (whole(clock="soon"), "clock"),
        (whole(cards={"pci/x": {}}), "pci/x is no PF"),
        (whole(pfs={"a": PF}), "'a' is listed under that name but is 'pci/x'"),
        (whole(pfs={"pci/x": {**PF, "vfs": [{"index": 0}]}}), "pci/x vf 0 has no attributes"),
        (
            whole(pfs={"sim/x": {**PF, "bus": "sim", "num_vfs": 2, "vfs": [{"index": 1, "attributes": {}}] * 2}}),
            "the VFs of sim/x are not in order",
        ),
        (whole(pfs={"pci/x": PF}), "'x' is no PCI address"),
        (whole(clock=float("nan")), "a time is no number of seconds"),
    ],
)
def test_files_that_are_none(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "bad.sim"
    path.write_bytes(data)
    with pytest.raises(ReconcilerError) as refused:
        open_reader(f"sim:{path}", "", None)
    assert refused.value.code == 65
    assert says in refused.value.detail
    assert str(path) in refused.value.detail


def test_no_file_is_wrong_usage_and_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ReconcilerError) as refused:
        open_writer(f"sim:{tmp_path}/none", "")
    assert refused.value.code == 64
    assert f"reconciler sim new {tmp_path}/none --profile NAME" in refused.value.detail


def test_unknown_keys_are_ignored(tmp_path: Path) -> None:
    path = kept(tmp_path)
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "later": 1}))
    assert open_reader(f"sim:{path}", "", None).observe().host.name == "lab"


def test_what_is_observed_is_a_valid_snapshot() -> None:
    host = lab(vfs=2)
    attach(host)
    observed = host.observe()
    assert snapshot.load(snapshot.dump(observed).encode(), "x") == observed


def test_a_device_or_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", str(tmp_path / "pipe"), str(tmp_path)):
        with pytest.raises(ReconcilerError) as refused:
            open_reader(f"sim:{path}", "", None)
        assert (refused.value.code, refused.value.detail) == (64, f"{path} is no regular file.")
