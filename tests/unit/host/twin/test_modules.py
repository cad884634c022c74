"""Modules and binding."""

from __future__ import annotations

import pytest

from reconciler.host.protocol import HostError
from reconciler.host.twin.hands import run
from tests.unit.host.twin.twins import EXT, INT, attach, do, lab, pf, vf


def test_unloading_leaves_the_vfs_without_a_driver() -> None:
    host = lab(driver=True, vfs=3)
    assert vf(host).netdev == "enp1s0v0"
    host.unload_module("igbvf", 10)
    assert [(item.driver, item.netdev) for item in pf(host).vfs] == [(None, None)] * 3
    assert "igbvf" not in (host.observe().modules.devices or {})


def test_a_module_serves_the_vfs_of_all_pfs() -> None:
    host = lab(driver=True, vfs=1)
    host.set_numvfs(EXT, 1, 30)
    assert host.observe().modules.devices == {
        "igb": ["0000:01:00.0", "0000:02:00.0", "0000:03:00.0"],
        "igbvf": ["0000:01:10.0", "0000:02:10.0"],
    }
    host.unload_module("igbvf", 10)
    assert vf(host, 0, EXT).driver is None


def test_loading_takes_vfs_that_have_no_driver_where_autoprobe_is_on() -> None:
    host = lab(vfs=2)
    host.set_autoprobe(EXT, False)
    host.set_numvfs(EXT, 1, 30)
    host.bind_vf(INT, 1, "vfio-pci", 30)
    do(host, "modprobe igbvf")
    assert [item.driver for item in pf(host).vfs] == ["igbvf", "vfio-pci"]
    assert vf(host, 0, EXT).driver is None


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("modprobe nosuch", "modprobe: FATAL: Module nosuch not found"),
        ("modprobe -r nosuch", "is not currently loaded"),
        ("modprobe -r vfio-pci", "is in use"),
    ],
)
def test_what_modprobe_refuses(command: str, says: str) -> None:
    host = lab(vfs=1)
    attach(host)
    result = run(host, command)
    assert not result.ok
    assert says in result.message


def test_the_writer_says_what_the_command_said() -> None:
    with pytest.raises(HostError) as refused:
        lab().unload_module("igbvf", 10)
    assert "igbvf could not be unloaded: rmmod: ERROR: Module igbvf is not currently loaded" in refused.value.detail


def test_binding_by_name_works_with_autoprobe_off_and_in_spite_of_a_blacklist() -> None:
    host = lab()
    host.set_autoprobe(INT, False)
    host.set_numvfs(INT, 1, 30)
    host.bind_vf(INT, 0, "kernel", 30)
    assert (vf(host).driver, vf(host).driver_override) == ("igbvf", None)
    host.bind_vf(INT, 0, "vfio-pci", 30)
    assert (vf(host).driver, vf(host).driver_override, vf(host).netdev) == ("vfio-pci", "vfio-pci", None)
    host.bind_vf(INT, 0, "none", 30)
    assert (vf(host).driver, vf(host).driver_override) == (None, None)
    assert not [event for event in host.twin().events if event.kind in ("netdev", "name")]


def test_a_vf_that_is_not_there_can_not_be_bound() -> None:
    with pytest.raises(HostError, match="A VF is gone"):
        lab(vfs=1).bind_vf(INT, 3, "none", 30)
