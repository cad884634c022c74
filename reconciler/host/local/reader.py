"""The reader of this machine."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import reconciler
from reconciler.host.counters import PfCounters
from reconciler.host.local import netlink
from reconciler.host.local.boot_loader import read_boot
from reconciler.host.local.child import NETWORK, READS, NoAnswer, still_waits
from reconciler.host.local.claims.read import read_claims
from reconciler.host.local.host_network import read_host_network
from reconciler.host.local.hugepages import read_huge_pages
from reconciler.host.local.libvirt import LibvirtReader
from reconciler.host.local.libvirt_files import FILES, LibvirtFiles
from reconciler.host.local.libvirt_xml import IsVf
from reconciler.host.local.modules import read_modules
from reconciler.host.local.patience import Patience
from reconciler.host.local.pci_drivers import devices_by_driver
from reconciler.host.local.platform import read_platform
from reconciler.host.local.processes import Processes
from reconciler.host.local.saved import fill_saved
from reconciler.host.local.standing import ask
from reconciler.host.local.sysfs import Sysfs
from reconciler.host.local.systemd import read_services
from reconciler.host.local.vf_counters import CounterReader
from reconciler.host.local.vf_reports import VfReport, decode
from reconciler.host.model import BootArguments, HostIdentity, Modules, Pf, Snapshot, Use
from reconciler.host.platform import Platform
from reconciler.host.protocol import NOTHING, Asked, Scope
from reconciler.host.refusals import describe

if TYPE_CHECKING:
    from reconciler.host.local.changes import Changes

T = TypeVar("T")

_LOOK_HOLDS = 5.0
"""Seconds for which a look at the processes is good enough for a reading that waits for no device's lock."""
_NETWORK_SECONDS = 20.0
"""For all interfaces; a driver that asks its firmware for each VF takes a few milliseconds per VF."""


