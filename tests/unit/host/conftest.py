"""Fixtures of the host tests."""

from __future__ import annotations

import sys

import pytest

from tests.unit.host.fake_libvirt import FakeLibvirt


@pytest.fixture
def libvirt(monkeypatch: pytest.MonkeyPatch) -> FakeLibvirt:
    """The fake in the place of libvirt's binding."""
    fake = FakeLibvirt()
    monkeypatch.setitem(sys.modules, "libvirt", fake)
    return fake
