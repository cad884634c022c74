"""The state file as it is written: keys, types and simple limits. Descriptions are what editors show.

What JSON Schema can say stands here; what it can't (references, uniqueness, precedence) is in the rules.
Nothing is required here, since the rules report a missing key in words of their own; ``required`` in
``json_schema_extra`` tells it to editors.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from reconciler.state.refs import (
    INDEXES_PATTERN,
    MAX_INDEX,
    PF_NAME_PATTERN,
    VF_PATTERN,
    VFS_PATTERN,
)

ARGUMENT_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.,:=+@%/-]{0,254}$"
"""An argument of the kernel that means the same to it, to a shell (GRUB's drop-ins are shell) and to GRUB itself."""
MODULE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
SERVICE_PATTERN = r"^[A-Za-z0-9:_.\\@-]+$"
"""unit_name_is_valid of systemd (src/basic/unit-name.c)."""
PAGE_SIZE_PATTERN = r"^[1-9][0-9]{0,9}[KMG]$"
NODE_PATTERN = r"^node(0|[1-9][0-9]{0,3})$"
HOST_PATTERN = r"^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?$"
NETDEV_PATTERN = r"^[^/\s]+$"
LIBVIRT_NAME_PATTERN = r"^[^/\n]*[^/\s][^/\n]*$"
MAC_PATTERN = r"^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$"
MAC_OR_NONE_PATTERN = r"^(none|([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2})$"
PCI_PATTERN = r"^(([0-9A-Fa-f]{4,8}:)?[0-9A-Fa-f]{2}:[01][0-9A-Fa-f]\.[0-7]|netdevsim[0-9]+)$"
PCI_ID_PATTERN = r"^(0[xX])?[0-9A-Fa-f]{4}$"

MAX_PAGES = 2**40
"""Huge pages of one size: beyond any host, and a number that sysfs takes."""
MAX_RATE = 4294967295
"""Mbit/s; the kernel's field has 32 bits."""
MAX_ROOT_PORTS = 64
"""Each is a PCI bus of its own, of which a guest has 256, and takes the firmware a part of the guest's I/O ports."""

VfDriverSpec = Literal["none", "vfio-pci", "kernel"]
StateSpec = Literal["present", "absent"]
ServiceSpec = Literal["running", "stopped"]


def _pattern(pattern: str) -> dict[str, Any]:
    """A pattern for editors only: the rules say better what is wrong with a value than a pattern can."""
    return {"pattern": pattern}


def _list_of(pattern: str) -> dict[str, Any]:
    return {"items": {"type": "string", "pattern": pattern}}


def _one_or_many_of(pattern: str) -> dict[str, Any]:
    """Marks a list that may be written as its only element."""
    return {"x-one-or-many": pattern}


def _one_or_many(value: object) -> object:
    """``"int"`` means ``["int"]``."""
    return [value] if isinstance(value, str) else value


def _keys(pattern: str) -> dict[str, Any]:
    """Marks a table whose keys are names; the schema turns it into ``patternProperties``."""
    return {"x-keys": pattern}


PagesSpec = Annotated[Any, WithJsonSchema({"x-pages": NODE_PATTERN})]
"""A number, or a table of numbers by NUMA node; the rules say better what is wrong with it than two types can."""


class Spec(BaseModel):
    """A table of the state file: no other keys, no conversions (``"3"`` is not 3, ``true`` is not 1)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


class HostSpec(Spec):
    """The machine that the file is for."""

    model_config = ConfigDict(title="Host")

    name: str | None = Field(
        None,
        title="Host name",
        description="Name of the machine. apply refuses on a machine whose hostname differs.",
        json_schema_extra=_pattern(HOST_PATTERN),
    )


class PolicySpec(Spec):
    """What apply may do."""

    model_config = ConfigDict(title="Policy")

    disruption: Literal["none", "vf-traffic", "vf-reset", "guest", "management"] | None = Field(
        None,
        title="Disruption",
        description="The worst that apply may do without --allow, from mild to severe: none, vf-traffic, "
        "vf-reset, guest, management. The default is vf-reset.",
    )
    max_vfs_per_domain: int | None = Field(
        None,
        ge=1,
        le=MAX_INDEX,
        title="VFs per domain",
        description="A domain with more NICs than this is an error. The default is 32.",
    )


class KernelSpec(Spec):
    """The kernel itself."""

    model_config = ConfigDict(title="Kernel")

    cmdline: list[str] | None = Field(
        None,
        title="Command line",
        description="Arguments that the kernel has to be started with, such as intel_iommu=on and iommu=pt. They count "
        "when they have their effect, however they came there. [] empties the tool's own list.",
        json_schema_extra=_list_of(ARGUMENT_PATTERN),
    )


class ModulesSpec(Spec):
    """Kernel modules."""

    model_config = ConfigDict(title="Modules")

    blacklist: list[str] | None = Field(
        None,
        title="Blacklist",
        description="VF drivers that the host must not load, such as ixgbevf, iavf or igbvf. [] empties the "
        "tool's own list.",
        json_schema_extra=_list_of(MODULE_PATTERN),
    )
    load: list[str] | None = Field(
        None,
        title="Load",
        description="Modules that the host has to load, now and at boot, such as vfio-pci. [] empties the tool's own "
        "list.",
        json_schema_extra=_list_of(MODULE_PATTERN),
    )


class VfAttributesSpec(Spec):
    """What can be set on any VF."""

    vlan: int | None = Field(None, ge=0, le=4094, title="VLAN", description="VLAN id, 1 to 4094; 0 = none.")
    qos: int | None = Field(
        None,
        ge=0,
        le=7,
        title="VLAN priority",
        description="Priority in the VLAN tag, 0 to 7. With an interface or a pool only 0 is possible: "
        'use method = "hostdev".',
    )
    vlan_proto: Literal["802.1Q", "802.1ad"] | None = Field(
        None,
        title="VLAN protocol",
        description="802.1Q, or 802.1ad (QinQ), which needs a driver that can do it and method hostdev.",
    )
    spoofchk: bool | None = Field(
        None, title="Source MAC check", description="Drop frames that leave with another source MAC."
    )
    trust: bool | None = Field(
        None,
        title="Trust",
        description="Let the guest change what is otherwise the host's: its MAC, promiscuous mode.",
    )
    link_state: Literal["auto", "enable", "disable"] | None = Field(
        None,
        title="Link state",
        description="The link that the VF sees: that of the PF (auto), always up or always down.",
    )
    min_tx_rate: int | None = Field(
        None,
        ge=0,
        le=MAX_RATE,
        title="Minimum sending rate",
        description="Guaranteed sending rate in Mbit/s; 0 = none. Few cards can do it.",
    )
    max_tx_rate: int | None = Field(
        None,
        ge=0,
        le=MAX_RATE,
        title="Maximum sending rate",
        description="Limit of the sending rate in Mbit/s; 0 = no limit. The PF's link has to be up.",
    )
    query_rss: bool | None = Field(
        None,
        title="RSS query",
        description="Let the guest read the RSS hash key and indirection table that it shares with the PF.",
    )


class VfDefaultsSpec(VfAttributesSpec):
    """Attributes of every VF of this PF that does not say otherwise."""

    model_config = ConfigDict(title="Defaults of the VFs")


class VfSpec(VfAttributesSpec):
    """One VF, or those of a range."""

    model_config = ConfigDict(title="VF")

    mac: str | None = Field(
        None,
        title="MAC address",
        description='MAC address, such as "52:54:00:6d:90:00"; "none" is the zero MAC: the guest may choose. '
        "Not in a range of more than one VF.",
        json_schema_extra=_pattern(MAC_OR_NONE_PATTERN),
    )
    driver: VfDriverSpec | None = Field(
        None,
        title="Driver",
        description="What this VF is bound to while no guest has it; goes before the PF's vf_driver.",
    )


class MatchSpec(Spec):
    """How the card is recognised; all that is given must hold for exactly one PF."""

    model_config = ConfigDict(title="Match", json_schema_extra={"minProperties": 1})

    name: str | None = Field(
        None,
        title="Interface",
        description="Name of the network interface, or one of its alternative names.",
        json_schema_extra={"pattern": NETDEV_PATTERN, "maxLength": 127},
    )
    address: str | None = Field(
        None,
        title="PCI address",
        description='PCI address of the PF, such as "0000:3b:00.0".',
        json_schema_extra=_pattern(PCI_PATTERN),
    )
    mac: str | None = Field(
        None,
        title="Permanent MAC address",
        description="Permanent MAC address of the PF.",
        json_schema_extra=_pattern(MAC_PATTERN),
    )
    vendor: str | None = Field(
        None,
        title="Vendor",
        description='PCI vendor id, four hex digits, such as "8086".',
        json_schema_extra=_pattern(PCI_ID_PATTERN),
    )
    device: str | None = Field(
        None,
        title="Device",
        description='PCI device id, four hex digits, such as "10fb"; together with vendor.',
        json_schema_extra=_pattern(PCI_ID_PATTERN),
    )


class PfSpec(Spec):
    """A physical function: a network card's port that VFs are made on."""

    model_config = ConfigDict(title="PF", json_schema_extra={"required": ["match"]})

    match: MatchSpec | None = Field(
        None, title="Match", description="How the card is recognised; all that is given must hold."
    )
    link: Literal["up", "down"] | None = Field(
        None, title="Link", description="Whether the interface is up. Many cards need it for VFs and rates."
    )
    mtu: int | None = Field(None, ge=68, le=65535, title="MTU", description="MTU of the PF, in bytes.")
    vfs: int | None = Field(
        None,
        ge=0,
        le=MAX_INDEX,
        title="Number of VFs",
        description="How many VFs the PF has. 0 removes them.",
    )
    vf_driver: VfDriverSpec | None = Field(
        None,
        title="Driver of the VFs",
        description="What a VF is bound to while no guest has it: none, vfio-pci or the kernel's own driver.",
    )
    optional: bool | None = Field(None, title="Optional", description="The card may be missing.")
    host_network: Literal["ignore"] | None = Field(
        None,
        title="Host network",
        description="ignore: NetworkManager and systemd-networkd keep their hands off the VFs' interfaces.",
    )
    vf_defaults: VfDefaultsSpec | None = Field(
        None,
        title="Defaults of the VFs",
        description="Attributes of every VF of this PF that does not say otherwise.",
    )
    vf: dict[str, VfSpec] | None = Field(
        None,
        title="VFs",
        description='VFs by index: an index (3), a range ("4-7") or a list ("1,3,5-7"). A single index goes '
        "before a range, a range before vf_defaults.",
        json_schema_extra=_keys(INDEXES_PATTERN),
    )


class PoolSpec(Spec):
    """A libvirt network with forward mode hostdev, from which guests take VFs."""

    model_config = ConfigDict(title="Pool")

    state: StateSpec | None = Field(
        None, title="State", description="absent: the network is to be removed. The default is present."
    )
    pf: str | None = Field(
        None,
        title="PF",
        description="The PF whose VFs are all in the pool; instead of vfs.",
        json_schema_extra=_pattern(PF_NAME_PATTERN),
    )
    vfs: list[str] | None = Field(
        None,
        title="VFs",
        description='The VFs of the pool, such as ["int/8-62"]; instead of pf.',
        json_schema_extra=_list_of(VFS_PATTERN),
    )
    autostart: bool | None = Field(None, title="Autostart", description="Whether libvirt starts the network by itself.")


class FailoverSpec(Spec):
    """A virtio NIC that stands in for the VF while the guest is migrated."""

    model_config = ConfigDict(title="Failover", json_schema_extra={"required": ["bridge"]})

    bridge: str | None = Field(
        None,
        title="Bridge",
        description="The Linux bridge of the host that the virtio NIC is a port of.",
        json_schema_extra={"pattern": NETDEV_PATTERN, "maxLength": 15},
    )


class NicSpec(VfAttributesSpec):
    """A guest's NIC. It names exactly one of pool, vf and pf."""

    model_config = ConfigDict(title="NIC")

    state: StateSpec | None = Field(
        None, title="State", description="absent: the NIC is to be detached. The default is present."
    )
    method: Literal["interface", "hostdev"] | None = Field(
        None,
        title="Method",
        description="interface (the default): <interface type='hostdev'>. hostdev: a plain <hostdev>; all "
        "attributes are set on the host. A NIC from a pool has no method.",
    )
    pool: str | None = Field(
        None,
        title="Pool",
        description="The pool that the VF comes from; libvirt picks it.",
        json_schema_extra=_pattern(LIBVIRT_NAME_PATTERN),
    )
    vf: str | None = Field(
        None,
        title="VF",
        description='The VF, by PF and index: "int/3".',
        json_schema_extra=_pattern(VF_PATTERN),
    )
    pf: Annotated[list[str] | None, BeforeValidator(_one_or_many)] = Field(
        None,
        title="PF",
        description="The PF that the VF comes from, or a list of PFs; the planner picks a VF that nothing else uses.",
        json_schema_extra=_one_or_many_of(PF_NAME_PATTERN),
    )
    spread: bool | None = Field(
        None,
        title="Spread",
        description="With a list of PFs: the guest's NICs go to different ones as far as they have free VFs.",
    )
    mac: str | None = Field(
        None,
        title="MAC address",
        description='MAC address, such as "52:54:00:6d:90:02". "none", with hostdev only, lets the guest '
        "choose. Without it one is generated and kept.",
        json_schema_extra=_pattern(MAC_OR_NONE_PATTERN),
    )

    failover: FailoverSpec | None = Field(
        None,
        title="Failover",
        description="The guest gets a virtio NIC with the same MAC beside the VF, which stands in for it while the "
        "guest is migrated. Its kernel needs net_failover.",
    )


class DomainSpec(Spec):
    """A guest that libvirt knows."""

    model_config = ConfigDict(title="Domain")

    optional: bool | None = Field(None, title="Optional", description="libvirt may not know the guest.")
    root_ports: int | None = Field(
        None,
        ge=0,
        le=MAX_ROOT_PORTS,
        title="Free PCIe root ports",
        description="How many free pcie-root-port controllers its definition has at least, beside those of the NICs "
        "declared here: each takes one card while the guest runs. New ones count from its next start.",
    )
    nic: dict[str, NicSpec] | None = Field(
        None,
        title="NICs",
        description="The guest's NICs that are VFs, by a name of your choice.",
        json_schema_extra=_keys(r"^[^\x00-\x1f\x7f]+$"),
    )


class StateSpecFile(Spec):
    """A host's state file: what is declared here is managed, and nothing else."""

    model_config = ConfigDict(title="reconciler state file", json_schema_extra={"required": ["schema"]})

    schema_: int | None = Field(
        None, alias="schema", title="Schema", description="Version of the state file's language: 1."
    )
    host: HostSpec | None = Field(None, title="Host", description="The machine that the file is for.")
    policy: PolicySpec | None = Field(None, title="Policy", description="What apply may do.")
    kernel: KernelSpec | None = Field(None, title="Kernel", description="The kernel's command line.")
    modules: ModulesSpec | None = Field(None, title="Modules", description="Kernel modules.")
    services: dict[str, ServiceSpec] | None = Field(
        None,
        title="Services",
        description="Services of systemd, by their name: running or stopped, now and at boot.",
        json_schema_extra=_keys(SERVICE_PATTERN),
    )
    hugepages: dict[str, PagesSpec] | None = Field(
        None,
        title="Huge pages",
        description="Huge pages by their size (2M, 1G), now and at boot: how many, or how many of each NUMA node.",
        json_schema_extra=_keys(PAGE_SIZE_PATTERN),
    )
    pf: dict[str, PfSpec] | None = Field(
        None,
        title="PFs",
        description="Physical functions, by a name that the rest of the file uses.",
        json_schema_extra=_keys(PF_NAME_PATTERN),
    )
    pool: dict[str, PoolSpec] | None = Field(
        None,
        title="Pools",
        description="libvirt networks with forward mode hostdev, by their name.",
        json_schema_extra=_keys(LIBVIRT_NAME_PATTERN),
    )
    domain: dict[str, DomainSpec] | None = Field(
        None,
        title="Domains",
        description="Guests, by their libvirt name.",
        json_schema_extra=_keys(LIBVIRT_NAME_PATTERN),
    )
