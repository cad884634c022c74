"""The desired state, normalised: what a state file means once ranges are expanded and rules are checked.

``None`` and a missing key mean "not declared", which is neither compared nor written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

AttributeValue = bool | int | str
Attributes = dict[str, AttributeValue]
"""Declared VF attributes only; keys as in `VF_ATTRIBUTES`. The zero MAC stands for ``mac = "none"``."""

VF_ATTRIBUTES = (
    "mac",
    "vlan",
    "qos",
    "vlan_proto",
    "spoofchk",
    "trust",
    "link_state",
    "min_tx_rate",
    "max_tx_rate",
    "query_rss",
)
ZERO_MAC = "00:00:00:00:00:00"

VfDriver = Literal["none", "vfio-pci", "kernel"]
Disruption = Literal["none", "vf-traffic", "vf-reset", "guest", "management"]
Method = Literal["interface", "hostdev", "pool"]
Presence = Literal["present", "absent"]
Pages = int | dict[str, int]
"""Huge pages of one size: of the whole host, or by NUMA node (``node0``)."""
ServiceState = Literal["running", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PfMatch:
    """How a PF is recognised; all that is given must hold. MAC and ids in lower case, ids without 0x."""

    name: str | None = None
    address: str | None = None
    mac: str | None = None
    vendor: str | None = None
    device: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredVf:
    """What ``pf.N.vf`` says of one index, ranges expanded, without ``vf_defaults``."""

    index: int
    attributes: Attributes = field(default_factory=dict)
    driver: VfDriver | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredPf:
    """``[pf.NAME]``."""

    name: str
    match: PfMatch
    link: Literal["up", "down"] | None = None
    mtu: int | None = None
    vfs: int | None = None
    vf_driver: VfDriver | None = None
    optional: bool = False
    host_network: Literal["ignore"] | None = None
    """``ignore``: NetworkManager and systemd-networkd leave the VFs' netdevs alone."""
    vf_defaults: Attributes = field(default_factory=dict)
    vf: dict[int, DesiredVf] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VfRef:
    """``int/3``: a VF by the PF's logical name and its index."""

    pf: str
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredPool:
    """``[pool.NAME]``: a libvirt network with forward mode hostdev. Exactly one of ``pf`` and ``vfs``
    unless it is declared absent."""

    name: str
    state: Presence = "present"
    pf: str | None = None
    vfs: tuple[VfRef, ...] = ()
    autostart: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failover:
    """``failover = { bridge = "br0" }``: a virtio NIC that stands in for the VF."""

    bridge: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredNic:
    """``[domain.D.nic.KEY]``. Exactly one of ``pool``, ``vf`` and ``pf`` unless it is declared absent."""

    domain: str
    key: str
    state: Presence = "present"
    method: Method = "interface"
    """``pool`` when the nic names a pool."""
    pool: str | None = None
    vf: VfRef | None = None
    pf: tuple[str, ...] = ()
    """PFs of which the planner picks a VF, in the order of the file."""
    spread: bool = False
    """Off the PFs that the guest's other NICs are on, if that can be."""
    failover: Failover | None = None
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredDomain:
    """``[domain.NAME]``: a guest that libvirt knows."""

    name: str
    optional: bool = False
    root_ports: int | None = None
    """Free ``pcie-root-port`` controllers that its definition is to have at least."""
    nics: dict[str, DesiredNic] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """``[policy]``."""

    disruption: Disruption = "vf-reset"
    max_vfs_per_domain: int = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """A whole state file, checked. Serialised into every plan, so that it can be planned again."""

    schema: int = 1
    host_name: str | None = None
    policy: Policy = field(default_factory=Policy)
    cmdline: tuple[str, ...] | None = None
    """Arguments of the kernel."""
    blacklist: tuple[str, ...] | None = None
    load: tuple[str, ...] | None = None
    """Modules that the host has to load."""
    services: dict[str, ServiceState] = field(default_factory=dict)
    """By name, without ``.service``."""
    hugepages: dict[str, Pages] = field(default_factory=dict)
    """By size, as `reconciler.state.refs.page_size` writes it: ``2M``."""
    pfs: dict[str, DesiredPf] = field(default_factory=dict)
    pools: dict[str, DesiredPool] = field(default_factory=dict)
    domains: dict[str, DesiredDomain] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    """Source line (1-based) by address (``pf.int.vf.4``) and by address and field
    (``pf.int.vf.4.max_tx_rate``)."""

    def line(self, address: str, name: str = "") -> int:
        """The source line of a field, else of its address; for a VF that only ``vf_defaults`` speaks of, of these;
        else of the PF; else 0."""
        pf, _, _ = address.partition(".vf.")
        places = (f"{address}.{name}", address, f"{pf}.vf_defaults.{name}", f"{pf}.vf_{name}", pf)
        return next((self.lines[place] for place in places if place in self.lines), 0)
