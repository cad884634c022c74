"""What the rest of the tool may ask of a host: a reader for everybody, a writer for `reconciler.apply`
alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from reconciler.clock import Clock
from reconciler.diagnostics import ReconcilerError
from reconciler.host.counters import PfCounters
from reconciler.host.model import Pf, Snapshot
from reconciler.host.platform import Platform
from reconciler.state.desired import Attributes, Pages

ScopeKind = Literal["boot", "modules", "service", "hugepages", "host_network", "pf", "vfs", "domain", "pool"]


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of a host that one action touches: ``Scope("pf", "pci/0000:01:00.0")`` (several PFs with blanks between
    them are read in one pass), ``Scope("vfs", …)`` (the attributes of their VFs alone), ``Scope("domain", NAME)``,
    ``Scope("pool", NAME)``, ``Scope("service", NAME)``,
    ``Scope("modules", "")`` (or ``NAME …``, of which it matters whether the initramfs has them), ``Scope("hugepages",
    "")``, ``Scope("boot", "")``, ``Scope("host_network", "")``."""

    kind: ScopeKind
    key: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What is read because somebody asks for it: a host has far more of these than a state file names."""

    services: Collection[str] | None = ()
    """Names; ``None``: all that there are."""
    modules: Collection[str] | None = ()
    """Kernel modules of which it matters whether the kernel has them; ``None``: all that there are."""
    kept_away: Collection[str] = ()
    """Kernel modules of which it matters whether the initramfs has them."""


NOTHING = Asked()


class HostError(ReconcilerError):
    """The host refused or did not answer. ``errno`` is a positive kernel error number or 0."""

    def __init__(self, summary: str, detail: str = "", *, errno: int = 0, code: int = 1) -> None:
        super().__init__(summary, detail, code=code)
        self.errno = errno


class NoAnswer(HostError):
    """libvirt did not answer in time: whether the order is carried out, now or later, is not known."""


class Reader(Protocol):
    """Reads a host. Never changes it."""

    def observe(self) -> Snapshot:
        """Everything that a plan reads, in one pass."""
        ...

    def refresh(self, snapshot: Snapshot, scope: Scope) -> None:
        """Reads one part again and puts it into the snapshot: a thing that is gone is removed from it."""
        ...

    def wait_for_change(self, seconds: float) -> None:
        """Lets so many seconds of the host's clock pass; fewer when the kernel tells of a change of cards or their
        interfaces since the last `refresh` began, those during it included. Only a reason to look again: much changes
        without being told."""
        ...

    def examine(self) -> Platform:
        """What only doctor wants to know, which takes longer to read; what can't be read is unknown, with a note."""
        ...

    def count(self, pfs: Sequence[Pf]) -> dict[str, PfCounters]:
        """What the cards have counted of their VFs' traffic until now, by the PF's identity. Raises `ReconcilerError`
        (64) for a host that is only recorded."""
        ...


class Events(Protocol):
    """Says when something happens to guests, networks or network cards."""

    def wait(self, seconds: float) -> bool:
        """Waits for that, at most so long; whether it did happen. What has piled up counts as one."""
        ...

    def wake(self) -> None:
        """Ends a wait at once. May be called from anywhere, also while a signal is handled."""
        ...

    @property
    def trouble(self) -> str:
        """Why nothing is heard at present of a part of it, in full sentences; "" when all is heard."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class VfSet:
    """Attributes of one VF that are written together: one alone, or those that share a kernel struct
    (vlan, qos, vlan_proto; min_tx_rate, max_tx_rate), in which case the struct is complete."""

    index: int
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class NicSpec:
    """A NIC as it is to stand in a domain's XML. Exactly one of ``vf_address``, ``pool`` and ``bridge``."""

    method: Literal["interface", "hostdev", "pool", "bridge"]
    """``bridge``: a virtio NIC that stands in for a VF."""
    alias: str
    mac: str | None = None
    vlan: int | None = None
    """``None`` or 0: no ``<vlan>`` element."""
    vf_address: str | None = None
    pool: str | None = None
    bridge: str | None = None
    standby: str | None = None
    """Alias of the virtio NIC that stands in for it; "": it has none; ``None``: what it has is kept."""


@dataclass(frozen=True, slots=True)
class NicMatch:
    """How a NIC is found in a domain's XML: by its alias, else by its MAC, else by its VF's PCI address."""

    alias: str | None = None
    mac: str | None = None
    vf_address: str | None = None


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """A hostdev network. Exactly one of ``pf_dev`` (netdev name) and ``addresses`` (PCI)."""

    name: str
    uuid: str | None = None
    """Given when an existing network is defined anew."""
    pf_dev: str | None = None
    addresses: Sequence[str] = field(default_factory=tuple)


