"""The whole truth about a simulated host, what is seen of it and what is hidden: the ``reconciler-sim/1`` document.

What can be seen is kept in the observed host's own classes, with one difference: a VF's ``attributes`` are what the
hardware does, of which its driver may report less. Times are seconds of the twin's own clock.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from reconciler.diagnostics import ReconcilerError
from reconciler.files import replace_file
from reconciler.host.model import (
    SNAPSHOT_FORMAT,
    BootArguments,
    HostIdentity,
    HostNetwork,
    HugePagePools,
    Libvirt,
    Modules,
    Network,
    Owners,
    Pf,
    Process,
    Services,
    Vf,
)
from reconciler.host.platform import Platform
from reconciler.host.snapshot import error_places
from reconciler.json_data import as_type, to_data
from reconciler.state.desired import Attributes

SIM_FORMAT = "reconciler-sim/1"
_INVALID = "The simulated host can't be read."
_REQUIRED = ("host", "pfs", "modules", "libvirt")
"""Without these it would be an empty host."""

EventKind = Literal["autoload", "netdev", "name", "carrier", "vf-ready", "unplug", "ask-again", "off", "libvirt"]


@dataclass(slots=True)
class Card:
    """What can't be seen of a PF."""

    cable: bool = True
    """A link partner is there: set up, the PF gets a carrier."""
    speed: int = 1000
    """What the link has when there is one, Mbit/s."""
    max_mtu: int = 9216
    max_vfs: int | None = None
    """A bound of this card beside the driver's own: resources, firmware, netdevsim's ``max_vfs``."""
    survivors: dict[int, Attributes] = field(default_factory=dict)
    """What the driver still knows of VFs that are gone, by index."""
    rates_set_at: int | None = None
    """Speed of the link when a rate was last set, as ``vf_rate_link_speed`` of igb and ixgbe."""
    reinit: str = ""
    """Why it has no link at the moment although nobody set it down."""
    hangs: Literal["", "fault", "removal", "unbind"] = ""
    """A write to its sysfs files doesn't come back: injected, or a VF that somebody holds is to be taken. Every other
    write to them then waits for the device's lock, too."""
    resetting: list[int] = field(default_factory=list)
    """VFs that their driver is just resetting."""
    own_macs: list[int] = field(default_factory=list)
    """VFs with a MAC that their own driver made up."""
    bound_by_libvirt: list[int] = field(default_factory=list)
    """VFs that libvirt itself has bound to vfio-pci, and gives back to the host's driver."""


@dataclass(slots=True)
class Guest:
    """How a domain behaves."""

    answers: bool = True
    """Its kernel answers when it is asked to give a card back, or to shut down."""
    slots: int = 6
    """PCIe root ports for hot-plug, taken ones included."""
    defined_slots: int | None = None
    """Those of its definition, once they are others than those that it runs with."""
    unplugging: list[str] = field(default_factory=list)
    """NICs (`nic_key`) that it was asked to give back, and may not be asked for again yet."""
    answers_after: float = 0.5
    """Seconds until it has given a card back."""
    xml: str = ""
    """The definition that it was given as a whole; "": nothing but its NICs is known."""
    managed_save: bool = False
    """There is a managed save image of it."""
    snapshots: list[str] = field(default_factory=list)

    @property
    def slots_to_come(self) -> int:
        """What it has from its next start on."""
        return self.slots if self.defined_slots is None else self.defined_slots

    def define_slots(self, count: int, *, running: bool) -> None:
        """Changes its definition."""
        self.slots, self.defined_slots = (self.slots, count) if running else (count, None)


@dataclass(slots=True)
class Event:
    """Something that happens by itself at a time."""

    at: float
    kind: EventKind
    key: str
    """PF identity, domain or module."""
    index: int = -1
    """Of the VF."""
    nic: str = ""
    """Of the domain, as `nic_key` says."""


@dataclass(slots=True)
class Fault:
    """Something that is to go wrong with the n-th write, or to happen at the n-th write or reading."""

    at: int
    """Number of the write, from 1, as `Twin.writes` counts; or of the reading, as `Twin.reads` does."""
    kind: Literal["errno", "hang", "crash", "do"]
    errno: int = 0
    after: bool = False
    """After the write took effect, or after the reading, and not before."""
    command: str = ""
    """Of ``do``: what somebody does then, as `reconciler.host.twin.hands` knows it."""
    reading: bool = False
    """Of ``do``: it happens at a reading."""


@dataclass(slots=True)
class Loss:
    """A running guest's NIC that didn't work for a time."""

    domain: str
    nic: str
    """Alias, else MAC, else PCI address."""
    vf: str
    """``p1p1 vf 3``, or the PCI address when the VF is gone."""
    reason: str
    since: float
    """By the twin's clock."""
    until: float | None = None
    """``None``: it still doesn't work."""


