"""The observed host as plain data: what sysfs, netlink, /proc and libvirt said, nothing interpreted.

``None`` means *unknown* (should be readable and was not) unless the field says otherwise; the reason is
then among the ``notes`` of the snapshot. The same data, as JSON, is the ``reconciler-snapshot/1`` document.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from reconciler.host.platform import OwnerName, Platform
from reconciler.state.desired import Attributes, AttributeValue, Pages

SNAPSHOT_FORMAT = "reconciler-snapshot/1"
OWN_ALIAS, STANDBY_ALIAS = "ua-rec-", "ua-standby-"
"""How the aliases of our NICs in libvirt begin, and of those that stand in for them."""


@dataclass(slots=True)
class Use:
    """One way in which the host itself uses a netdev."""

    kind: Literal["address", "route", "master", "upper", "namespace", "unknown", "default-route", "ssh"]
    detail: str
    """``192.0.2.1/24``, ``default via 192.0.2.254``, ``br0``, …; of ``default-route`` and ``ssh`` the whole way
    from the interface with the address down to this one, as a sentence."""

    def __str__(self) -> str:
        return self.detail if self.kind in ("default-route", "ssh") else f"{self.kind} {self.detail}"


@dataclass(slots=True)
class Vf:
    """One VF, found by its ``virtfnN`` link (on netdevsim, which has none, by its index alone)."""

    index: int
    address: str | None = None
    """PCI address; ``None`` on a bus without VF devices (netdevsim)."""
    driver: str | None = None
    """``None``: no driver is bound."""
    driver_override: str | None = None
    iommu_group: int | None = None
    """``None``: no group, so the IOMMU is off (or the bus has none)."""
    netdev: str | None = None
    """``None``: no netdev in this network namespace."""
    uses: list[Use] = field(default_factory=list)
    attributes: Attributes | None = None
    """``None``: unknown. A missing key: the driver doesn't report this attribute."""
    saved: Attributes | None = None
    """MAC and VLAN that libvirt puts back when the guest gives the VF back; ``None``: none or not known."""


@lru_cache(maxsize=256)
def _routing_id(device: str) -> tuple[str, int]:
    """PCI domain, and bus, slot and function as one number, of a PCI address."""
    domain, bus, rest = device.split(":")
    slot, function = rest.split(".")
    return domain, int(bus, 16) << 8 | int(slot, 16) << 3 | int(function, 16)


@dataclass(slots=True)
class Pf:
    """A netdev whose device has ``sriov_numvfs``."""

    bus: str
    """``pci`` or ``netdevsim``."""
    device: str
    """PCI address, or the device's name on its bus."""
    netdev: str
    ifindex: int = 0
    altnames: list[str] = field(default_factory=list)
    mac: str | None = None
    """Permanent MAC, else the current one; lower case."""
    vendor: str | None = None
    """Four hex digits, lower case, without 0x; ``None`` on a bus without ids."""
    device_id: str | None = None
    driver: str | None = None
    driver_version: str | None = None
    """``/sys/module/MODULE/version``; ``None``: the module says none, as most of the kernel's own."""
    out_of_tree: bool = False
    """The driver's module was not built with the kernel (taint ``O``)."""
    numa_node: int | None = None
    """``None``: the platform doesn't say (-1 in sysfs)."""
    total_vfs: int | None = None
    """``None``: the bus has no such limit (netdevsim)."""
    num_vfs: int | None = None
    offset: int | None = None
    """Predicts VF addresses only: it may change with the number of VFs."""
    stride: int | None = None
    vf_device_id: str | None = None
    autoprobe: bool | None = None
    """``sriov_drivers_autoprobe``; ``None``: this bus doesn't have it."""
    up: bool | None = None
    """IFF_UP; ``None``: unknown, since netlink could not be read."""
    carrier: bool | None = None
    """``None`` while the interface is down, or when that is unknown."""
    speed: int | None = None
    """Mbit/s; ``None`` when the driver doesn't know it (no link)."""
    mtu: int | None = None
    """``None``: unknown, as `up`."""
    uses: list[Use] = field(default_factory=list)
    vfs: list[Vf] = field(default_factory=list)
    """In index order."""

    @property
    def id(self) -> str:
        """Identity: ``pci/0000:01:00.0``."""
        return f"{self.bus}/{self.device}"

    def vf_address(self, index: int) -> str | None:
        """The PCI address of a VF: its own if it is there, else what offset and stride predict (routing id of the PF +
        offset + stride x index; ``pci_iov_virtfn_devfn`` in drivers/pci/iov.c), else ``None``."""
        vf = self.vf(index)
        if vf is not None:
            return vf.address
        if self.bus != "pci" or self.offset is None or self.stride is None:
            return None
        domain, routing = _routing_id(self.device)
        routing += self.offset + self.stride * index
        return f"{domain}:{routing >> 8:02x}:{routing >> 3 & 0x1F:02x}.{routing & 7:x}"

    def vf(self, index: int) -> Vf | None:
        """The VF with this index, by its index and not by its position."""
        if index < len(self.vfs) and self.vfs[index].index == index:
            return self.vfs[index]
        return next((vf for vf in self.vfs if vf.index == index), None)


