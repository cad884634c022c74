"""What a refusal means, in words: of a write to sysfs, of a VF attribute, of a change of a network interface. The same
for this machine and for a simulated host. ``root``: whether it was asked for with all rights."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconciler.host.model import Hang
from reconciler.host.protocol import HostError, VfSet

ENOTSUPP = 524
"""A kernel-internal code that some drivers let through (bnxt, cxgb4); Python's errno doesn't know it."""

NUMVFS = {
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
BIND = {
    errno.ENODEV: "The driver does not want this device: it is not there any more, its driver is not loaded, "
    "or the kernel may not probe it (sriov_drivers_autoprobe is 0 and driver_override is not set).",
    errno.EBUSY: "Something holds the VF.",
    errno.EINVAL: "The driver does not accept this device (vfio-pci: it takes an IOMMU).",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a write that hangs."""

    pid: int = 0
    """The process that waits for it."""
    waits_in: str = ""
    """The kernel's function."""
    log: Sequence[str] = ()
    """What the kernel has said since."""
    holders: Sequence[str] = ()
    """Who has VFs of the PF: ``VF 1 (0000:01:10.2): python3 (pid 99)``."""


def no_answer(shown: str, seconds: float, evidence: Evidence = Evidence()) -> HostError:
    """A write to sysfs that didn't come back. ``shown``: what was written where."""
    waits = f"; process {evidence.pid} waits for it" if evidence.pid else ""
    where = f" in {evidence.waits_in}" if evidence.waits_in else ""
    log = "".join(f' "{line}"' for line in evidence.log)
    who = f"Held now: {'; '.join(evidence.holders)}." if evidence.holders else "Usually something still holds a VF."
    return HostError(
        "A write to sysfs hangs in the kernel.",
        f"Writing {shown} has not come back after {seconds:g} s{waits}{where}."
        + (f" The kernel's log since then:{log}." if log else "")
        + f" {who} The kernel waits for that: stop the guest or the process that has it, and the write goes on and "
        "takes effect by itself. Until then nothing more is written to this PF and its VFs.",
        errno=errno.ETIMEDOUT,
    )


def describe(hang: Hang) -> str:
    """A write that hangs, in a sentence without its full stop."""
    what = f"writing to {hang.path}" if hang.path else "changing a network interface"
    since = f" since {hang.since}" if hang.since else ""
    where = f" (in {hang.waits_in})" if hang.waits_in else ""
    held = f". Held: {'; '.join(hang.holders)}" if hang.holders else ""
    return f"The kernel hangs: process {hang.pid} ({hang.command}) has been {what}{since}{where}{held}"


def no_answer_of_network(failed: str, seconds: float, pid: int) -> HostError:
    """A change of network interfaces that didn't come back."""
    return HostError(
        "A change of a network interface hangs in the kernel.",
        f"{failed}: the kernel has not answered for {seconds:g} s; process {pid} waits for it. Usually a driver hangs "
        "while it holds the lock of all network interfaces (RTNL): the kernel's log may say which. Until it lets go "
        "no interface can be read or changed, also by `ip link`.",
        errno=errno.ETIMEDOUT,
    )


def refused_write(
    shown: str, code: int, what: str, meanings: Mapping[int, str], *, root: bool, gone: bool = False
) -> HostError:
    """A write to sysfs that the kernel refused. ``what``: what did not come of it, ending with a colon and a blank."""
    denied = code in (errno.EPERM, errno.EACCES) and not root
    if denied:
        meaning = "Run it as root."
    elif code == errno.EROFS:
        meaning = "sysfs is mounted read-only, as in a container."
    elif code == errno.ENOENT and gone:
        meaning = "The device is gone."
    else:
        meaning = meanings.get(code, "The kernel log may say more.")
    return HostError(
        "The kernel refused a write to sysfs.",
        f"{what}writing {shown}: {os.strerror(code)}. {meaning}".rstrip(),
        errno=code,
        code=77 if denied else 1,
    )


def numvfs_not_made(count: int) -> str:
    """What did not come of a write to ``sriov_numvfs``."""
    return f"{count} VFs could not be made: " if count else "The VFs stay: "


def refused_link(failed: str, code: int, said: str = "", *, root: bool) -> HostError:
    """A change of a network interface; ``said``: the kernel's own words beside the error number."""
    denied = code in (errno.EPERM, errno.EACCES) and not root
    return HostError(
        "The kernel refused a change of a network interface.",
        f"{failed}: {_with(code, said)}." + (" Run it as root." if denied else ""),
        errno=code,
        code=77 if denied else 1,
    )


def refused_attribute(netdev: str, driver: str, wanted: VfSet, code: int, said: str = "", *, root: bool) -> HostError:
    """A request for one VF."""
    values = ", ".join(f"{key} = {_toml(value)}" for key, value in wanted.attributes.items())
    return HostError(
        "The kernel refused a VF attribute.",
        f"{netdev} vf {wanted.index}: {values}: {_with(code, said)}. {_meaning(driver, wanted, code, root)}",
        errno=code,
        code=77 if code in (errno.EPERM, errno.EACCES) and not root else 1,
    )


def error_text(code: int) -> str:
    """An error number in words."""
    return "Operation not supported by the driver" if code == ENOTSUPP else os.strerror(code)


def _with(code: int, said: str) -> str:
    return error_text(code) + (f" ({said})" if said else "")


def _toml(value: bool | int | str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else f'"{value}"'


def _meaning(driver: str, wanted: VfSet, code: int, root: bool) -> str:
    names = ", ".join(wanted.attributes)
    if code in (errno.EOPNOTSUPP, ENOTSUPP):
        return f"{driver} does not implement {names} on this card: take it out of the state file."
    if code == errno.EPROTONOSUPPORT:
        return f"{driver} does not support this kind of {names} on this card (802.1ad needs hardware for it)."
    if code in (errno.EPERM, errno.EACCES):
        if not root:
            return "Changing VFs takes CAP_NET_ADMIN: run it as root."
        return f"{driver} forbids it in the VF's present state (such as a zero MAC while spoofchk is on)."
    if code == errno.EINVAL:
        rates = "Most drivers want the PF's link up, and a rate within its speed. " if "rate" in names else ""
        return f"{driver} does not accept this value here. {rates}It may also be that the VF is gone."
    if code in (errno.EAGAIN, errno.EBUSY):
        return "The VF was still being reset, or the driver was busy with another one, and stayed so for 5 s."
    if code == errno.ENOMEM and "mac" in wanted.attributes:
        # ixgbe_add_mac_filter: no entry without IXGBE_MAC_STATE_IN_USE among mac.num_rar_entries.
        return (
            f"{driver} has no entry left in the card's table of MAC filters, which the PF, its VFs and every further "
            "address of a trusted guest share. Take further addresses (macvlan, bridges) away from PF and guests; if "
            "that frees none, the table is emptied when the VFs are made anew: set vfs = 0 and then their number, "
            "while no guest has one."
        )
    if code == errno.ENODEV:
        return "The PF is gone."
    if code == errno.ENETDOWN:
        return "The PF's link has to be up."
    if code in (errno.ETIMEDOUT, errno.ENOBUFS):
        return "The kernel did not acknowledge it; whether it took effect has to be read back."
    return f"{driver} could not do it; the kernel log may say more."
