"""Modules in a snapshot: whatever a file asks for, the plan is the same as on the host."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from reconciler.drivers.table import vf_driver_modules
from reconciler.host.local.modules import read_modules
from reconciler.host.model import Snapshot
from reconciler.host.protocol import Asked
from reconciler.host.snapshot import SnapshotReader, dump, load
from reconciler.host.twin.make import from_snapshot
from reconciler.plan.document import plan_to_json
from reconciler.plan.planner import make_plan
from reconciler.state.desired import Desired
from tests.hosts import desired, host, igb
from tests.unit.host.test_initramfs import DEBIAN, KERNEL, Machine

FILES = (
    'load = ["dumy"]',
    'load = ["dummy", "vfio-pci"]',
    'load = ["configfs", "fuse", "nothing_like_it"]',
    'load = ["loaded_one"]',
    'blacklist = ["igbvf"]',
    'blacklist = ["ixgbevf", "igbvf"]',
    'blacklist = ["iavf"]',
    'blacklist = ["nouveau"]',
    'load = ["dummy"]\nblacklist = ["mlx5_core"]',
)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path, monkeypatch, *DEBIAN)
    folder = tmp_path / "lib/modules" / KERNEL
    folder.mkdir(parents=True)
    (folder / "modules.dep").write_text("kernel/drivers/net/dummy.ko:\nkernel/drivers/vfio/pci/vfio-pci.ko.xz:\n")
    (folder / "modules.builtin").write_text("kernel/fs/configfs/configfs.ko\n")
    (tmp_path / "sys/module/fuse").mkdir(parents=True)
    (tmp_path / "proc/modules").write_text("loaded_one 1 0 - Live 0x0\n")
    made.image.write_text("x/igbvf.ko.xz\nx/ixgbevf.ko\n")
    (tmp_path / "etc/modprobe.d/a.conf").write_text("blacklist ixgbevf\n")
    made.made(-10)
    return made


def on_the_host(machine: Machine, wanted: Desired) -> Snapshot:
    found = host(igb(1))
    found.modules = read_modules(machine.root, [], wanted.load or (), wanted.blacklist or ())
    return found


def recorded(machine: Machine) -> bytes:
    found = host(igb(1))
    found.modules = read_modules(machine.root, [], None, vf_driver_modules())
    return dump(found).encode()


def elsewhere(document: bytes, wanted: Desired) -> Snapshot:
    return SnapshotReader(load(document, "host.json"), Asked((), wanted.load or (), wanted.blacklist or ())).observe()


@pytest.mark.parametrize("with_modules", [True, False], ids=["host", "container"])
@pytest.mark.parametrize("text", FILES)
def test_the_same_plan(machine: Machine, text: str, with_modules: bool) -> None:
    if not with_modules:
        shutil.rmtree(machine.root / "lib/modules")
    wanted = desired(f"[modules]\n{text}")
    plans = [
        plan_to_json(make_plan(wanted, seen))
        for seen in (on_the_host(machine, wanted), elsewhere(recorded(machine), wanted))
    ]
    assert plans[0] == plans[1]


def test_what_would_be_missed(machine: Machine) -> None:
    """Each plan says something that a snapshot without it could not know."""
    document, files = recorded(machine), [desired(f"[modules]\n{text}") for text in FILES]
    plans = [make_plan(wanted, elsewhere(document, wanted)) for wanted in files]
    assert [d.code for d in plans[0].diagnostics] == ["module-missing"]
    assert plans[0].diagnostics[0].detail.endswith('did you mean "dummy"?')
    assert [action.args for action in plans[1].actions if action.op == "modules.load"] == [
        {"module": "dummy"},
        {"module": "vfio_pci"},
    ]
    assert "modules.rebuild_initramfs" in [action.op for action in plans[4].actions]


def test_a_rehearsal_has_the_same_modules(machine: Machine) -> None:
    wanted = desired('[modules]\nload = ["dummy", "configfs"]')
    twin = from_snapshot(elsewhere(recorded(machine), wanted))
    assert {"dummy"} <= set(twin.installed)
    assert {"configfs", "fuse"} <= set(twin.builtin)


def test_a_snapshot_of_an_older_version_is_taken_as_it_is() -> None:
    observed = host(igb(1))
    observed.modules.missing = {"dumy": "dummy"}
    assert SnapshotReader(observed, Asked(modules=["dumy"])).observe().modules.missing == {"dumy": "dummy"}
