"""How a NIC is found again in its domain: by its alias, else by its MAC, else by its VF."""

from __future__ import annotations

import hashlib
import re

from reconciler.host.model import OWN_ALIAS, STANDBY_ALIAS, Domain, Nic


def alias_of(key: str) -> str:
    """``ua-rec-KEY``. Characters that an alias can't have become ``-``, and a hash of the key keeps it unique."""
    return OWN_ALIAS + _safe(key)


def standby_alias_of(key: str) -> str:
    """``ua-standby-KEY``: of the NIC that stands in for the VF."""
    return STANDBY_ALIAS + _safe(key)


def _safe(key: str) -> str:
    safe = re.sub(r"[^A-Za-z0-9_-]", "-", key)
    return key if safe == key else f"{safe}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def generated_mac(machine_id: str, domain_uuid: str, key: str) -> str:
    """The MAC of a NIC that declares none: always the same for this machine, domain and key. In QEMU's range
    52:54:00, as libvirt's own."""
    digest = hashlib.sha256(f"{machine_id}|{domain_uuid}|{key}".encode()).digest()
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in digest[:3])


def find_nic(
    nics: list[Nic], alias: str, others: frozenset[str], mac: str | None, vf_address: str | None
) -> Nic | None:
    """The NIC with this alias; else one with this MAC, or on this VF. ``others``: aliases of the domain's other
    declared NICs, which are spoken for. One that takes no VF is never meant."""
    nics = [nic for nic in nics if nic.method != "other"]
    for nic in nics:
        if nic.alias == alias:
            return nic
    free = [nic for nic in nics if nic.alias not in others]
    for nic in free:
        if mac is not None and nic.mac == mac:
            return nic
    for nic in free:
        # A domain can't have the same VF twice, so whatever sits on it is this NIC.
        if vf_address is not None and nic.vf_address == vf_address:
            return nic
    return None


def find_standby(nics: list[Nic], alias: str | None) -> Nic | None:
    """The NIC with this alias that is no VF."""
    return next((nic for nic in nics if alias is not None and nic.method == "other" and nic.alias == alias), None)


def sriov_nics(domain: Domain) -> list[Nic]:
    """The NICs of a domain that take a VF: of the persistent XML, and of the live one where that has more."""
    config = [nic for nic in domain.config if nic.method != "other"]
    live = [nic for nic in domain.live if nic.method != "other"]
    return config if len(config) >= len(live) else live
