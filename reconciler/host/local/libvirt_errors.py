"""libvirt's errors in words that say what to do. Most share one generic code, so the message tells them
apart."""

from __future__ import annotations

import re
from typing import Any

from reconciler.host.protocol import HostError

_ADVICE = (
    (
        r"requires exclusive access to interfaces, but none are available",
        "Every VF of the pool is taken: give the pool more VFs or stop a guest that has one.",
    ),
    (
        r"is in use by driver (\S+), domain (\S+)",
        "Another guest has this VF: detach it there first, or name another VF.",
    ),
    (
        r"PF is not online",
        "The PF's link is down, and libvirt reads VFs of a PF only while it is up: set it up.",
    ),
    (
        r"No usable Vf's present on SRIOV PF|Could not get Virtual functions",
        "The PF has no VFs: create them first.",
    ),
    (r"network '.*' is not active", "Start the pool first."),
    (
        r"must be manually detached from the host",
        "The device is marked managed='no', so nobody takes it from its host driver: bind it to vfio-pci.",
    ),
    (r"vlan trunking is not supported", "A VF carries one VLAN only: leave one tag."),
    (r"supported on SR-IOV Virtual Functions only", "The PCI address is not one of a VF."),
    (
        r"Cannot set interface (MAC|vlanid)",
        "The PF's driver refused it, often because the VF was still being reset: try again.",
    ),
    (
        r"No more available PCI (slots|addresses)",
        "The guest has no free PCIe root port, and they can't be added while it runs: shut it down and add "
        "root ports to it.",
    ),
    (
        r"cannot change config of 'hostdev'",
        "A hostdev NIC can't be changed through libvirt while the guest runs.",
    ),
    (r"cannot migrate (a )?domain", "Detach the VFs before moving the guest."),
    (r"Failed to load PCI driver module", "The vfio driver named in the XML can't be loaded on this host."),
    (
        r"host doesn't support passthrough of host PCI devices",
        "The IOMMU is off or vfio-pci is missing: see `reconciler doctor`.",
    ),
    (r"Hostdev already exists", "The guest has this VF already."),
    (r"non unique alias|Duplicate ID", "Another device of the guest has this alias."),
    (r"read only access prevents", "The connection to libvirt is read-only."),
)


def advice(message: str) -> str:
    """What to do about a message of libvirt; "" when it is not known."""
    return next((text for pattern, text in _ADVICE if re.search(pattern, message)), "")


def host_error(what: str, error: Any) -> HostError:
    """A `HostError` from a libvirtError (or from anything else that was raised); `what` was tried."""
    said = message(error)
    return HostError("libvirt refused a change.", " ".join(filter(None, (f"{what}: {said}.", advice(said)))))


def message(error: Any) -> str:
    """libvirt's own words on one line, without a full stop."""
    get = getattr(error, "get_error_message", None)
    said = (get() if get is not None else None) or str(error) or type(error).__name__
    return " ".join(said.split()).rstrip(".")