@dataclass(slots=True)
class BootArguments:
    """The kernel's arguments: of this boot, of the next one, and what they brought about."""

    running: list[str] | None = None
    """``/proc/cmdline``, in its words."""
    own: list[str] | None = None
    """What our own file holds: of a drop-in what it adds, else which of the boot loader's arguments are ours; ``None``:
    there is no such file, or it could not be read."""
    leaving: list[str] = field(default_factory=list)
    """What was ours and is being taken out: whether the boot loader's configuration was made anew is not known."""
    next: list[str] | None = None
    """Those that the boot loader's configuration gives to every kernel of this system, in the order of its first entry;
    ``None``: not known. Entries for recovery don't count."""
    some: list[str] = field(default_factory=list)
    """Those that it gives to some of them only."""
    since_boot: bool = False
    """That configuration was written since this boot began."""
    loader: str = ""
    """The boot loader, and how its arguments are changed; "": none is known here, and `trouble` says why."""
    trouble: str = ""
    """Why they can't be changed, in full sentences."""
    replaces: bool = False
    """The boot loader's tool puts an argument in place of another one of the same name (``iommu=soft``)."""
    groups: int | None = None
    """How many IOMMU groups there are; 0: the IOMMU is off."""
    domains: list[str] | None = None
    """Types of the groups that the PFs are in (``identity``: passthrough); ``None``: not known."""


@dataclass(slots=True)
class BlacklistEntry:
    """A ``blacklist`` line of modprobe.d, or a module in ``modprobe.blacklist=`` or ``module_blacklist=`` of
    the kernel command line."""

    module: str
    """With ``_`` for ``-``, as the kernel spells it."""
    file: str
    line: int = 0


@dataclass(slots=True)
class LoadEntry:
    """A line of modules-load.d, or a module in ``modules_load=`` of the kernel command line."""

    module: str
    """With ``_`` for ``-``, as the kernel spells it."""
    file: str
    line: int = 0


@dataclass(slots=True)
class KernelModules:
    """All modules of the running kernel, with ``_`` for ``-``."""

    builtin: list[str] = field(default_factory=list)
    """Part of it."""
    installed: list[str] = field(default_factory=list)
    """Can be loaded; empty where its list can't be read."""


@dataclass(slots=True)
class Modules:
    """Kernel modules, as far as SR-IOV is concerned."""

    loaded: list[str] | None = None
    """Names of loadable modules that are loaded (``/proc/modules``), sorted, with ``_`` for ``-``."""
    blacklist: list[BlacklistEntry] | None = None
    """Every entry that is in force, except those of our own file."""
    own: list[str] | None = None
    """Entries of our own file; ``None`` when there is no such file."""
    devices: dict[str, list[str]] | None = None
    """PCI devices by driver, VFs and all others; ``None``: not known."""
    load: list[LoadEntry] | None = None
    """What else has loaded at boot, except by our own file."""
    own_load: list[str] | None = None
    """Entries of our own file of modules-load.d; ``None`` when there is no such file."""
    builtin: list[str] = field(default_factory=list)
    """Of the modules that were asked for, those that are part of the kernel."""
    missing: dict[str, str] = field(default_factory=dict)
    """Of these, those that this kernel doesn't have, with one that nearly has the name, or ""."""
    undecided: list[str] = field(default_factory=list)
    """Of these, those that may be part of the kernel or not: its list of modules can't be read here."""
    kernel: KernelModules | None = None
    """What there is to ask for, in a snapshot; ``None``: only what was asked for is known."""
    initramfs: list[str] | None = field(default_factory=list)
    """Of the modules that are to be kept away, those that the initramfs of an installed kernel has; ``None``: can't be
    read."""
    initramfs_old: list[str] = field(default_factory=list)
    """Of these, those that one would load all the same: it has a copy of modprobe.d from before."""


