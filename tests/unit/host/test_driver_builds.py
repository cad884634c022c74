"""Which build of a driver a PF has: the kernel's own, or one from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.host.local.sysfs import Sysfs
from reconciler.host.model import Pf
from tests.unit.host.tree import Tree


def read(root: Path, version: str | None, taint: str | None) -> Pf:
    """A PF whose driver's module has these files."""
    tree = Tree(root)
    tree.pf()
    for file, text in (("version", version), ("taint", taint)):
        if text is not None:
            tree.write(f"sys/module/igb/{file}", f"{text}\n")
    (root / "sys/module/igb").mkdir(parents=True, exist_ok=True)
    tree.link("sys/bus/pci/drivers/igb/module", "sys/module/igb")
    notes: list[str] = []
    (pf,) = Sysfs(root, notes).pfs().values()
    assert notes == []
    return pf


@pytest.mark.parametrize(
    ("version", "taint", "expected"),
    [
        (None, "", (None, False)),
        ("5.19.6", "OE", ("5.19.6", True)),
        (None, "O", (None, True)),
        ("5.6.0-k", "E", ("5.6.0-k", False)),
    ],
)
def test_version_and_taint(tmp_path: Path, version: str | None, taint: str, expected: tuple[str | None, bool]) -> None:
    pf = read(tmp_path, version, taint)
    assert (pf.driver_version, pf.out_of_tree) == expected


def test_a_driver_that_is_built_in_has_no_module(tmp_path: Path) -> None:
    Tree(tmp_path).pf()
    (pf,) = Sysfs(tmp_path, []).pfs().values()
    assert (pf.driver_version, pf.out_of_tree) == (None, False)