@dataclass(slots=True)
class Twin:
    """A simulated host."""

    format: str = SIM_FORMAT
    tool: str = ""
    """Version of the tool that made it."""
    origin: str = ""
    """``profile igb-lab``, ``snapshot of r620-01``."""
    host: HostIdentity = field(default_factory=HostIdentity)
    pfs: dict[str, Pf] = field(default_factory=dict)
    """By identity."""
    cards: dict[str, Card] = field(default_factory=dict)
    """By the PF's identity."""
    modules: Modules = field(default_factory=Modules)
    """``devices``: those that are no VFs."""
    installed: list[str] = field(default_factory=list)
    """Modules that could be loaded."""
    builtin: list[str] = field(default_factory=list)
    """Drivers that are part of the kernel."""
    services: Services = field(default_factory=lambda: Services({}, complete=True))
    hugepages: HugePagePools = field(default_factory=HugePagePools)
    host_network: HostNetwork = field(default_factory=lambda: HostNetwork([]))
    owners: Owners = field(default_factory=lambda: Owners([]))
    """Who else configures its cards, as it was recorded."""
    most_pages: dict[str, int] = field(default_factory=dict)
    """By size: more than so many are not to be had on a node, since its memory is fragmented."""
    failing: dict[str, str] = field(default_factory=dict)
    """Services that end as soon as they are started, with what they then say."""
    iommu: bool = True
    """There are IOMMU groups."""
    iommu_in_firmware: bool = True
    """VT-d or AMD-Vi is switched on."""
    iommu_by_default: bool = False
    """The kernel uses it without being asked."""
    boot: BootArguments = field(default_factory=BootArguments)
    """``groups`` and ``domains`` are looked up."""
    bridges: list[str] = field(default_factory=list)
    """The host's Linux bridges, which it makes again at each boot."""
    libvirt: Libvirt = field(default_factory=Libvirt)
    guests: dict[str, Guest] = field(default_factory=dict)
    """By domain; one that isn't in it behaves as a `Guest` does by default."""
    platform: Platform = field(default_factory=Platform)
    """What of it doesn't change while the host runs; the rest is looked up when it is examined."""
    users: dict[int, list[Process]] = field(default_factory=dict)
    """Processes other than guests that have a VFIO group open, by group."""
    boots: int = 1
    clock: float = 0.0
    pace: float = 0.0
    """Real seconds that pass per second of its clock; 0: none."""
    events: list[Event] = field(default_factory=list)
    """What is about to happen."""
    faults: list[Fault] = field(default_factory=list)
    writes: int = 0
    """How often the writer protocol wrote; each attribute request of a VF counts."""
    reads: int = 0
    """How often the reader protocol read, counted as long as something is to happen at a reading."""
    losses: list[Loss] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    """What nobody was told when it happened (a guest that didn't start by itself)."""

    def guest(self, domain: str) -> Guest:
        """How this domain behaves."""
        return self.guests.setdefault(domain, Guest())

    def find(self, address: str | None) -> tuple[Pf, Vf] | None:
        """The VF with this PCI address."""
        if address is None:
            return None
        return next(((pf, vf) for pf in self.pfs.values() for vf in pf.vfs if vf.address == address), None)

    def is_vf(self, address: str) -> bool | None:
        """Whether a PCI address is a VF's; ``None``: no device is known to be there."""
        if self.find(address) is not None:
            return True
        others = [item for listed in (self.modules.devices or {}).values() for item in listed]
        return False if address in others or any(pf.device == address for pf in self.pfs.values()) else None

    def hostdev_networks(self) -> list[Network]:
        """libvirt's networks that give out VFs."""
        return [network for network in self.libvirt.networks.values() if network.mode == "hostdev"]

    def later(self, seconds: float, kind: EventKind, key: str, index: int = -1, nic: str = "") -> None:
        """Lets something happen in so many seconds."""
        self.events.append(Event(self.clock + seconds, kind, key, index, nic))

    def forget(self, kinds: set[EventKind], key: str, index: int | None = None) -> None:
        """Takes back what was about to happen to a PF, one of its VFs, a domain or a module."""
        self.events = [
            event
            for event in self.events
            if not (event.kind in kinds and event.key == key and index in (None, event.index))
        ]


def dump(twin: Twin) -> str:
    """The document: keys sorted, ends with a newline."""
    return json.dumps(to_data(twin), sort_keys=True, ensure_ascii=False) + "\n"


def load(data: bytes, path: str) -> Twin:
    """Reads a document; keys that it doesn't know are ignored. `path` is for messages. Raises `ReconcilerError` with
    code 65 for anything else, saying where."""
    from pydantic import ValidationError
    from pydantic_core import from_json

    try:
        document = from_json(data)
    except ValueError as error:
        raise ReconcilerError(_INVALID, f"{path} is no JSON: {error}.", code=65) from error
    given = document.get("format") if isinstance(document, dict) else None
    if given != SIM_FORMAT:
        raise ReconcilerError(_INVALID, f"{path} is no {SIM_FORMAT} document: {_other(given, path)}", code=65)
    lacking = [key for key in _REQUIRED if key not in document]
    if lacking:
        raise ReconcilerError(_INVALID, f"{path} is not a whole one: it lacks {', '.join(lacking)}.", code=65)
    try:
        twin = as_type(document, Twin)
    except ValidationError as error:
        raise ReconcilerError(_INVALID, f"{path}: {error_places(error)}", code=65) from error
    for key in twin.pfs:
        twin.cards.setdefault(key, Card())
    return twin


def save(twin: Twin, path: Path) -> None:
    """Replaces the file as a whole."""
    try:
        replace_file(path, dump(twin))
    except OSError as error:
        code = 77 if isinstance(error, PermissionError) else 1
        raise ReconcilerError(
            "The simulated host can't be written.", f"{path}: {error.strerror}.", code=code
        ) from error


def _other(given: Any, path: str) -> str:
    if given == SNAPSHOT_FORMAT:
        return (
            "it is a recorded host. Read it with --host snapshot:FILE, or make a simulated host of it: "
            f"reconciler sim new NEW --snapshot {path}"
        )
    if isinstance(given, str) and given.startswith("reconciler-sim/"):
        return f"its format is {given!r}, which takes a newer reconciler."
    return f"its format is {given!r}." if given is not None else "it has no format."
