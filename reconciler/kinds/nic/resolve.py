"""Declared NICs, joined with the guests that libvirt knows: which domain, which VF, which device in its XML."""

from __future__ import annotations

from reconciler.diagnostics import Diagnostic
from reconciler.host.model import Domain, Snapshot
from reconciler.kinds.holders import VfId, predicted_address
from reconciler.kinds.nic.allocate import Allocator
from reconciler.kinds.nic.identity import alias_of, generated_mac
from reconciler.kinds.nic.intent import NicIntent
from reconciler.kinds.resolution import Resolution, vf_attributes, vf_count
from reconciler.state.address import address
from reconciler.state.desired import Attributes, AttributeValue, DesiredDomain, DesiredNic


def resolve_nics(resolution: Resolution, host: Snapshot) -> None:
    """Fills ``resolution.nics``; what can't be resolved becomes a diagnostic and is left out."""
    if not host.libvirt.available:
        return
    intents: list[NicIntent] = []
    for domain in resolution.desired.domains.values():
        found = host.libvirt.domains.get(domain.name)
        if found is None:
            _unknown_domain(resolution, domain, host)
            continue
        intents += [
            intent for nic in domain.nics.values() if (intent := _intent(resolution, nic, found, host)) is not None
        ]
    _allocate(resolution, host, intents)
    for intent in intents:
        _settle(resolution, intent, host)
    resolution.nics = intents


def _unknown_domain(resolution: Resolution, domain: DesiredDomain, host: Snapshot) -> None:
    where = address("domain", domain.name)
    resolution.left_out[where] = where
    known = ", ".join(host.libvirt.domains) or "none"
    resolution.diagnostics.append(
        Diagnostic(
            severity="note" if domain.optional else "error",
            code="domain-optional-missing" if domain.optional else "domain-not-found",
            summary="An optional guest is missing." if domain.optional else "libvirt doesn't know this guest.",
            detail=f"There is no domain {domain.name!r}. Domains here: {known}. "
            + (
                "Its NICs are left out."
                if domain.optional
                else "Define it, correct the name, or declare optional = true."
            ),
            address=where,
            line=resolution.desired.line(where),
        )
    )


def _intent(resolution: Resolution, nic: DesiredNic, domain: Domain, host: Snapshot) -> NicIntent | None:
    where = address("domain", nic.domain, "nic", nic.key)
    intent = NicIntent(nic, where, alias_of(nic.key), domain, pool=nic.pool)
    siblings = resolution.desired.domains[nic.domain].nics
    intent.others = frozenset(alias_of(key) for key in siblings if key != nic.key)
    lacking = _lacks(resolution, nic)
    if lacking is not None and nic.state == "present":
        resolution.left_out[where] = lacking
        return None
    if nic.vf is not None:
        intent.vf = resolution.vf_id(nic.vf)
    if nic.state == "present" and not _on_pci(resolution, host, intent):
        return None
    mac = _declared(resolution, intent, "mac")
    intent.mac = str(mac) if mac is not None else None
    intent.live, intent.config = intent.find(host)
    return intent


def _on_pci(resolution: Resolution, host: Snapshot, intent: NicIntent) -> bool:
    """libvirt gives out PCI devices only; says so if this is another one."""
    nic = intent.nic
    name = nic.vf.pf if nic.vf is not None else nic.pf
    if name is None or host.pfs[resolution.pfs[name]].bus == "pci":
        return True
    resolution.left_out[intent.address] = intent.address
    resolution.diagnostics.append(
        Diagnostic(
            severity="error",
            code="not-a-pci-device",
            summary="A VF that is no PCI device can't be given to a guest.",
            detail=f"The VFs of {address('pf', name)} are not on the PCI bus. Name another PF.",
            address=intent.address,
            line=resolution.desired.line(intent.address),
        )
    )
    return False


def _lacks(resolution: Resolution, nic: DesiredNic) -> str | None:
    """Address of the PF or pool that isn't there, or can't be used, and that this NIC depends on."""
    if nic.pool is not None:
        return resolution.left_out.get(address("pool", nic.pool))
    name = nic.vf.pf if nic.vf is not None else nic.pf
    return address("pf", name) if name is not None and name not in resolution.pfs else None


