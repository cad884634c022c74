"""Short descriptions of hosts, from which twins are made: TOML files, some of which come with the package."""

from __future__ import annotations

import re
import tomllib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import reconciler
from reconciler.diagnostics import ReconcilerError
from reconciler.host.model import (
    BlacklistEntry,
    BootArguments,
    Domain,
    GuestHardware,
    HostIdentity,
    Libvirt,
    Modules,
    Pf,
    Services,
    ServiceUnit,
    Use,
)
from reconciler.host.platform import IommuGroup, Platform
from reconciler.host.snapshot import error_places
from reconciler.host.twin import hugepages, kernel, modules
from reconciler.host.twin.check import is_pci_address
from reconciler.host.twin.state import Card, Guest, Twin

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_UNREADABLE = "The profile can't be read."
_INVALID = "The profile is not valid."
_MAC = re.compile(r"(?!00:00:00:00:00:00)[0-9a-f][02468ace](:[0-9a-f]{2}){5}")
"""Of one device: lower case, not zero and no group's."""
_STRICT = {"extra": "forbid"}


@dataclass(slots=True)
class CardProfile:
    """A kind of card, as its PFs show it."""

    __pydantic_config__: ClassVar[dict[str, str]] = _STRICT
    driver: str
    vendor: str | None = None
    device: str | None = None
    vf_device: str | None = None
    total_vfs: int | None = None
    """``None`` on netdevsim."""
    stride: int = 1
    speed: int = 1000
    """Mbit/s of the link."""
    max_mtu: int = 9216
    max_vfs: int | None = None
    """A bound below ``total_vfs``."""


@dataclass(slots=True)
class PortProfile:
    """One PF."""

    __pydantic_config__: ClassVar[dict[str, str]] = _STRICT
    card: str
    device: str
    """PCI address, or the device's name on its bus."""
    mac: str
    offset: int = 0
    bus: str = "pci"
    numa_node: int | None = None
    up: bool = False
    mtu: int = 1500
    vfs: int = 0
    cable: bool = True
    altnames: list[str] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)


@dataclass(slots=True)
class DomainProfile:
    """One guest, without VFs."""

    __pydantic_config__: ClassVar[dict[str, str]] = _STRICT
    uuid: str | None = None
    running: bool = False
    autostart: bool = False
    answers: bool = True
    slots: int = 6
    memory_mib: int = 2048
    numa_nodes: list[int] = field(default_factory=list)


@dataclass(slots=True)
class HostProfile:
    """The machine itself."""

    __pydantic_config__: ClassVar[dict[str, str]] = _STRICT
    name: str
    kernel: str = "6.12.0"
    iommu: bool = True
    cmdline: str = "quiet intel_iommu=on iommu=pt"
    """Kernel arguments."""
    cpu_vendor: str = "GenuineIntel"
    kvm: bool = True
    qemu: int = 10000002
    """As libvirt counts."""
    memory_gib: int = 64
    numa_nodes: int = 1
    libvirt: int = 11003000
    loaded: list[str] = field(default_factory=list)
    """Modules."""
    installed: list[str] = field(default_factory=list)
    """Modules that can be loaded, beside those that are and vfio-pci."""
    builtin: list[str] = field(default_factory=list)
    services: dict[str, Literal["running", "stopped"]] = field(default_factory=dict)
    """Now and at boot."""
    blacklist: list[str] = field(default_factory=list)
    """By a file of somebody else's."""
    devices: dict[str, list[str]] = field(default_factory=dict)
    """PCI devices by driver that are neither PFs nor VFs."""


@dataclass(slots=True)
class Profile:
    """A host in short."""

    __pydantic_config__: ClassVar[dict[str, str]] = _STRICT
    title: str
    host: HostProfile
    card: dict[str, CardProfile] = field(default_factory=dict)
    port: dict[str, PortProfile] = field(default_factory=dict)
    """By netdev."""
    domain: dict[str, DomainProfile] = field(default_factory=dict)


def packaged() -> dict[str, str]:
    """Names of the profiles that come with the package, with their titles."""
    folder = resources.files("reconciler.host.twin") / "profiles"
    names = sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))
    return {name: read_profile(name).title for name in names}


