"""VFs, compared: the driver that each is bound to while no guest has it, and its attributes.

Whose value counts when: libvirt sets MAC and VLAN of the VFs that it gives out as an interface or from a pool, and
puts back what they were. So the kernel is asked for these two only while the declared NIC is on the VF.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.drivers.readback import matches
from reconciler.drivers.table import facts
from reconciler.host.model import Pf, Snapshot, Vf
from reconciler.kinds.field_state import FieldState
from reconciler.kinds.holders import VfId, vfs_by_address
from reconciler.kinds.resolution import Intent, Resolution, intents_on, vf_count, vf_driver
from reconciler.kinds.vf.iommu import iommu
from reconciler.kinds.vf.operations import is_bound
from reconciler.state.address import address
from reconciler.state.desired import ZERO_MAC

LIBVIRT_OWNS = frozenset({"mac", "vlan", "qos", "vlan_proto"})
_LIBVIRT_SETS = (("qos", 0), ("vlan_proto", "802.1Q"))
"""What it always sets together with a VLAN (virNetDevSetVfVlan): known also where the driver doesn't report it."""


def compare(resolution: Resolution, host: Snapshot) -> list[FieldState]:
    """Field ``driver`` and every declared attribute of every VF of the declared PFs."""
    given = given_by_libvirt(host)
    intents = intents_on(resolution, host)
    return [
        state
        for name, identity in resolution.pfs.items()
        if (pf := host.pfs.get(identity)) is not None
        for state in _compare_pf(resolution, host, name, pf, intents, given)
    ]


def given_by_libvirt(host: Snapshot) -> dict[VfId, tuple[str, str]]:
    """VFs that a running guest has as an interface or from a pool: (domain, alias)."""
    addresses = vfs_by_address(host)
    return {
        addresses[nic.vf_address]: (domain.name, nic.alias or "")
        for domain in host.libvirt.domains.values()
        if domain.running
        for nic in domain.live
        if nic.method in ("interface", "pool") and nic.vf_address in addresses
    }


def _compare_pf(
    resolution: Resolution,
    host: Snapshot,
    name: str,
    pf: Pf,
    intents: dict[VfId, dict[str, Intent]],
    given: dict[VfId, tuple[str, str]],
) -> Iterator[FieldState]:
    desired, later = resolution.desired.pfs[name], iommu(resolution, host) == "to come"
    prefix = address("pf", name, "vf")
    for index in range(vf_count(desired, pf)):
        vf = pf.vf(index)
        known = pf.num_vfs is not None and (vf is not None or index >= pf.num_vfs)
        where = f"{prefix}.{index}"
        identity = f"{pf.id}/{index}"
        driver = vf_driver(desired, index)
        if driver is not None and pf.bus == "pci":
            state = _driver(resolution, where, identity, driver, vf, (pf.id, index), known)
            if later and driver == "vfio-pci" and state.status == "different":
                state.status, state.note = "pending-reboot", "the IOMMU is off until the next boot"
            yield state
        fields = intents.get((pf.id, index))
        if fields:
            held = given.get((pf.id, index))
            holder = "; ".join(map(str, resolution.holders.get((pf.id, index), ())))
            for attribute, intent in fields.items():
                state = FieldState(intent.address, attribute, identity, intent.value, None, "unknown", holder=holder)
                yield _attribute(resolution, host, (pf, index), vf, state, intent, held, known)


def _driver(
    resolution: Resolution, where: str, identity: str, driver: str, vf: Vf | None, vf_id: VfId, known: bool
) -> FieldState:
    state = FieldState(where, "driver", identity, driver, None, "parent-missing" if known else "unknown")
    if vf is None:
        return state
    state.observed = vf.driver or "none"
    holders = resolution.holders.get(vf_id, [])
    state.holder = "; ".join(map(str, holders))
    if any(holder.kind in ("guest", "process", "unknown") for holder in holders):
        state.status, state.note = "same", "a guest has it"
    else:
        state.status = "same" if is_bound(vf, driver) else "different"
    return state


def _attribute(
    resolution: Resolution,
    host: Snapshot,
    place: tuple[Pf, int],
    vf: Vf | None,
    state: FieldState,
    intent: Intent,
    given: tuple[str, str] | None,
    known: bool,
) -> FieldState:
    """``state`` with what is known of it, so far ``unknown``; ``place``: PF and index of the VF."""
    (pf, index), name = place, state.field
    if name in LIBVIRT_OWNS and (note := _libvirts(resolution, (pf.id, index), intent, given)):
        state.status, state.note = "deferred", note
        return state
    if vf is None:
        state.status = "parent-missing" if known else "unknown"
        return state
    if vf.attributes is None:
        return state
    state.observed = vf.attributes.get(name)
    same = matches(facts(pf.driver, pf.device_id), name, intent.value, vf.attributes, pf.speed)
    if same is None and given is not None and (name, intent.value) in _LIBVIRT_SETS:
        state.status = "same"
    elif same is None and name == "mac" and name in vf.attributes and vf.driver is None:
        state.status = "different"  # Nobody drives the VF who could have chosen it.
    elif same is None:
        _unverifiable(host, state)
    else:
        state.status = "same" if same else "different"
    return state


def _libvirts(resolution: Resolution, vf_id: VfId, intent: Intent, given: tuple[str, str] | None) -> str:
    """Why MAC or VLAN of a VF is libvirt's business now; "" when it is ours."""
    nic = resolution.nic_of(vf_id)
    if nic is not None and nic.nic.method == "interface" and nic.nic.state == "present":
        on_it = given is not None and given[0] == nic.domain.name
        return "" if on_it else f"libvirt sets it when {nic.domain.name} gets the VF"
    if given is None:
        return ""
    from_pool = any(
        item.pool is not None and item.address == intent.address and item.domain.name == given[0]
        for item in resolution.nics
    )
    return "" if from_pool else f"libvirt has set it for {given[0]}"


def _unverifiable(host: Snapshot, state: FieldState) -> None:
    """Once written in this boot, an attribute that the driver doesn't report is taken as in sync."""
    applied = host.ledger.get(state.identity, {}).get(state.field)
    here = applied is not None and applied.boot_id == host.host.boot_id
    state.status = "unverifiable"
    state.written = here and applied is not None and applied.value == state.declared
    state.note = "the driver does not report it"
    if state.field == "mac" and state.declared == ZERO_MAC and state.observed is not None:
        # What the VF chose for itself looks like what it was given: only what we gave it is known to be wrong.
        state.written = not here or state.written
        state.note = "the VF may have chosen this one for itself"


def is_zero(name: str, value: object) -> bool:
    """Whether this is the value of an attribute that nobody has set."""
    return value in (0, False, "auto", "802.1Q", ZERO_MAC) and name != "spoofchk"
