"""What VFs are to be like when a guest gets them, and when it is gone: exactly what the file declares, and the driver's
defaults for all else, so that nothing of one guest's limits reaches the next.

Only PFs that the file declares are anybody's business here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from reconciler.drivers.defaults import defaults
from reconciler.drivers.readback import GROUPS, matches
from reconciler.drivers.table import facts
from reconciler.host.model import Pf, Snapshot
from reconciler.kinds.holders import VfId, predicted_address, vfs_by_address
from reconciler.kinds.nic.intent import NicIntent
from reconciler.kinds.resolution import Resolution, intents_on, vf_attributes
from reconciler.kinds.resolve import resolve
from reconciler.kinds.vf.compare import LIBVIRT_OWNS, given_by_libvirt
from reconciler.state.desired import Attributes, Desired


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one VF is to be like."""

    values: Attributes
    declared: frozenset[str]
    """Those that the file declares; the others are the driver's defaults."""


ISOLATION = frozenset({"mac", "vlan", "qos", "vlan_proto", "spoofchk", "trust"})
"""Attributes that keep a guest to itself: without them it must not start."""


def wanted(desired: Desired, host: Snapshot, vfs: Collection[VfId]) -> dict[VfId, Wanted]:
    """The attributes that each of these VFs is to have now, by who has it now according to ``host``: MAC and VLAN are
    left to libvirt on VFs that it gives out as an interface or from a pool, or will give to one that the file declares.
    VFs of PFs that the file doesn't declare, or that aren't there, are left out."""
    return wanted_on(resolve(desired, host), host, vfs)


def wanted_on(resolution: Resolution, host: Snapshot, vfs: Collection[VfId]) -> dict[VfId, Wanted]:
    """The same, of a file that is resolved on this host."""
    intents = intents_on(resolution, host)
    managed = {identity: name for name, identity in resolution.pfs.items()}
    given = given_by_libvirt(host)
    found = {}
    for vf in vfs:
        pf = host.pfs.get(vf[0])
        if pf is None or vf[0] not in managed or pf.vf(vf[1]) is None:
            continue
        values = defaults(facts(pf.driver, pf.device_id))
        promised = _only_promised(resolution, host, vf)
        if promised:
            declared = vf_attributes(resolution.desired.pfs[managed[vf[0]]], vf[1])
        else:
            declared = {name: intent.value for name, intent in intents.get(vf, {}).items()}
        values |= declared
        if vf in given or (not promised and _is_interface(resolution.nic_of(vf))):
            values = {name: value for name, value in values.items() if name not in LIBVIRT_OWNS}
        found[vf] = Wanted(values, frozenset(declared) & frozenset(values))
    return found


def differing(pf: Pf, index: int, values: Attributes, *, unreported: bool) -> Attributes:
    """Of the attributes that a VF is to have those that it has not; ``unreported``: also those that its driver can't
    report, of which only setting them makes sure. What shares a kernel struct with one that differs goes with it,
    unless it is reported as it should be: filled up from the report, the struct would reset it (a protocol without a
    VLAN)."""
    vf = pf.vf(index)
    reported = (vf.attributes if vf is not None else None) or {}
    known = facts(pf.driver, pf.device_id)
    same = {name: matches(known, name, value, reported, pf.speed) for name, value in values.items()}
    found = {name for name in values if same[name] is False or (unreported and same[name] is None)}
    for group in GROUPS:
        if not found.isdisjoint(group):
            found |= {name for name in group if name in values and values[name] != reported.get(name)}
    return {name: value for name, value in values.items() if name in found}


def vfs_of(host: Snapshot, domain: str) -> list[VfId]:
    """The VFs that a guest has, by its live XML."""
    addresses = vfs_by_address(host)
    found = host.libvirt.domains.get(domain)
    nics = found.live if found is not None else []
    return [addresses[nic.vf_address] for nic in nics if nic.vf_address in addresses]


def set_by_libvirt(host: Snapshot, domain: str) -> dict[VfId, Attributes]:
    """MAC and VLAN that libvirt has set on the VFs of a guest, as its XML has them, where the driver reports them. They
    are checked all the same when the guest starts: who had the VF before may be late in putting it back. Without a VLAN
    in the XML none is checked: it may come from the network."""
    found = host.libvirt.domains.get(domain)
    values = {nic.vf_address: {"mac": nic.mac, "vlan": nic.vlan} for nic in (found.live if found is not None else [])}
    given: dict[VfId, Attributes] = {}
    for vf in given_by_libvirt(host):
        item = host.pfs[vf[0]].vf(vf[1])
        reported = (item.attributes if item is not None else None) or {}
        told = values.get(item.address if item is not None else None, {})
        given[vf] = {name: value for name, value in told.items() if value and name in reported}
    return {vf: attributes for vf, attributes in given.items() if attributes}


def _only_promised(resolution: Resolution, host: Snapshot, vf: VfId) -> bool:
    """Whether the planner would give this VF to a NIC that is not on it by now: nobody has approved that yet."""
    nic, pf = resolution.nic_of(vf), host.pfs[vf[0]]
    if nic is None or nic.nic.vf is not None:
        return False
    where = predicted_address(pf, vf[1])
    return all(found is None or found.vf_address != where for found in nic.find(host))


def _is_interface(nic: NicIntent | None) -> bool:
    return nic is not None and nic.nic.method == "interface" and nic.nic.state == "present"
