"""How a step ended, in one word or a few: the same for a shell, netlink, sysfs, libvirt and the twin."""

from __future__ import annotations

import errno
import os
import re

from reconciler.host.protocol import HostError

OK = "ok"

_LIBVIRT = (
    (r"requires exclusive access to interfaces, but none are available", "libvirt: pool exhausted"),
    (r"is in use by driver", "libvirt: VF in use"),
    (r"PF is not online|the PF is not online", "libvirt: PF not online"),
    (r"No usable Vf's present|Could not get Virtual functions", "libvirt: PF without VFs"),
    (r"network '[^']*' is not active", "libvirt: network not active"),
    (r"network is already active", "libvirt: network already active"),
    (r"domain is already running|Domain is already active", "libvirt: domain already running"),
    (r"domain is not running", "libvirt: domain not running"),
    (r"supported on SR-IOV Virtual Functions only", "libvirt: no VF"),
    (r"Cannot set interface MAC", "libvirt: MAC not set"),
    (r"Cannot set interface vlanid", "libvirt: VLAN not set"),
    (r"No more available PCI", "libvirt: no PCI slot"),
    (r"Hostdev already exists|already in the domain configuration", "libvirt: VF twice in the domain"),
    (r"non unique alias", "libvirt: alias twice"),
    (r"Duplicate ID", "libvirt: alias twice"),
    (r"expected unicast mac address", "libvirt: multicast MAC"),
    (r"no device found with alias", "libvirt: no such alias"),
    (r"already in the process of unplug", "libvirt: unplug under way"),
    (r"[Nn]o network with matching name", "libvirt: no such network"),
    (r"[Nn]o domain with matching name|failed to get domain", "libvirt: no such domain"),
    (r"already exists with uuid", "libvirt: name taken"),
    (r"is not an SR-IOV Virtual Function", "libvirt: no VF"),
    (r"Device .* not found: could not access", "libvirt: no such device"),
)
_COMMANDS = (
    (r"is in use", "module in use"),
    (r"is not currently loaded", "module not loaded"),
    (r"not found in directory", "module not found"),
    (r"mtu (greater|less) than device", "EINVAL"),
    # iproute2 reads the other rate first, and so finds out what the kernel would say.
    (r"must be <= max_tx_rate|Cannot find VF", "EINVAL"),
)


def ended(error: HostError | None) -> str:
    """How a call of the writer ended."""
    if error is None:
        return OK
    if error.errno:
        return errno.errorcode.get(error.errno, str(error.errno))
    return said(f"{error.summary} {error.detail}", otherwise=error.summary)


def said(text: str, otherwise: str = "") -> str:
    """What an error message means; ``otherwise``, or its last line, if it is none of those that are known."""
    for pattern, meaning in (*_LIBVIRT, *_COMMANDS):
        if re.search(pattern, text):
            return meaning
    numbers = [number for number in errno.errorcode if number and os.strerror(number) in text]
    if numbers:
        # "Operation not supported" and the like: the longest text is the one that was meant.
        return errno.errorcode[max(numbers, key=lambda number: len(os.strerror(number)))]
    lines = text.strip().splitlines()
    return otherwise or (lines[-1] if lines else "failed without a word")
