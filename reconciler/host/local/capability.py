"""The SR-IOV capability in PCI configuration space: what the card can do, whether or not the kernel uses it."""

from __future__ import annotations

import struct

_EXTENDED = 0x100
"""Where extended capabilities begin (PCIe Base Specification 7.6.3)."""
_SRIOV = 0x0010
"""Extended capability id of SR-IOV (include/uapi/linux/pci_regs.h, PCI_EXT_CAP_ID_SRIOV)."""
_TOTAL_VFS = 0x0E
"""Offset of TotalVFs in it (PCI_SRIOV_TOTAL_VF)."""


def sriov_total(config: bytes) -> int | None:
    """TotalVFs of a device's configuration space (4096 bytes of ``config`` in sysfs); ``None`` without the capability,
    or when only the first 64 bytes could be read, as without root. A list that runs in a circle ends."""
    offset, seen = _EXTENDED, set[int]()
    while _EXTENDED <= offset <= len(config) - 4 and offset not in seen:
        seen.add(offset)
        (header,) = struct.unpack_from("<I", config, offset)
        if header in (0, 0xFFFFFFFF):
            return None
        if header & 0xFFFF == _SRIOV and offset + _TOTAL_VFS + 2 <= len(config):
            (total,) = struct.unpack_from("<H", config, offset + _TOTAL_VFS)
            return int(total)
        offset = header >> 20 & 0xFFC
    return None
