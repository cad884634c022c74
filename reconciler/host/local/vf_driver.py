"""Binding VFs to drivers."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Literal

from reconciler.host.local import modules, sysfs_writes
from reconciler.host.local.child import read_files
from reconciler.host.local.sysfs import is_passthrough
from reconciler.host.protocol import HostError

_VFIO = "vfio-pci"


class VfBinding:
    """One VF, to be bound before a deadline. Each step is skipped when there is nothing to do."""

    def __init__(self, root: Path, address: str, seconds: float) -> None:
        self.root = root
        self.address = address
        self.until = time.monotonic() + seconds
        self.device = root / "sys/bus/pci/devices" / address
        self.bus = root / "sys/bus/pci"

    def bind(self, driver: Literal["none", "vfio-pci", "kernel"]) -> None:
        """See `reconciler.host.protocol.Writer.bind_vf`."""
        if driver == "none":
            self._override(None)
            self._unbind()
        elif driver == _VFIO:
            self._to_vfio()
        else:
            self._to_kernel()

    def _to_vfio(self) -> None:
        if not (self.bus / "drivers" / _VFIO).exists():
            modules.load(_VFIO, self._left())
        if self.driver() is None:
            self._take(_VFIO)
            return
        self._override(_VFIO)
        if self.driver() == _VFIO:
            return
        self._unbind()
        self._probe(_VFIO)

    def _to_kernel(self) -> None:
        bound = self.driver()
        if bound is not None and not is_passthrough(bound):
            self._override(None)
            return
        wanted = self._kernel_driver()
        # With autoprobe off the kernel probes a VF only for a driver_override (drivers/pci/pci-driver.c,
        # pci_device_can_probe). It is set for the probe alone: left behind it would keep other drivers away.
        try:
            if bound is None:
                self._take(wanted)
            else:
                self._override(wanted)
                self._unbind()
                self._probe(wanted)
        except HostError as error:
            if error.errno != errno.ETIMEDOUT:  # Behind a write that hangs this one would hang, too.
                self._override(None)
            raise
        self._override(None)

    def _kernel_driver(self) -> str:
        """The driver that the kernel would choose, loaded: by name, so that a blacklist doesn't stop it."""
        modalias = _line(self.device / "modalias")
        names = modules.names_for(modalias, self._left()) if modalias else []
        for name in names:
            if not (self.root / "sys/module" / name).exists():
                modules.load(name, self._left())
            for entry in _names(self.root / "sys/module" / name / "drivers"):
                if entry.startswith("pci:"):
                    return entry.removeprefix("pci:")
        raise HostError(
            "No kernel driver fits a VF.",
            f"{self.address} ({modalias}): " + (f"{', '.join(names)} has no PCI driver." if names else "no module."),
        )

    def _override(self, driver: str | None) -> None:
        """Reads it in a child: that takes the device's lock, which an unbinding that hangs holds."""
        path = str(self.device / "driver_override")
        reads = read_files([path], max(1.0, self._left()))
        if reads.hangs:
            raise HostError(
                "A read of sysfs hangs in the kernel.",
                f"{path} can't be read: something else is at work on the VF and does not come back.",
                errno=errno.ETIMEDOUT,
            )
        if path not in reads.texts:
            raise HostError("A VF is gone.", f"{path} can't be read.", errno=errno.ENODEV)
        current = reads.texts[path]
        if (None if current in ("", "(null)") else current) != driver:
            sysfs_writes.write(self.root, self.device / "driver_override", f"{driver or ''}\n", self._left())

    def _unbind(self) -> None:
        if self.driver() is not None:
            sysfs_writes.write(self.root, self.device / "driver/unbind", self.address, self._left(), self.device)

    def _take(self, driver: str) -> None:
        """For a VF without a driver, such as each that was just made: in one child, since many are bound at a time."""
        writes = [(self.device / "driver_override", f"{driver}\n"), (self.bus / "drivers_probe", self.address)]
        sysfs_writes.write_in_turn(self.root, writes, self._left(), self.device)
        self._check(driver)

    def _probe(self, driver: str) -> None:
        sysfs_writes.write(self.root, self.bus / "drivers_probe", self.address, self._left(), self.device)
        self._check(driver)

    def _check(self, driver: str) -> None:
        bound = self.driver()
        if bound != driver:
            raise HostError(
                "A VF did not get its driver.",
                f"{self.address} is bound to {bound or 'no driver'} instead of {driver}; the kernel log may say why.",
            )

    def driver(self) -> str | None:
        """The driver that is bound now."""
        try:
            return os.path.basename(os.readlink(self.device / "driver"))
        except FileNotFoundError:
            return None

    def _left(self) -> float:
        return max(0.0, self.until - time.monotonic())


def _line(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise HostError("A VF is gone.", f"{path} can't be read: {error.strerror}.", errno=error.errno or 0) from error


def _names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory)) if directory.is_dir() else []
