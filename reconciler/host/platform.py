"""What `doctor` alone wants to know of a host: its firmware, IOMMU, modules, memory, the guests' hardware, and who else
configures the same cards. Plain data, nothing interpreted.

``None`` means *unknown* (could not be read) unless the field says otherwise; the reason is among `Platform.notes`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

ModuleState = Literal["loaded", "builtin", "installable", "missing"]
AgentState = Literal["answers", "absent", "disconnected", "silent", "unasked"]
"""``absent``: the guest has no channel for an agent; ``disconnected``: nobody listens at its end; ``silent``: no usable
answer; ``unasked``: it could not be asked."""
OwnerName = Literal[
    "NetworkManager",
    "systemd-networkd",
    "netplan",
    "ifupdown",
    "rc.local",
    "udev",
    "sysfsutils",
    "tmpfiles",
    "systemd unit",
    "os-net-config",
    "sriov-network-operator",
    "cron",
]


@dataclass(slots=True)
class IommuGroup:
    """``/sys/kernel/iommu_groups/N``."""

    number: int
    type: str | None = None
    """``identity`` (passthrough), ``DMA``, ``DMA-FQ``, ``blocked``, ``auto`` (drivers/iommu/iommu.c,
    iommu_group_show_type); ``None``: this kernel doesn't say, or it takes root."""
    devices: list[str] = field(default_factory=list)
    """PCI addresses, sorted."""


@dataclass(slots=True)
class CapableDevice:
    """A PCI device of class network with an SR-IOV capability in its configuration space."""

    address: str
    total_vfs: int
    """TotalVFs of the capability, as the firmware left it."""
    attribute: bool
    """Whether the kernel made ``sriov_totalvfs`` for it: not without CONFIG_PCI_IOV, and not when the firmware gave no
    room for the VFs' memory (drivers/pci/iov.c, sriov_init)."""
    driver: str | None = None
    """``None``: no driver is bound."""
    netdevs: list[str] = field(default_factory=list)
    """Its interfaces in this network namespace."""


@dataclass(slots=True)
class OwnerLine:
    """A line of somebody's configuration that is about VFs, or about a card that can make them."""

    owner: OwnerName
    path: str
    line: int
    """1-based."""
    text: str
    """The line, without blanks around it; long ones are cut."""
    names: list[str] = field(default_factory=list)
    """Netdevs and PCI addresses of PFs that it names, or that its file names elsewhere; none: whichever card."""
    makes_vfs: bool = False
    """It makes VFs or sets what they are like; otherwise it only names a PF."""


@dataclass(slots=True)
class Service:
    """A systemd unit of something that configures network cards."""

    active: bool
    enabled: bool


@dataclass(slots=True)
class HugePages:
    """``/sys/kernel/mm/hugepages/hugepages-NkB``."""

    size_kib: int
    total: int
    free: int


@dataclass(slots=True)
class InsideNic:
    """A network interface inside a guest."""

    name: str
    mac: str
    """Lower case. Of a port of a bond the one that it came with, as far as that is told; else the bond's."""
    driver: str | None = None
    """"" for one without a device behind it."""
    queues: int | None = None
    """Receive queues: over so many processors its packets can be spread."""
    bridge: str | None = None
    """The Linux bridge that it is a port of; "" for none."""


@dataclass(slots=True)
class Inside:
    """What the QEMU guest agent says of the inside of a running guest. ``None``: it doesn't say, and `unknown` why."""

    agent: AgentState
    reason: str = ""
    """What went wrong when it was asked; "" when it answers."""
    system: str | None = None
    """The operating system's id: ``debian``, ``mswindows`` (guest-get-osinfo)."""
    processors: int | None = None
    """vCPUs that are in use."""
    irqbalance: bool | None = None
    """Whether it runs."""
    nics: list[InsideNic] | None = None
    unknown: list[str] = field(default_factory=list)
    """Why something is not known, in full sentences."""


@dataclass(slots=True)
class Platform:
    """Facts that only doctor reads."""

    iommu_groups: list[IommuGroup] | None = None
    """Empty: there are none, so the IOMMU is off."""
    iommu_units: list[str] | None = None
    """``/sys/class/iommu``: ``dmar0``, ``ivhd0``, ``smmu3.0x…``."""
    cmdline: str | None = None
    cpu_vendor: str | None = None
    """``GenuineIntel``, ``AuthenticAMD``; "" where /proc/cpuinfo has none (ARM)."""
    cpu_virtualisation: bool | None = None
    """The flag ``vmx`` or ``svm``; ``None`` also where processors have no such flag (ARM)."""
    kvm: bool | None = None
    """Whether there is /dev/kvm."""
    capable: list[CapableDevice] | None = None
    """``None``: reading PCI configuration space beyond 64 bytes takes root."""
    modules: dict[str, ModuleState] | None = None
    """``vfio``, ``vfio_pci``, ``vfio_iommu_type1`` and the VF drivers of the host's PFs, by kernel name."""
    qemu: int | None = None
    """As libvirt counts: 10000002 is 10.0.2."""
    memory_total_kib: int | None = None
    memory_available_kib: int | None = None
    huge_pages: list[HugePages] | None = None
    default_huge_page_kib: int | None = None
    """``Hugepagesize`` of /proc/meminfo."""
    owners: list[OwnerLine] | None = None
    services: dict[str, Service] | None = None
    """``NetworkManager`` if it is installed; ``None``: no systemd, or it didn't answer."""
    inside: dict[str, Inside] | None = None
    """By domain, running guests that have VFs."""
    notes: list[str] = field(default_factory=list)
    """Why something is unknown, in full sentences."""
