"""Guests as definitions that can be taken from one host to another: what a move reads of both hosts, and the few
orders that it gives to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from reconciler.clock import Clock
from reconciler.host.model import Nic

Essence = dict[str, str]
"""What of a definition has to arrive (UUID, memory, disks, NICs, …): field and value, to be compared."""


@dataclass(slots=True)
class Definition:
    """A guest as one host has it."""

    name: str
    uuid: str
    xml: str
    """The persistent definition with its passwords; of a transient guest the live one."""
    essence: Essence
    running: bool = False
    persistent: bool = True
    autostart: bool = False


@dataclass(slots=True)
class Disk:
    """A disk, or a file below one (its backing file)."""

    name: str
    """``vda``."""
    source: str
    """Path, volume or address."""
    shared: bool
    """Whether the other host can have it at the same place."""
    where: str = ""
    """Why it is shared or not: ``ext4 mounted at /``."""
    leads_to: str = ""
    """Where a symbolic link in the path leads to; "" when there is none."""


@dataclass(slots=True)
class MovingGuest:
    """A guest at its source, with everything that a move has to know of it."""

    definition: Definition
    stripped: str
    """Its definition without the NICs that name a VF of this host."""
    stripped_essence: Essence
    taken_off: list[Nic] = field(default_factory=list)
    """Those NICs."""
    lone: list[str] = field(default_factory=list)
    """NICs with a VF that have no stand-in (``failover``), so that libvirt can't move the running guest."""
    networks: dict[str, bool] = field(default_factory=dict)
    """libvirt networks of the NICs that stay; whether it is a pool."""
    links: list[str] = field(default_factory=list)
    """Bridges and interfaces of the host that other NICs are on."""
    managed_save: bool = False
    snapshots: list[str] = field(default_factory=list)
    checkpoints: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    """State of its own in files of this host: NVRAM, TPM, …; in words."""
    disks: list[Disk] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    """Files below disks of which it is not known whether they are shared; in words."""
    devices: list[str] = field(default_factory=list)
    """What else it has of this host alone; in words."""
    files: list[str] = field(default_factory=list)
    """Files that it starts from (kernel, initrd, …)."""
    resources: list[str] = field(default_factory=list)
    """What it needs of a host's CPUs and memory to start."""
    needs: list[str] = field(default_factory=list)
    """What else of the host it names and that another host may have, too; in words."""
    secrets: list[str] = field(default_factory=list)
    """libvirt secrets that its disks need."""


@dataclass(frozen=True, slots=True)
class Who:
    """Which host this is."""

    identity: str
    name: str


@dataclass(frozen=True, slots=True)
class NetworkThere:
    """A libvirt network of the destination."""

    active: bool
    mode: str


@dataclass(slots=True)
class Destination:
    """What a move has to know of the host that a guest is to go to."""

    who: Who
    names: dict[str, str] = field(default_factory=dict)
    """UUIDs of its guests by name."""
    networks: dict[str, NetworkThere] = field(default_factory=dict)
    refuses: str = ""
    """Why it can't run such a machine, in libvirt's words; "" when nothing is known against it."""


class Guests(Protocol):
    """The guests of one host. Each call has a deadline, and raises `HostError` when it can't be answered."""

    uri: str

    @property
    def clock(self) -> Clock:
        """What the host's seconds are counted by."""
        ...

    def who(self) -> Who: ...

    def find(self, name: str) -> Definition | None:
        """The guest of this name; ``None``: there is none."""
        ...

    def definition(self, uuid: str) -> Definition | None:
        """The guest with this UUID, as it is now; ``None``: there is none."""
        ...

    def moving(self, uuid: str) -> MovingGuest | None:
        """All about a guest that is to be moved."""
        ...

    def destination(self, xml: str) -> Destination:
        """What has to be known of a host that is to get a guest with this definition."""
        ...


class GuestWriter(Guests, Protocol):
    """Changes definitions. A refusal is a `HostError`, no answer in time a `NoAnswer`."""

    def define(self, xml: str) -> None:
        """Defines a guest, or defines it anew."""
        ...

    def undefine(self, uuid: str) -> None:
        """Removes a definition, and nothing else: refused while there is a snapshot or a saved image."""
        ...

    def set_autostart(self, uuid: str, enabled: bool) -> None: ...