def read_profile(name: str) -> Profile:
    """A profile by its name, or from a file of one's own (a path with ``/`` or ``.toml``). Raises `ReconcilerError`: 64
    when there is none of this name, 65 when it isn't one."""
    own = "/" in name or name.endswith(".toml")
    try:
        data = Path(name).read_bytes() if own else _packaged_file(name)
    except OSError as error:
        raise ReconcilerError(_UNREADABLE, f"{name}: {error.strerror}.", code=64) from error
    return parse_profile(data, name)


def _packaged_file(name: str) -> bytes:
    folder = resources.files("reconciler.host.twin") / "profiles"
    known = sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))
    if name not in known:
        raise ReconcilerError(
            "There is no such profile.",
            f"{name!r} is none of: {', '.join(known)}. A file of your own is named with its path: ./NAME.toml",
            code=64,
        )
    return (folder / f"{name}.toml").read_bytes()


def parse_profile(data: bytes, path: str) -> Profile:
    """Reads a profile's text. Raises `ReconcilerError` with code 65, saying where."""
    from pydantic import ValidationError

    try:
        document = tomllib.loads(data.decode())
    except ValueError as error:
        raise ReconcilerError(_INVALID, f"{path}: {error}.", code=65) from error
    try:
        profile: Profile = _adapter().validate_python(document)
    except ValidationError as error:
        raise ReconcilerError(_INVALID, f"{path}: {error_places(error)}", code=65) from error
    wrong = list(_wrong(profile))
    if wrong:
        raise ReconcilerError(_INVALID, f"{path}: {'; '.join(wrong)}.", code=65)
    return profile


def _wrong(profile: Profile) -> Iterator[str]:
    yield from _wrong_sizes(profile)
    seen: set[tuple[str, str]] = set()
    for netdev, port in profile.port.items():
        if port.card not in profile.card:
            yield f"port.{netdev}: there is no card.{port.card}"
        elif port.vfs < 0 or port.vfs > (profile.card[port.card].total_vfs or port.vfs):
            yield f"port.{netdev}: its card doesn't make {port.vfs} VFs"
        if port.bus == "pci" and not is_pci_address(port.device):
            yield f"port.{netdev}: {port.device!r} is no PCI address"
        if (port.bus, port.device) in seen:
            yield f"port.{netdev}: another port is at {port.device}, too"
        seen.add((port.bus, port.device))
        if not _MAC.fullmatch(port.mac):
            yield f"port.{netdev}: {port.mac!r} is no MAC of a port, which is as 52:54:00:00:00:01"
        if port.bus == "pci" and port.offset < 1:
            yield f"port.{netdev}: offset = {port.offset}, and VF 0 would be at the port's own address or before it"


def _wrong_sizes(profile: Profile) -> Iterator[str]:
    """Numbers that are too small to be any."""
    sizes = [("host.memory_gib", profile.host.memory_gib, 1), ("host.numa_nodes", profile.host.numa_nodes, 1)]
    for name, card in profile.card.items():
        sizes += [(f"card.{name}.speed", card.speed, 1), (f"card.{name}.stride", card.stride, 1)]
        sizes += [(f"card.{name}.max_mtu", card.max_mtu, 68)]
        limits = (("total_vfs", card.total_vfs), ("max_vfs", card.max_vfs))
        sizes += [(f"card.{name}.{key}", limit, 0) for key, limit in limits if limit is not None]
    for name, port in profile.port.items():
        sizes.append((f"port.{name}.mtu", port.mtu, 68))
    for name, domain in profile.domain.items():
        sizes += [(f"domain.{name}.slots", domain.slots, 0), (f"domain.{name}.memory_mib", domain.memory_mib, 1)]
    yield from (f"{what} = {value}: it is at least {least}" for what, value, least in sizes if value < least)


@cache
def _adapter() -> TypeAdapter[Profile]:
    from pydantic import TypeAdapter

    return TypeAdapter(Profile)