def _allocate(resolution: Resolution, host: Snapshot, intents: list[NicIntent]) -> None:
    floating = [i for i in intents if i.nic.pf is not None and i.nic.state == "present"]
    if not floating:
        return
    own = {
        (i.domain.name, device.alias or device.mac or "")
        for i in floating
        for device in (i.live, i.config)
        if device is not None
    }
    allocator = Allocator(resolution, host, own)
    for intent in floating:
        intent.vf = _present_vf(resolution, host, intent, allocator)
    for intent in floating:
        if intent.vf is None:
            _give(resolution, host, intent, allocator)
    intents[:] = [i for i in intents if i.address not in resolution.left_out]


def _count(resolution: Resolution, host: Snapshot, name: str) -> int:
    return vf_count(resolution.desired.pfs[name], host.pfs[resolution.pfs[name]])


def _present_vf(resolution: Resolution, host: Snapshot, intent: NicIntent, allocator: Allocator) -> VfId | None:
    """The VF that the NIC has now, if it is on the declared PF and will go on being there. After a reboot its
    address is known from the persistent XML, and the index from offset and stride."""
    name = intent.nic.pf or ""
    pf = host.pfs[resolution.pfs[name]]
    for device in (intent.live, intent.config):
        if device is None or device.vf_address is None:
            continue
        for index in range(_count(resolution, host, name)):
            if predicted_address(pf, index) == device.vf_address:
                return (pf.id, index) if allocator.keep((pf.id, index), intent.address) else None
    return None


def _give(resolution: Resolution, host: Snapshot, intent: NicIntent, allocator: Allocator) -> None:
    name = intent.nic.pf or ""
    pf = host.pfs[resolution.pfs[name]]
    count = _count(resolution, host, name)
    intent.vf = allocator.take(pf, count, intent.address)
    if intent.vf is not None:
        return
    who = "; ".join(f"{i}: {allocator.taken[pf.id, i]}" for i in range(count)) or "it has no VFs"
    resolution.left_out[intent.address] = intent.address
    resolution.diagnostics.append(
        Diagnostic(
            severity="error",
            code="no-free-vf",
            summary="The PF has no free VF for this NIC.",
            detail=f"All {count} VFs of {address('pf', name)} ({pf.netdev}) are spoken for ({who}). Raise vfs, or "
            "free one.",
            address=intent.address,
            line=resolution.desired.line(intent.address, "pf"),
        )
    )


def _settle(resolution: Resolution, intent: NicIntent, host: Snapshot) -> None:
    """Finds the devices again now that the VF is known, and fixes MAC and VLAN of the XML."""
    intent.live, intent.config = intent.find(host)
    intent.by_vf = not any(
        device is not None and (device.alias == intent.alias or (intent.mac is not None and device.mac == intent.mac))
        for device in (intent.live, intent.config)
    )
    if intent.nic.method == "hostdev":
        return
    vlan = _declared(resolution, intent, "vlan")
    intent.vlan = int(vlan) if vlan is not None else None
    if intent.mac is None:
        kept = next((d.mac for d in (intent.config, intent.live) if d is not None and d.mac), None)
        intent.mac = kept or generated_mac(host.host.machine_id, intent.domain.uuid, intent.nic.key)


def _declared(resolution: Resolution, intent: NicIntent, name: str) -> AttributeValue | None:
    """An attribute of the NIC, else of the VF that it names: libvirt would set another one otherwise."""
    if name in intent.nic.attributes:
        return intent.nic.attributes[name]
    return _of_vf(resolution, intent).get(name)


def _of_vf(resolution: Resolution, intent: NicIntent) -> Attributes:
    if intent.vf is None:
        return {}
    pf = resolution.desired.pfs.get(resolution.pf_name(intent.vf[0]))
    if pf is None:
        return {}
    return vf_attributes(pf, intent.vf[1])