class LocalReader:
    """Implements `reconciler.host.protocol.Reader` for the machine that it runs on. `root` is for tests:
    sysfs, /proc, /dev and /etc are read below it, netlink and libvirt are not."""

    def __init__(self, libvirt_uri: str, root: Path = Path("/"), asked: Asked = NOTHING) -> None:
        self.root = root
        self.asked = asked
        self.libvirt = LibvirtFiles(root) if libvirt_uri == FILES else LibvirtReader(libvirt_uri, root)
        self._patience = Patience()
        self._counters = CounterReader()
        self._left_behind = 0
        """Our own process that still waits for the network interfaces, when it was last looked at; 0: none."""
        self._looked_at = -_LOOK_HOLDS
        """Seconds of the monotonic clock at which the processes were last looked at."""
        self._others_wait = False
        """Whether another run's did, when all processes were last looked at."""
        self._changes: Changes | None = None
        """Heard from the first reading of a part on: whoever only plans waits for nothing."""

    def observe(self) -> Snapshot:
        """Everything that a plan reads, in one pass; what can't be read is unknown, with a note."""
        notes: list[str] = []
        snapshot = Snapshot(
            tool=reconciler.__version__,
            taken_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            host=self._identity(),
            notes=notes,
        )
        seen = self._look(snapshot, notes)
        sysfs = Sysfs(self.root, notes, unasked=_locked(seen))
        snapshot.pfs = self._network(sysfs.pfs(), sysfs, seen)
        snapshot.boot = self._boot(snapshot, notes)
        snapshot.modules = self._modules(notes)
        snapshot.bridges = sysfs.bridges()
        snapshot.services = read_services(self.root, self.asked.services, notes)
        snapshot.hugepages = read_huge_pages(self.root, notes)
        snapshot.host_network = read_host_network(self.root, snapshot.pfs, notes)
        snapshot.owners = read_claims(self.root, snapshot.pfs)
        snapshot.libvirt = self.libvirt.read(self._is_vf(snapshot))
        return snapshot

    def observe_pfs(self) -> Snapshot:
        """The PFs alone, with their interfaces; nothing else is in it."""
        self._listen()
        notes: list[str] = []
        snapshot = Snapshot(notes=notes)
        seen = self._look(snapshot, notes)
        sysfs = Sysfs(self.root, notes, unasked=_locked(seen))
        snapshot.pfs = self._network(sysfs.pfs(), sysfs, seen)
        return snapshot

    def refresh(self, snapshot: Snapshot, scope: Scope) -> None:
        """Reads one part again. ``pf`` includes the VFIO groups, ``domain`` the networks' ports; notes of
        the new reading are added."""
        self._listen()
        notes: list[str] = []
        if scope.kind == "pf":
            self._refresh_pfs(snapshot, scope.key.split(), notes)
        elif scope.kind == "vfs":
            self._refresh_vfs(snapshot, scope.key.split(), notes)
        elif scope.kind == "modules":
            snapshot.modules = self._modules(notes, scope.key.split())
        elif scope.kind == "boot":
            snapshot.boot = self._boot(snapshot, notes)
        elif scope.kind == "hugepages":
            snapshot.hugepages = read_huge_pages(self.root, notes)
        elif scope.kind == "host_network":
            snapshot.host_network = read_host_network(self.root, snapshot.pfs, notes)
        elif scope.kind == "service":
            self._refresh_service(snapshot, scope.key, notes)
        elif scope.kind == "domain":
            self._refresh_libvirt(snapshot, scope.key)
        else:
            self._refresh_libvirt(snapshot, None)
        snapshot.notes.extend(note for note in notes if note not in snapshot.notes)

    def wait_for_change(self, seconds: float) -> None:
        """Returns at once when a card or its interface has changed since the last reading of a part began."""
        self._listening().wait(seconds)

    def _listen(self) -> None:
        """What happens from now on is not in the reading that begins."""
        self._listening().forget()

    def _listening(self) -> Changes:
        from reconciler.host.local.changes import Changes

        self._changes = self._changes or Changes(self.root)
        return self._changes

    def examine(self) -> Platform:
        """What only doctor wants to know."""
        found = read_platform(self.root)
        devices = self.root / "sys/bus/pci/devices"
        self.libvirt.examine(found, lambda address: os.path.lexists(devices / address / "physfn"))
        return found

    def _boot(self, snapshot: Snapshot, notes: list[str]) -> BootArguments:
        return read_boot(self.root, [pf.device for pf in snapshot.pfs.values() if pf.bus == "pci"], notes)

    def count(self, pfs: Sequence[Pf]) -> dict[str, PfCounters]:
        """What the cards have counted until now."""
        return self._counters.read(pfs)

    def _modules(self, notes: list[str], kept_away: Sequence[str] = ()) -> Modules:
        modules = read_modules(self.root, notes, self.asked.modules, {*self.asked.kept_away, *kept_away})
        modules.devices = devices_by_driver(self.root)
        return modules

    def _refresh_service(self, snapshot: Snapshot, name: str, notes: list[str]) -> None:
        found = read_services(self.root, [name], notes)
        if found.units is None or snapshot.services.units is None:
            snapshot.services = found
        else:
            snapshot.services.units |= found.units

    def _refresh_libvirt(self, snapshot: Snapshot, domain: str | None) -> None:
        if not snapshot.libvirt.available:  # it may have come back; then all of it is needed
            snapshot.libvirt = self.libvirt.read(self._is_vf(snapshot))
        elif domain is not None:
            snapshot.libvirt = self.libvirt.refresh_domain(snapshot.libvirt, domain, self._is_vf(snapshot))
        else:
            snapshot.libvirt = self.libvirt.refresh_networks(snapshot.libvirt)

    def _refresh_pfs(self, snapshot: Snapshot, identities: Sequence[str], notes: list[str]) -> None:
        seen = self._look(snapshot, notes)
        sysfs = Sysfs(self.root, notes, unasked=_locked(seen))
        found = sysfs.some_pfs(identities)
        for identity in set(identities) - found.keys():
            snapshot.pfs.pop(identity, None)
        snapshot.pfs |= self._network(found, sysfs, seen)

    def _refresh_vfs(self, snapshot: Snapshot, identities: Sequence[str], notes: list[str]) -> None:
        """The attributes of their VFs, with nothing else: a quarter of the time. Only after a while are the processes
        looked at again, which may have begun to hang. Where that answer is not all there is to say (a VF without an
        entry, a PF that is gone, a kernel that does not answer), all of them are read."""
        if time.monotonic() > self._looked_at + _LOOK_HOLDS:
            self._look(snapshot, notes)
        pfs = [snapshot.pfs[identity] for identity in identities if identity in snapshot.pfs]
        reports: list[VfReport] = []
        if not (self._others_wait or self._still_waits()):
            with contextlib.suppress(NoAnswer, OSError, RuntimeError, ValueError):
                reports = [decode(told) for told in self._ask_network(netlink.read_vfs, [pf.ifindex for pf in pfs])]
        if len(reports) != len(identities) or not all(map(netlink.complete, pfs, reports)):
            self._refresh_pfs(snapshot, identities, notes)
            return
        for pf, report in zip(pfs, reports, strict=True):
            netlink.assign(pf, report, notes)

    def _look(self, snapshot: Snapshot, notes: list[str]) -> Processes:
        """Before anything that may take a device's lock is read."""
        seen = self._patience.look(self.root, notes)
        self._looked_at = time.monotonic()
        snapshot.vfio_open, snapshot.hangs = seen.vfio_open, seen.hangs
        self._others_wait = bool(seen.waiting.get(NETWORK))
        notes += [f"{describe(hang)}." for hang in seen.hangs]
        return seen

    def _network(self, pfs: dict[str, Pf], sysfs: Sysfs, seen: Processes) -> dict[str, Pf]:
        """The PFs with what the network interfaces tell of them, read in a child: RTNL may be held for ever."""
        for pf in pfs.values():
            fill_saved(self.root, pf, sysfs.notes)
        if not pfs:
            return pfs

        try:
            waits = next(iter(seen.waiting.get(NETWORK, [])), self._still_waits())
            if waits:
                raise NoAnswer(waits)
            asker = {key: os.environ[key] for key in ("SSH_CONNECTION",) if key in os.environ}, os.getpid()
            found, notes = self._ask_network(netlink.read_network, list(pfs.values()), self.root, *asker)
        except NoAnswer as error:
            why = (
                f"the kernel does not answer, and process {error.pid} waits for it: probably a driver hangs while it "
                "holds the lock of all network interfaces (RTNL)"
            )
        except OSError as error:
            why = error.strerror or str(error)
        else:
            sysfs.notes += notes
            return {pf.id: pf for pf in found}
        sysfs.notes.append(f"The kernel's network interfaces can't be read: {why}.")
        unknown = Use("unknown", "the network interfaces can't be read")
        for pf in pfs.values():
            pf.uses.append(unknown)
            for vf in pf.vfs:
                if vf.netdev:
                    vf.uses.append(unknown)
        return pfs

    def _ask_network(self, function: Callable[..., T], *arguments: object) -> T:
        """As `ask`; remembers who is left behind."""
        try:
            return ask(function, *arguments, seconds=_NETWORK_SECONDS, name=NETWORK)
        except NoAnswer as error:
            self._left_behind = error.pid
            raise

    def _still_waits(self) -> int:
        """The process of ours that was left behind, as long as it is; 0 for none."""
        if not still_waits(self._left_behind):
            self._left_behind = 0
        return self._left_behind

    def _is_vf(self, snapshot: Snapshot) -> IsVf:
        """Tells whether a PCI address is a VF's, also when its PF has no netdev here, and of one that isn't there now:
        after a reboot guests' definitions name VFs that are still to be made. ``None``: nothing is known of it."""
        known = {pf.vf_address(index) for pf in snapshot.pfs.values() for index in range(pf.total_vfs or 0)}
        known |= {vf.address for pf in snapshot.pfs.values() for vf in pf.vfs}
        devices = self.root / "sys/bus/pci/devices"

        def is_vf(address: str) -> bool | None:
            if address in known or os.path.lexists(devices / address / "physfn"):
                return True
            return False if os.path.lexists(devices / address) else None

        return is_vf

    def _identity(self) -> HostIdentity:
        kernel = "proc/sys/kernel"
        return HostIdentity(
            name=self._line(f"{kernel}/hostname"),
            machine_id=self._line("etc/machine-id"),
            boot_id=self._line(f"{kernel}/random/boot_id"),
            kernel=self._line(f"{kernel}/osrelease"),
        )

    def _line(self, path: str) -> str:
        try:
            return (self.root / path).read_text().strip()
        except OSError:
            return ""  # an identity that is not known is the empty string


def _locked(seen: Processes) -> set[str]:
    """Identities of PFs that are not asked for anything that takes their or their VFs' lock; "" for all of them, when a
    read that was left behind still waits, or it is not known what a write is about."""
    return {hang.pf for hang in seen.hangs if hang.path} | ({""} if seen.waiting.get(READS) else set())
