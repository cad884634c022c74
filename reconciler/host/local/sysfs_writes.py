"""Writes to sysfs, each with a deadline, and what a refusal means."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from reconciler.host.local.child import NoAnswer, write_file
from reconciler.host.protocol import HostError

_NUMVFS = {
    errno.ERANGE: "That is more than the card offers (sriov_totalvfs).",
    errno.EBUSY: "The kernel goes from one number of VFs to another through 0 only; or the driver says that "
    "VFs are in use.",
    errno.ENOENT: "The PF has no driver, or its driver can't create VFs through sysfs (mlx4 and enic "
    "create them when they are loaded).",
    errno.ENOMEM: "There is not enough address space for the VFs' registers: switch on SR-IOV (and Above 4G "
    "Decoding) in the firmware, or boot with pci=realloc; on netdevsim: more than its max_vfs.",
    errno.ENOSPC: "The driver has not enough queues or interrupts for that many VFs.",
    errno.EPERM: "The driver refuses: more VFs than it can serve just now, no MSI-X, or a running self-test.",
    errno.EINVAL: "The driver does not accept this number, or not while the PF is in this state (some want it up).",
    errno.EAGAIN: "The driver is busy with a VF: try again.",
    errno.EIO: "The card's SR-IOV registers do not answer as they should; the kernel log may say more.",
}
_BIND = {
    errno.ENODEV: "The driver does not want this device: it is not there any more, its driver is not loaded, "
    "or the kernel may not probe it (sriov_drivers_autoprobe is 0 and driver_override is not set).",
    errno.EBUSY: "Something holds the VF.",
    errno.EINVAL: "The driver does not accept this device (vfio-pci: it takes an IOMMU).",
}


def set_numvfs(path: Path, count: int, seconds: float) -> None:
    """Writes ``sriov_numvfs``. Success only means that the kernel accepted it: some drivers create fewer
    VFs."""
    _write(path, str(count), seconds, f"{count} VFs could not be made: " if count else "The VFs stay: ", _NUMVFS)


def write(path: Path, text: str, seconds: float) -> None:
    """Writes any other attribute of a device."""
    _write(path, text, seconds, "", _BIND)


def _write(path: Path, text: str, seconds: float, what: str, meanings: dict[int, str]) -> None:
    shown = f"{text.strip() or 'nothing'} to {path}"
    if seconds <= 0:
        raise HostError("A write to sysfs was not tried.", f"There was no time left to write {shown}.")
    try:
        write_file(path, text, seconds)
    except NoAnswer as error:
        raise HostError(
            "A write to sysfs hangs in the kernel.",
            f"Writing {shown} has not come back after {seconds:g} s. Usually something still holds a VF, and "
            "the kernel waits for it: stop the guest or the process that has it. The write then goes on by "
            "itself.",
            errno=errno.ETIMEDOUT,
        ) from error
    except OSError as error:
        raise HostError(
            "The kernel refused a write to sysfs.",
            f"{what}writing {shown}: {error.strerror}. {_meaning(error, path, meanings)}".rstrip(),
            errno=error.errno or 0,
            code=77 if error.errno in (errno.EPERM, errno.EACCES) and os.geteuid() != 0 else 1,
        ) from error


def _meaning(error: OSError, path: Path, meanings: dict[int, str]) -> str:
    if error.errno in (errno.EPERM, errno.EACCES) and os.geteuid() != 0:
        return "Run it as root."
    if error.errno == errno.EROFS:
        return "sysfs is mounted read-only, as in a container."
    if error.errno == errno.ENOENT and not path.parent.exists():
        return "The device is gone."
    return meanings.get(error.errno or 0, "The kernel log may say more.")
