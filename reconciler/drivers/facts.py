"""The shape of what is known of one NIC driver. The values, each with its source, are in `reconciler.drivers.table`.

Error numbers are positive, as in `errno`; ENOTSUPP is a kernel-internal one that some drivers let through.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from reconciler.state.desired import ZERO_MAC, Attributes, AttributeValue

ENOTSUPP = 524
"""include/linux/errno.h; Python's errno doesn't know it."""

PLAIN: Attributes = {
    "mac": ZERO_MAC,
    "vlan": 0,
    "qos": 0,
    "vlan_proto": "802.1Q",
    "spoofchk": False,
    "trust": False,
    "link_state": "auto",
    "min_tx_rate": 0,
    "max_tx_rate": 0,
}
"""A VF that nobody has set anything on."""
RX_TX = frozenset({"rx_packets", "rx_bytes", "tx_packets", "tx_bytes"})
DROPS = frozenset({"rx_dropped", "tx_dropped"})
CHECKED: Attributes = {**PLAIN, "spoofchk": True}
"""The same where the driver begins with the source MAC check on."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What a driver takes as a rate, in Mbit/s. 0 (no limit) is always among it, unless ``zero`` says otherwise."""

    lowest: int = 1
    """The smallest rate other than 0 …"""
    lowest_part: int = 0
    """… or the link's speed divided by this, if that is more."""
    highest: int | None = None
    """The driver's own bound; ``None``: it has none."""
    within_link: bool = False
    """The speed of the PF's link is a bound too, as far as the driver knows it."""
    link: Literal["", "rate", "any"] = ""
    """Needs a carrier: for a rate other than 0, or for any value, also 0."""
    link_speed: int | None = None
    """Needs a link of exactly this speed."""
    step: int = 1
    """Rates are multiples of this …"""
    link_parts: int = 0
    """… or of the link's speed divided by this …"""
    off_step: Literal["refused", "rounded"] = "rounded"
    """… others are refused, or silently programmed as the multiple below."""
    safe_from: int = 1
    """Rates below it, other than 0, are accepted and don't hold: see ``unsafe``."""
    unsafe: str = ""
    """What becomes of them."""
    reports_step: bool = False
    """Reads back what was programmed, not what was asked for."""
    zero: Literal["clears", "ignored"] = "clears"
    """``ignored``: a limit can't be taken away again."""
    beyond: Literal["refused", "clamped"] = "refused"
    """What happens to a rate above the bounds."""
    error: int = errno.EINVAL
    link_error: int = errno.EINVAL
    """When the carrier is missing."""


@dataclass(frozen=True, slots=True)
class VfCount:
    """Making VFs."""

    limit: int | None = None
    """The most that the driver makes, whatever ``sriov_totalvfs`` says; ``None``: no bound of its own."""
    error: int = errno.ERANGE
    """What a count above the limit fails with; 0: fewer are made, and the write succeeds."""
    writable: bool = True
    """``sriov_numvfs`` can be written; otherwise ENOENT, and the count is the firmware's or a module parameter's."""
    down: Literal["works", "refused", "none-made"] = "works"
    """What a PF that is down does: EINVAL, or success without VFs."""
    bounces_pf: bool = False
    """Making or removing VFs closes and reopens the PF, so that its link is lost for a moment."""
    one_pf_at_a_time: bool = False
    """VFs are made on one PF of this driver after the other, never side by side."""
    how: str = ""
    """Where the count is set when ``sriov_numvfs`` can't be written."""


@dataclass(frozen=True, slots=True)
class DriverFacts:
    """One PF driver. Defaults are what most drivers do."""

    name: str = ""
    """As the kernel names it."""
    hardware: str = ""
    """What it drives: ``Intel 82599, X520, X540, X550``."""
    known: bool = True
    """False for the careful values of a driver that isn't in the table."""
    vf_driver: str = "kernel"
    """Name of the host's driver for its VFs; ``kernel`` when it isn't known."""
    queues: str = ""
    """Queues per VF, in words: ``2``, ``4, up to 16 on request``."""

    lacks: Mapping[str, int] = field(default_factory=dict)
    """Attributes that can't be set at all, with the error."""
    firmware: frozenset[str] = frozenset()
    """Attributes (and ``802.1ad``) that depend on the card's firmware or mode: only trying tells."""
    max_rate: Rate = field(default_factory=Rate)
    min_rate: Rate | None = None
    """``None``: only 0 is taken; any other value is refused with EINVAL (unless ``lacks`` or ``ignored`` says more)."""
    min_sum_within_link: bool = False
    """The min_tx_rates of all VFs of a PF together may not exceed its link's speed."""
    zero_mac: Literal["taken", "refused", "refused-with-spoofchk"] = "taken"
    reports_own_mac: bool = False
    """The MAC that a VF without one has chosen for itself is reported like one that it was given."""
    spoofchk_needs_mac: bool = False
    """Turning spoofchk on is refused (EPERM) for a VF without a MAC."""
    qos_needs_vlan: bool = False
    """A priority without a VLAN is refused (EINVAL)."""
    refuses: Mapping[str, Mapping[AttributeValue, int]] = field(default_factory=dict)
    """Values of an attribute that are refused, with the error: ``{"vlan_proto": {"802.1ad": EPROTONOSUPPORT}}``."""
    only: Mapping[str, frozenset[AttributeValue]] = field(default_factory=dict)
    """Attributes of which only these values are taken (EINVAL for others): ``{"qos": {0}}``."""
    ignored: Mapping[str, frozenset[AttributeValue] | None] = field(default_factory=dict)
    """Values that are accepted and do nothing; ``None``: all but the default. They never read back."""
    fixed_while_held: frozenset[str] = frozenset()
    """Attributes that can't be changed while a guest has the VF (EBUSY)."""
    resetting: int = 0
    """What any request is refused with while the driver resets the VF; 0: it waits, or doesn't mind."""
    needs_up: bool = False
    """VF attributes can't be set while the PF is down (EAGAIN)."""

    counts: frozenset[str] | None = frozenset()
    """Which counters of each VF it reports by rtnetlink (ndo_get_vf_stats). The kernel reports all of them, those that
    the driver doesn't fill in as 0; ``None``: not known."""
    unreported: frozenset[str] = frozenset()
    """Attributes that are set and can't be read back: missing from the report."""
    reads_late: frozenset[str] = frozenset()
    """Switches that read back as off until the VF's own driver runs."""
    always_reads: Mapping[str, AttributeValue] = field(default_factory=dict)
    """Attributes whose report is a constant whatever was set: they can't be read back either."""
    unset_rate_reads_speed: bool = False
    """A max_tx_rate of 0 reads back as the link's speed."""
    rate_reads_with_vlan_qos: bool = False
    """A rate reads back only for a VF with a VLAN and a priority, otherwise 0."""
    speed_change_clears_rate: bool = False
    """A change of the link's speed takes every max_tx_rate away."""

    count: VfCount = field(default_factory=VfCount)
    mtu_bounces_pf: bool = True
    """Setting the MTU re-initialises the PF."""
    fresh: Attributes | None = None
    """Attributes of a VF that was just made, as reported; ``None``: not known. A generated MAC is left out."""
    survives: frozenset[str] = frozenset()
    """Attributes that a VF still has after its PF went to 0 VFs and back."""
    resets_vf: frozenset[str] = frozenset()
    """Attributes whose change resets a VF in use, so that its guest loses packets."""
    reload_for_mac: bool = False
    """A guest sees a new MAC only after its VF driver was loaded again, or its interface set down and up."""