@dataclass(slots=True)
class ServiceUnit:
    """A service of systemd, in systemd's own words (systemctl(1), org.freedesktop.systemd1(5))."""

    unit: str
    """``ssh.service``, also where it was asked for by another of its names (``sshd``)."""
    load: str = "loaded"
    """``not-found``: there is no such service; ``masked``; ``bad-setting`` and ``error``: its file can't be used."""
    active: str = "inactive"
    sub: str = "dead"
    enabled: str = ""
    """``UnitFileState``; "" for one without a file."""
    once: bool = False
    """It does its work and ends (``Type=oneshot`` that doesn't remain)."""
    settled: bool = True
    """Not running, or running for a moment by now: one that dies at once is not."""
    wanted_by: list[str] = field(default_factory=list)
    """Units that start it with them."""
    triggered_by: list[str] = field(default_factory=list)
    """Sockets, timers and paths that are active or enabled, and start it when something happens."""
    words: list[str] = field(default_factory=list)
    """The last lines of its log, when it failed."""


@dataclass(slots=True)
class Services:
    """Services by name, without ``.service``."""

    units: dict[str, ServiceUnit] | None = field(default_factory=dict)
    """``None``: unknown, since systemd doesn't run here or doesn't answer."""
    complete: bool = False
    """What is not in it doesn't exist; otherwise it was not asked for."""
    names: list[str] = field(default_factory=list)
    """All that could be meant; only read when one that was asked for doesn't exist."""


@dataclass(slots=True)
class NodePages:
    """Huge pages of one size on one NUMA node."""

    total: int = 0
    free: int = 0
    surplus: int = 0
    """Of these, how many go when they are given back."""


@dataclass(slots=True)
class PagesOfSize(NodePages):
    """Huge pages of one size (``/sys/kernel/mm/hugepages/hugepages-NkB``)."""

    reserved: int = 0
    """Free ones that are promised already."""
    nodes: dict[str, NodePages] = field(default_factory=dict)
    """By NUMA node (``node0``); empty where the kernel knows none."""


@dataclass(slots=True)
class SysctlPages:
    """``vm.nr_hugepages`` in a file of sysctl's."""

    path: str
    line: int
    """1-based."""
    size: str
    """The kernel's default one (``2M``)."""
    count: int


@dataclass(slots=True)
class HugePagePools:
    """Huge pages, and the memory that they come from."""

    sizes: dict[str, PagesOfSize] | None = None
    """By size (``2M``)."""
    own: dict[str, Pages] | None = None
    """What our own file makes at boot; ``None``: there is no such file, or it could not be read."""
    memory_kib: int | None = None
    """``MemTotal``: it counts huge pages."""
    nodes_kib: dict[str, int] = field(default_factory=dict)
    """Memory of each NUMA node."""
    sysctl: SysctlPages | None = None
    """What sysctl makes at boot; ``None``: nothing."""


@dataclass(slots=True)
class Nic:
    """A NIC in a domain's XML. Plain PCI ``<hostdev>`` devices count when they are VFs."""

    method: Literal["interface", "hostdev", "pool", "other"]
    """``other``: any interface that is no VF (bridge, user, …); it is kept for its MAC."""
    alias: str | None = None
    """Only user aliases (``ua-…``) in persistent XML; any in live XML."""
    mac: str | None = None
    """``None`` for a plain hostdev."""
    vf_address: str | None = None
    """PCI address; ``None`` for a pool NIC of a domain that is off."""
    pool: str | None = None
    vlan: int = 0
    """The tag in the XML; 0 = none."""
    bridge: str | None = None
    """Of an ``<interface type='bridge'>``."""
    teaming: Literal["", "persistent", "transient"] = ""
    """``transient``: a VF that another NIC stands in for while the guest is migrated; ``persistent``: that other."""
    partner: str | None = None
    """Of a ``transient`` one: the alias of the NIC that stands in."""