class Writer(Protocol):
    """Changes a host, one thing per call. A call returns when the kernel or libvirt has taken the order;
    whether the effect is there is read back by the caller through the `Reader`. ``deadline`` is in
    seconds from now: a call that needs longer raises `HostError`. Every refusal is a `HostError` with
    what the kernel said."""

    @property
    def clock(self) -> Clock:
        """What the host's seconds are counted by."""
        ...

    def set_kernel_arguments(self, arguments: Sequence[str] | None, deadline: float) -> None:
        """Has the next boot use these as ours, in place of those that were ours before, by the boot loader's own means;
        ``None``: none, and no file of ours. When this returns, the boot loader's configuration has them; when it
        raises, all is as it was."""
        ...

    def set_blacklist(self, modules: Sequence[str] | None, *, until_reboot: bool = False) -> None:
        """Replaces our own modprobe.d file atomically; ``None`` removes it. ``until_reboot``: the one that a reboot
        takes away."""
        ...

    def set_loaded_at_boot(self, modules: Sequence[str] | None) -> None:
        """Replaces our own modules-load.d file atomically; ``None`` removes it."""
        ...

    def rebuild_initramfs(self, modules: Sequence[str], deadline: float) -> None:
        """Makes that of each installed kernel anew that has one of these modules, with modprobe's configuration as it
        is now."""
        ...

    def unload_module(self, module: str, deadline: float) -> None: ...

    def load_module(self, module: str, deadline: float) -> None: ...

    def set_service(self, unit: str, running: bool, deadline: float) -> None:
        """Starts or stops a service. Systemd has done it when this returns; one that dies a moment later is seen by
        reading."""
        ...

    def set_service_at_boot(self, unit: str, enabled: bool) -> None: ...

    def set_huge_pages(self, size: str, pages: Pages, deadline: float) -> None:
        """So many of this size, of the host or of each node that is named. The kernel makes as many as it can: what
        came of it is read back."""
        ...

    def set_huge_pages_at_boot(self, pages: Mapping[str, Pages] | None) -> None:
        """Replaces our own file atomically; ``None`` removes it."""
        ...

    def set_link(self, pf: str, up: bool) -> None: ...

    def set_mtu(self, pf: str, mtu: int) -> None: ...

    def set_autoprobe(self, pf: str, enabled: bool) -> None: ...

    def set_host_network(self, pfs: Sequence[str], deadline: float) -> None:
        """Replaces our own files that keep NetworkManager and systemd-networkd off the netdevs of these PFs' VFs, and
        has them read; without a PF the files are removed."""
        ...

    def set_numvfs(self, pf: str, count: int, deadline: float) -> None: ...

    def together(self, orders: Sequence[Callable[[], None]]) -> list[Exception | None]:
        """Carries out calls of this writer side by side, where the host can: what each raised, in order. None of them
        may need another one's effect."""
        ...

    def bind_vf(self, pf: str, index: int, driver: Literal["none", "vfio-pci", "kernel"], deadline: float) -> None:
        """Unbinds from any other driver, then binds: ``none`` leaves it without; ``kernel`` lets the
        kernel choose (also while autoprobe is off); clears or sets ``driver_override`` accordingly."""
        ...

    def set_vfs(self, pf: str, requests: Sequence[VfSet]) -> list[HostError | None]:
        """Many requests on one PF, each acknowledged by itself: one result per request, in order."""
        ...

    def define_pool(self, pool: PoolSpec) -> None: ...

    def create_pool(self, pool: PoolSpec) -> None:
        """Starts a network from its specification, and leaves what is defined lastingly as it is."""
        ...

    def start_pool(self, name: str) -> None: ...

    def stop_pool(self, name: str) -> None: ...

    def set_pool_autostart(self, name: str, enabled: bool) -> None: ...

    def undefine_pool(self, name: str) -> None: ...

    def attach_nic(self, domain: str, nic: NicSpec, *, live: bool, config: bool) -> None: ...

    def detach_nic(self, domain: str, match: NicMatch, *, live: bool, config: bool) -> None:
        """Only asks: a running guest answers later, which the caller sees in the live XML."""
        ...

    def update_nic(self, domain: str, match: NicMatch, nic: NicSpec) -> None:
        """Replaces the NIC in the persistent XML alone, keeping its place on the guest's PCI bus."""
        ...

    def set_bridge(self, domain: str, alias: str, bridge: str, *, live: bool, config: bool) -> None:
        """Makes the NIC with this alias a port of another bridge, in place."""
        ...

    def add_root_ports(self, domain: str, free: int) -> None:
        """Adds as many ``pcie-root-port``s to the persistent XML as it lacks to so many free ones."""
        ...

    def drop_root_ports(self, domain: str, keep: Sequence[int]) -> None:
        """Takes the last free ``pcie-root-port``s out of the persistent XML, down to the last index in ``keep``."""
        ...