def from_profile(profile: Profile, name: str) -> Twin:
    """A twin of the described host; ``name``: of the profile."""
    host = profile.host
    loaded = sorted(modules.canonical(module) for module in host.loaded)
    twin = Twin(
        tool=reconciler.__version__,
        origin=f"profile {name}",
        host=HostIdentity(host.name, _uuid(name, "machine").replace("-", ""), _uuid(name, "boot 1"), host.kernel),
        modules=Modules(
            loaded=loaded,
            blacklist=[
                BlacklistEntry(modules.canonical(module), "/etc/modprobe.d/blacklist.conf", line)
                for line, module in enumerate(host.blacklist, 1)
            ],
            devices=dict(host.devices),
            load=[],
        ),
        installed=sorted({modules.canonical(module) for module in [*host.installed, modules.VFIO]} | set(loaded)),
        builtin=sorted(modules.canonical(module) for module in host.builtin),
        services=Services({name: _service(name, state) for name, state in host.services.items()}, complete=True),
        iommu=host.iommu,
        iommu_in_firmware=host.iommu or not any(word.endswith("_iommu=on") for word in host.cmdline.split()),
        boot=BootArguments(host.cmdline.split(), next=host.cmdline.split(), loader="GRUB, with drop-ins"),
        hugepages=hugepages.empty(host.memory_gib << 20, host.numa_nodes),
        libvirt=Libvirt(available=True, version=host.libvirt),
        platform=_platform(profile),
    )
    for number, (netdev, port) in enumerate(profile.port.items(), 2):
        _add_port(twin, profile.card[port.card], port, netdev, number)
    for guest, domain in profile.domain.items():
        twin.libvirt.domains[guest] = Domain(
            guest,
            domain.uuid or _uuid(name, guest),
            running=domain.running,
            autostart=domain.autostart,
            hardware=GuestHardware(domain.memory_mib << 10, machine="pc-q35-10.0", numa_nodes=domain.numa_nodes),
        )
        twin.guests[guest] = Guest(domain.answers, domain.slots)
    return twin


def _service(name: str, state: str) -> ServiceUnit:
    running = state == "running"
    return ServiceUnit(
        f"{name}.service",
        active="active" if running else "inactive",
        sub="running" if running else "dead",
        enabled="enabled" if running else "disabled",
    )


def _platform(profile: Profile) -> Platform:
    """The machine around it: nobody else configures its cards."""
    host, total = profile.host, profile.host.memory_gib << 20
    running = sum(domain.memory_mib << 10 for domain in profile.domain.values() if domain.running)
    devices = [port.device for port in profile.port.values() if port.bus == "pci"]
    kind = "identity" if "iommu=pt" in host.cmdline.split() else "DMA"
    return Platform(
        iommu_groups=[IommuGroup(number, kind, [device]) for number, device in enumerate(devices, 1)],
        iommu_units=["dmar0"] if host.iommu else [],
        cmdline=host.cmdline,
        cpu_vendor=host.cpu_vendor,
        cpu_virtualisation=True,
        kvm=host.kvm,
        qemu=host.qemu,
        memory_total_kib=total,
        memory_available_kib=max(0, total - running - (2 << 20)),
        huge_pages=[],
        owners=[],
        services={},
        inside={},
    )


def _add_port(twin: Twin, card: CardProfile, port: PortProfile, netdev: str, ifindex: int) -> None:
    pci = port.bus == "pci"
    pf = Pf(
        bus=port.bus,
        device=port.device,
        netdev=netdev,
        ifindex=ifindex,
        altnames=port.altnames,
        mac=port.mac,
        vendor=card.vendor,
        device_id=card.device,
        driver=card.driver,
        numa_node=port.numa_node,
        total_vfs=card.total_vfs,
        num_vfs=0,
        offset=port.offset if pci else None,
        stride=card.stride if pci else None,
        vf_device_id=card.vf_device,
        autoprobe=True if pci else None,
        up=port.up,
        mtu=port.mtu,
        uses=port.uses,
    )
    twin.pfs[pf.id] = pf
    twin.cards[pf.id] = Card(port.cable, card.speed, card.max_mtu, card.max_vfs)
    if port.up:
        pf.carrier = False
        kernel.carrier(twin, pf)
    kernel.add_vfs(twin, pf, port.vfs)
    modules.new_vfs(twin, pf)


def _uuid(profile: str, thing: str) -> str:
    """Always the same for the same twin."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{profile}: {thing}"))


def make_from(name: str) -> Twin:
    """A twin from a profile's name or path."""
    return from_profile(read_profile(name), Path(name).stem)
