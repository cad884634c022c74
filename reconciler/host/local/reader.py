"""The reader of this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path

import reconciler
from reconciler.host.local import netlink
from reconciler.host.local.libvirt import LibvirtReader
from reconciler.host.local.modules import read_modules
from reconciler.host.local.pci_drivers import devices_by_driver
from reconciler.host.local.platform import read_platform
from reconciler.host.local.processes import open_vfio_groups
from reconciler.host.local.saved import fill_saved
from reconciler.host.local.sysfs import Sysfs
from reconciler.host.model import HostIdentity, Modules, Pf, Snapshot, Use
from reconciler.host.platform import Platform
from reconciler.host.protocol import Scope


class LocalReader:
    """Implements `reconciler.host.protocol.Reader` for the machine that it runs on. `root` is for tests:
    sysfs, /proc, /dev and /etc are read below it, netlink and libvirt are not."""

    def __init__(self, libvirt_uri: str, root: Path = Path("/")) -> None:
        self.root = root
        self.libvirt = LibvirtReader(libvirt_uri)

    def observe(self) -> Snapshot:
        """Everything that a plan reads, in one pass; what can't be read is unknown, with a note."""
        notes: list[str] = []
        snapshot = Snapshot(
            tool=reconciler.__version__,
            taken_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            host=self._identity(),
            notes=notes,
        )
        sysfs = Sysfs(self.root, notes)
        snapshot.pfs = sysfs.pfs()
        self._read_links(snapshot.pfs.values(), sysfs)
        snapshot.modules = self._modules(notes)
        snapshot.vfio_open = open_vfio_groups(self.root, notes)
        snapshot.libvirt = self.libvirt.read(self._is_vf(snapshot))
        return snapshot

    def refresh(self, snapshot: Snapshot, scope: Scope) -> None:
        """Reads one part again. ``pf`` includes the VFIO groups, ``domain`` the networks' ports; notes of
        the new reading are added."""
        notes: list[str] = []
        if scope.kind == "pf":
            self._refresh_pf(snapshot, scope.key, notes)
        elif scope.kind == "modules":
            snapshot.modules = self._modules(notes)
        elif scope.kind == "domain":
            self._refresh_libvirt(snapshot, scope.key)
        else:
            self._refresh_libvirt(snapshot, None)
        snapshot.notes.extend(note for note in notes if note not in snapshot.notes)

    def examine(self) -> Platform:
        """What only doctor wants to know."""
        found = read_platform(self.root)
        self.libvirt.examine(found)
        return found

    def _modules(self, notes: list[str]) -> Modules:
        modules = read_modules(self.root, notes)
        modules.devices = devices_by_driver(self.root)
        return modules

    def _refresh_libvirt(self, snapshot: Snapshot, domain: str | None) -> None:
        if not snapshot.libvirt.available:  # it may have come back; then all of it is needed
            snapshot.libvirt = self.libvirt.read(self._is_vf(snapshot))
        elif domain is not None:
            snapshot.libvirt = self.libvirt.refresh_domain(snapshot.libvirt, domain, self._is_vf(snapshot))
        else:
            snapshot.libvirt = self.libvirt.refresh_networks(snapshot.libvirt)

    def _refresh_pf(self, snapshot: Snapshot, identity: str, notes: list[str]) -> None:
        sysfs = Sysfs(self.root, notes)
        pf = sysfs.pf(identity)
        if pf is None:
            snapshot.pfs.pop(identity, None)
        else:
            snapshot.pfs[identity] = pf
            self._read_links([pf], sysfs)
        snapshot.vfio_open = open_vfio_groups(self.root, notes)

    def _read_links(self, pfs: Collection[Pf], sysfs: Sysfs) -> None:
        if not pfs:
            return
        for pf in pfs:
            fill_saved(self.root, pf, sysfs.notes)
        try:
            netlink.fill_links(pfs, netlink.read_links(), sysfs)
            netlink.fill_vfs(list(pfs), sysfs.notes)
        except OSError as error:
            sysfs.notes.append(f"The kernel's network interfaces can't be read: {error.strerror or error}.")
            unknown = Use("unknown", "the network interfaces can't be read")
            for pf in pfs:
                pf.uses.append(unknown)
                for vf in pf.vfs:
                    if vf.netdev:
                        vf.uses.append(unknown)

    def _is_vf(self, snapshot: Snapshot) -> Callable[[str], bool]:
        """Tells whether a PCI address is a VF's, also when its PF has no netdev here."""
        known = {vf.address for pf in snapshot.pfs.values() for vf in pf.vfs}
        devices = self.root / "sys/bus/pci/devices"
        return lambda address: address in known or os.path.lexists(devices / address / "physfn")

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