@dataclass(slots=True)
class GuestHardware:
    """What a domain's XML says of its memory and its PCI slots: of the live XML while it runs."""

    memory_kib: int = 0
    """``<memory>``: all that it may have, so all that is pinned; 0: not known."""
    hard_limit_kib: int | None = None
    """``<memtune><hard_limit>``; ``None``: there is none."""
    huge_page_kib: int | None = None
    """Size of the huge pages that it is backed by (``<memoryBacking><hugepages>``; of several sizes the first), 0: the
    host's default size; ``None``: ordinary pages."""
    viommu: bool = False
    machine: str = ""
    """``pc-q35-10.0``."""
    hostdevs: int = 0
    """PCI devices of the host that it has, VFs among them."""
    free_root_ports: int | None = None
    """``pcie-root-port`` controllers without a device; ``None``: its machine has no PCIe (i440fx)."""
    numa_nodes: list[int] = field(default_factory=list)
    """Of the host, that its memory or else its CPUs are bound to; empty: it is not bound."""


@dataclass(slots=True)
class PciBus:
    """A PCI controller of a guest's definition below its root: a bus, by the controller's index."""

    index: int
    free: bool = False
    """It is a ``pcie-root-port`` and no device sits on it."""


@dataclass(slots=True)
class Domain:
    """A libvirt domain with its live and its persistent NICs."""

    name: str
    uuid: str
    running: bool = False
    persistent: bool = True
    autostart: bool = False
    hardware: GuestHardware | None = None
    """``None``: not known."""
    buses: list[PciBus] | None = None
    """PCI controllers of the persistent XML, by index; ``None``: a transient domain, one without PCIe, or not known."""
    live: list[Nic] = field(default_factory=list)
    """Empty when it doesn't run."""
    config: list[Nic] = field(default_factory=list)
    """Empty for a transient domain."""
    other_aliases: list[str] = field(default_factory=list)
    """Aliases of the kind that our NICs have (``ua-rec-…``, ``ua-standby-…``), of devices that are no NICs: a disk, a
    channel, …"""


@dataclass(slots=True)
class NetworkPort:
    """Who has an address of an active network (``virsh net-port-dumpxml``)."""

    owner: str
    """The domain's name."""
    mac: str | None = None
    vf_address: str | None = None


@dataclass(slots=True)
class Network:
    """A libvirt network. ``pf_dev``, ``addresses``: as defined (inactive XML); ``live_addresses``: what
    libvirt would give out now (live XML), empty while it is not active."""

    name: str
    uuid: str
    active: bool = False
    persistent: bool = True
    autostart: bool = False
    mode: str = ""
    """Forward mode; ``hostdev`` for a pool, "" when there is no forward element."""
    pf_dev: str | None = None
    addresses: list[str] = field(default_factory=list)
    live_addresses: list[str] = field(default_factory=list)
    ports: list[NetworkPort] = field(default_factory=list)


@dataclass(slots=True)
class Libvirt:
    """What libvirt knows. ``available`` false: nothing below is known, and ``reason`` says why."""

    uri: str = "qemu:///system"
    available: bool = False
    reason: str = ""
    version: int | None = None
    """As libvirt counts: 11003000 is 11.3.0."""
    by_files: bool = False
    """libvirt was not asked: its definitions were read from its files. What runs is not known, and nothing that takes
    libvirt can be done."""
    domains: dict[str, Domain] = field(default_factory=dict)
    """By name."""
    networks: dict[str, Network] = field(default_factory=dict)
    """By name."""


@dataclass(slots=True)
class Process:
    """A process that holds something open."""

    pid: int
    command: str
    guest: str = ""
    """The libvirt guest whose QEMU it is; "" for any other process, and when its arguments can't be read."""

    def __str__(self) -> str:
        return f"{self.command} (pid {self.pid}{f', guest {self.guest}' if self.guest else ''})"


