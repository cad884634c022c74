"""Which devices a driver has."""

from __future__ import annotations

from pathlib import Path

from reconciler.host.local.pci_drivers import devices_by_driver


def test_devices_are_listed_by_driver(tmp_path: Path) -> None:
    drivers = tmp_path / "sys/bus/pci/drivers"
    for driver, names in {"igbvf": ["0000:01:10.2", "0000:01:10.0", "bind", "module"], "e1000e": ["new_id"]}.items():
        (drivers / driver).mkdir(parents=True)
        for name in names:
            (drivers / driver / name).touch()
    (drivers / "vfio-pci").mkdir()
    (drivers / "vfio-pci" / "0000:02:10.0").touch()
    assert devices_by_driver(tmp_path) == {
        "igbvf": ["0000:01:10.0", "0000:01:10.2"],
        "vfio_pci": ["0000:02:10.0"],
    }


def test_a_machine_without_pci(tmp_path: Path) -> None:
    assert devices_by_driver(tmp_path) is None
