"""Which PCI devices each driver has, whatever they are: unloading a driver takes all of them."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.host.kernel_modules import canonical


def devices_by_driver(root: Path) -> dict[str, list[str]] | None:
    """PCI addresses by driver, spelt as its module; drivers without a device are left out. ``None``: there is no PCI
    bus to read."""
    try:
        names = sorted(entry.name for entry in os.scandir(root / "sys/bus/pci/drivers"))
    except OSError:
        return None
    found = {canonical(name): _devices(root / "sys/bus/pci/drivers" / name) for name in names}
    return {name: devices for name, devices in found.items() if devices}


def _devices(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.name.count(":") == 2)
    except OSError:
        return []  # The driver was unloaded meanwhile, and has none.