@dataclass(slots=True)
class Hang:
    """A process that is inside a write to the kernel which has not come back, ours or anybody's."""

    pid: int
    command: str
    path: str
    """The file in sysfs that it writes to; "" when it changes network interfaces."""
    pf: str = ""
    """Identity of the PF whose VFs it is about; "" when that isn't known."""
    since: str = ""
    """When the process began, UTC."""
    waits_in: str = ""
    """The kernel's function that it waits in (/proc/PID/wchan); "" when that isn't known."""
    holders: list[str] = field(default_factory=list)
    """Who holds VFs of the PF: ``VF 1 (0000:01:10.2): python3 (pid 99)``."""


@dataclass(slots=True)
class Claim:
    """What a file of another tool says of a PF, or of one of its VFs."""

    owner: OwnerName
    path: str
    line: int
    """1-based."""
    pf: str
    """Identity of the PF."""
    field: str
    """``vfs``, ``mtu``, ``link``, ``autoprobe``, or an attribute of a VF."""
    value: AttributeValue
    """As the state file would write it."""
    vf: int | None = None
    """Index of the VF; ``None``: the PF itself."""


@dataclass(slots=True)
class Owners:
    """Who else configures the PFs."""

    claims: list[Claim] | None = None
    """``None``: nobody has looked."""
    unread: list[str] = field(default_factory=list)
    """Files that could not be read or understood, in full sentences."""


@dataclass(slots=True)
class HostNetwork:
    """Who keeps off the netdevs of VFs."""

    ignored: list[str] | None = None
    """Identities of the PFs that our own files are about, sorted; ``None``: not known."""
    managed: dict[str, str] = field(default_factory=dict)
    """Who manages the netdev of a VF (``NetworkManager``, ``systemd-networkd``), by its PCI address."""


@dataclass(slots=True)
class HostIdentity:
    """Which machine and which boot this is."""

    name: str = ""
    machine_id: str = ""
    boot_id: str = ""
    kernel: str = ""


@dataclass(slots=True)
class Applied:
    """A ledger entry: the value that a field was last given, or found already right with."""

    value: bool | int | str | list[str] | dict[str, int] | None
    boot_id: str = ""
    run: str = ""
    """"" when it was found already right."""


Ledger = dict[str, dict[str, Applied]]
"""Applied values by identity (``pci/0000:01:00.0``, ``pci/0000:01:00.0/3``, ``domain UUID ALIAS``, …) and
field."""


@dataclass(slots=True)
class Snapshot:
    """Everything that a plan reads, so that planning from it gives the same plan as on the host."""

    format: str = SNAPSHOT_FORMAT
    tool: str = ""
    """Version of the tool that wrote it."""
    taken_at: str = ""
    """UTC, ``2026-01-01T00:00:00Z``."""
    host: HostIdentity = field(default_factory=HostIdentity)
    pfs: dict[str, Pf] = field(default_factory=dict)
    """By identity."""
    boot: BootArguments = field(default_factory=BootArguments)
    modules: Modules = field(default_factory=Modules)
    bridges: list[str] | None = None
    """The host's Linux bridges, sorted; ``None``: not known."""
    services: Services = field(default_factory=Services)
    hugepages: HugePagePools = field(default_factory=HugePagePools)
    host_network: HostNetwork = field(default_factory=HostNetwork)
    owners: Owners = field(default_factory=Owners)
    libvirt: Libvirt = field(default_factory=Libvirt)
    vfio_open: dict[int, list[Process]] | None = None
    """Open VFIO groups by IOMMU group number; ``None``: unknown (reading /proc/*/fd takes root)."""
    hangs: list[Hang] = field(default_factory=list)
    """Writes to VFs and their PFs that have not come back, as far as other processes can be looked into."""
    ledger: Ledger = field(default_factory=dict)
    owed: dict[str, Pf] = field(default_factory=dict)
    """By identity, PFs with VFs as they were before a run made them again that did not come to its end: what they had
    is to be given back to them."""
    notes: list[str] = field(default_factory=list)
    """Why something is unknown, in full sentences."""
    platform: Platform | None = None
    """What doctor wants to know; ``None``: it was not recorded. A plan doesn't read it."""
