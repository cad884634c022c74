"""Declared NICs, joined with the guests that libvirt knows: which domain, which VF, which device in its XML."""

from __future__ import annotations

from difflib import get_close_matches

from reconciler.diagnostics import Diagnostic
from reconciler.host.model import Domain, Snapshot
from reconciler.kinds.nic.allocate import allocate
from reconciler.kinds.nic.identity import alias_of, find_standby, generated_mac, standby_alias_of
from reconciler.kinds.nic.intent import NicIntent
from reconciler.kinds.resolution import Resolution, vf_attributes
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
    allocate(resolution, host, intents)
    intents = [intent for intent in intents if intent.address not in resolution.left_out]
    for intent in intents:
        _settle(resolution, intent, host)
    resolution.nics = intents


def _unknown_domain(resolution: Resolution, domain: DesiredDomain, host: Snapshot) -> None:
    where = address("domain", domain.name)
    resolution.left_out[where] = where
    known = ", ".join(host.libvirt.domains) or "none"
    near = _renamed(resolution, domain, host) or get_close_matches(domain.name, list(host.libvirt.domains), n=1)
    meant = f"Did you mean {near[0]!r}? " if near else ""
    resolution.diagnostics.append(
        Diagnostic(
            severity="note" if domain.optional else "error",
            code="domain-optional-missing" if domain.optional else "domain-not-found",
            summary="An optional guest is missing." if domain.optional else "libvirt doesn't know this guest.",
            detail=f"There is no domain {domain.name!r}. {meant}Domains here: {known}. "
            + (
                "Its NICs are left out."
                if domain.optional
                else "Define it, correct the name, or declare optional = true."
            ),
            address=where,
            line=resolution.desired.line(where),
        )
    )


def _renamed(resolution: Resolution, domain: DesiredDomain, host: Snapshot) -> list[str]:
    """Domains that the file doesn't declare and that have all of its NICs."""
    aliases = {alias_of(key) for key, nic in domain.nics.items() if nic.state == "present"}
    return [
        name
        for name, found in host.libvirt.domains.items()
        if name not in resolution.desired.domains and aliases and aliases <= {nic.alias for nic in found.config}
    ]


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
    if nic.state == "present" and not (_on_pci(resolution, host, intent) and _alias_is_free(resolution, intent)):
        return None
    mac = _declared(resolution, intent, "mac")
    intent.mac = str(mac) if mac is not None else None
    intent.live, intent.config = intent.find(host)
    if intent.mac is None and intent.live is None and intent.config is None:
        _find_by_generated_mac(intent, host)
    return intent


def _find_by_generated_mac(intent: NicIntent, host: Snapshot) -> None:
    """A NIC that declares no MAC and has lost its alias is still the one that was given this MAC: without that it would
    be given a second VF."""
    if intent.nic.method != "hostdev":
        intent.mac = generated_mac(host.host.machine_id, intent.domain.uuid, intent.nic.key)
        intent.live, intent.config = intent.find(host)


def _on_pci(resolution: Resolution, host: Snapshot, intent: NicIntent) -> bool:
    """libvirt gives out PCI devices only; says so if this is another one."""
    found = [name for name in _named(resolution, intent.nic) if host.pfs[resolution.pfs[name]].bus != "pci"]
    if not found:
        return True
    resolution.left_out[intent.address] = intent.address
    resolution.diagnostics.append(
        Diagnostic(
            severity="error",
            code="not-a-pci-device",
            summary="A VF that is no PCI device can't be given to a guest.",
            detail=f"The VFs of {address('pf', found[0])} are not on the PCI bus. Name another PF.",
            address=intent.address,
            line=resolution.desired.line(intent.address),
        )
    )
    return False


def _alias_is_free(resolution: Resolution, intent: NicIntent) -> bool:
    """libvirt takes no second device with an alias ("non unique alias detected"), and what has ours and isn't a VF is
    somebody else's: says so."""
    domain = intent.domain
    other = [nic for nic in (*domain.config, *domain.live) if nic.method == "other" and nic.alias == intent.alias]
    if not other and intent.alias not in domain.other_aliases:
        return True
    what = f"an interface without a VF (MAC {other[0].mac})" if other else "a device that is no NIC"
    resolution.left_out[intent.address] = intent.address
    resolution.diagnostics.append(
        Diagnostic(
            severity="error",
            code="alias-taken",
            summary="Another device of the guest has this NIC's alias.",
            detail=f"In {domain.name}, {intent.alias} is the alias of {what}, which is left alone, and libvirt "
            f"takes no second one. Give that device another alias (virsh edit {domain.name}), or the NIC another "
            "name in the file.",
            address=intent.address,
            line=resolution.desired.line(intent.address),
        )
    )
    return False


def _lacks(resolution: Resolution, nic: DesiredNic) -> str | None:
    """Address of the PF or pool that isn't there, or can't be used, and that this NIC depends on."""
    if nic.pool is not None:
        return resolution.left_out.get(address("pool", nic.pool))
    names = [nic.vf.pf] if nic.vf is not None else nic.pf
    return address("pf", names[0]) if names and not _named(resolution, nic) else None


def _named(resolution: Resolution, nic: DesiredNic) -> list[str]:
    """The PFs that its VF can be of, as far as they are there."""
    names = [nic.vf.pf] if nic.vf is not None else nic.pf
    return [name for name in names if name in resolution.pfs]


def _settle(resolution: Resolution, intent: NicIntent, host: Snapshot) -> None:
    """Finds the devices again now that the VF is known, and fixes MAC and VLAN of the XML."""
    intent.live, intent.config = intent.find(host)
    intent.by_vf = not any(
        device is not None and (device.alias == intent.alias or (intent.mac is not None and device.mac == intent.mac))
        for device in (intent.live, intent.config)
    )
    intent.standby = _standby_of(intent)
    if intent.nic.method == "hostdev":
        return
    vlan = _declared(resolution, intent, "vlan")
    intent.vlan = int(vlan) if vlan is not None else None
    if intent.mac is None:
        kept = next((d.mac for d in (intent.config, intent.live) if d is not None and d.mac), None)
        intent.mac = kept or generated_mac(host.host.machine_id, intent.domain.uuid, intent.nic.key)


def _standby_of(intent: NicIntent) -> str:
    """As the VF's device names it, if that is there; else our own."""
    for device, nics in ((intent.live, intent.domain.live), (intent.config, intent.domain.config)):
        if device is not None and device.partner is not None and find_standby(nics, device.partner) is not None:
            return device.partner
    return standby_alias_of(intent.nic.key)


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
