"""Who holds a VF: libvirt's guests, processes with an open VFIO group, and the host itself.

libvirt and the open groups are both asked, since either can miss one, and the kernel itself refuses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from reconciler.host.model import Pf, Process, Snapshot, Vf

VfId = tuple[str, int]
"""(PF identity, index)."""


@dataclass(frozen=True, slots=True)
class Holder:
    """One who has a VF."""

    kind: Literal["guest", "process", "host", "unknown"]
    who: str
    """Domain, ``COMMAND (pid N)``, or how the host uses it."""
    nic: str = ""
    """Alias of the guest's NIC, else its MAC."""

    def __str__(self) -> str:
        match self.kind:
            case "guest":
                return f"guest {self.who} ({self.nic})" if self.nic else f"guest {self.who}"
            case "process":
                return f"process {self.who}"
            case "host":
                return f"the host ({self.who})"
            case "unknown":
                return f"unknown ({self.who})"


Holders = dict[VfId, list[Holder]]


def find_holders(host: Snapshot) -> Holders:
    """The holders of every VF that somebody has, or may have as far as could be read."""
    by_address = vfs_by_address(host)
    holders: Holders = {}
    for domain in host.libvirt.domains.values():
        if domain.running:
            for nic in domain.live:
                vf = by_address.get(nic.vf_address or "")
                if vf is not None:
                    holders.setdefault(vf, []).append(Holder("guest", domain.name, nic.alias or nic.mac or ""))
    for network in host.libvirt.networks.values():
        for port in network.ports:
            vf = by_address.get(port.vf_address or "")
            if vf is not None and not _is_guest(holders.get(vf), port.owner):
                holders.setdefault(vf, []).append(Holder("guest", port.owner, port.mac or ""))
    for pf in host.pfs.values():
        for item in pf.vfs:
            found = _others(host, item, holders.get((pf.id, item.index), []))
            if found:
                holders.setdefault((pf.id, item.index), []).extend(found)
    return holders


def predicted_holders(before: Holders, host: Snapshot) -> Holders:
    """The holders on a predicted host. Of processes those that held the VF before: they go on. The QEMU of a guest that
    leaves its VF closes it, which a prediction doesn't see."""
    return {
        vf: [item for item in found if item.kind != "process" or item in before.get(vf, [])]
        for vf, found in find_holders(host).items()
    }


def vfs_by_address(host: Snapshot) -> dict[str, VfId]:
    """VFs by PCI address."""
    return {vf.address: (pf.id, vf.index) for pf in host.pfs.values() for vf in pf.vfs if vf.address}


def predicted_address(pf: Pf, index: int) -> str | None:
    """The PCI address that a VF has, or will have; ``None`` if that isn't known."""
    return pf.vf_address(index)


def _is_guest(found: list[Holder] | None, name: str) -> bool:
    return any(holder.kind == "guest" and holder.who == name for holder in found or [])


def _others(host: Snapshot, vf: Vf, guests: Sequence[Holder]) -> list[Holder]:
    """Whom libvirt doesn't name: the host itself, and processes that have the VF's group open. The QEMU of a guest that
    libvirt names is that guest; any other process is one more holder, whatever libvirt says."""
    found = [Holder("host", f"{vf.netdev or 'its netdev'}: {use}") for use in vf.uses]
    if vf.driver is None or "vfio" not in vf.driver:
        return found
    if host.vfio_open is None:
        if not guests:
            found.append(Holder("unknown", f"bound to {vf.driver}, and the open VFIO groups could not be read"))
        return found
    opened = host.vfio_open.get(vf.iommu_group, []) if vf.iommu_group is not None else []
    return found + [Holder("process", str(process)) for process in opened if not _is_of(process, guests)]


def _is_of(process: Process, guests: Sequence[Holder]) -> bool:
    """Whether it is the QEMU of one of these guests. One whose arguments could not be read is taken for it."""
    if process.guest:
        return any(holder.who == process.guest for holder in guests)
    return bool(guests) and process.command.startswith(("qemu", "kvm"))
