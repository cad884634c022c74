"""Fixtures of the host tests."""

from __future__ import annotations

import sys

import pytest

from reconciler.host.local import standing
from tests.unit.host.fake_libvirt import FakeLibvirt


@pytest.fixture
def libvirt(monkeypatch: pytest.MonkeyPatch) -> FakeLibvirt:
    """The fake in the place of libvirt's binding."""
    fake = FakeLibvirt()
    monkeypatch.setitem(sys.modules, "libvirt", fake)
    return fake


class Ending(list[standing._Child]):
    """In place of the children that stay: each ends when it has answered."""

    def append(self, child: standing._Child) -> None:
        child.end()


@pytest.fixture(autouse=True)
def no_child_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every question goes to a new child, which knows what the test has put in the place of the kernel by then."""
    monkeypatch.setattr(standing, "_idle", Ending())
