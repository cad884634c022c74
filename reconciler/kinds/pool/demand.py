"""Who wants a VF of a pool: every NIC of it on this host, declared or not, of guests that run and that are off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.host.model import Domain, Nic, Snapshot
from reconciler.kinds.resolution import Resolution


@dataclass(frozen=True, slots=True)
class Wish:
    """One NIC that has or wants a VF of a pool."""

    domain: str
    nic: str
    """Its address in the file; of one that isn't declared its alias, else its MAC."""
    declared: bool
    running: bool
    """Whether the guest has it, or gets it, while it runs; else it wants it at its next start."""

    def __str__(self) -> str:
        if self.declared:
            return self.nic if self.running else f"{self.nic} (off)"
        told = ", ".join(filter(None, [self.nic, "" if self.running else "off"]))
        return f"{self.domain} ({told})" if told else self.domain


def wishes(resolution: Resolution, host: Snapshot, pool: str) -> list[Wish]:
    """All NICs of a pool as they will be: those that are declared in the order of the file, then the others. The live
    NIC of a guest and the same one in its definition are one; declared ones that are absent, or move elsewhere, are
    none. The portgroup doesn't matter: all of them draw from the same VFs."""
    found = [
        Wish(nic.domain.name, nic.address, declared=True, running=nic.domain.running)
        for nic in resolution.nics
        if nic.pool == pool and nic.nic.state == "present"
    ]
    ours = {id(device) for nic in resolution.nics for device in (nic.live, nic.config) if device is not None}
    for domain in host.libvirt.domains.values():
        found += _others(domain, pool, ours)
    return found


def _others(domain: Domain, pool: str, ours: set[int]) -> Iterator[Wish]:
    for nic, running in nics_of(domain, pool):
        if id(nic) not in ours:
            yield Wish(domain.name, _name(nic), declared=False, running=running)


def nics_of(domain: Domain, pool: str) -> Iterator[tuple[Nic, bool]]:
    """A guest's NICs of a pool, each once, and whether the guest has it while it runs."""
    live = [nic for nic in domain.live if nic.pool == pool] if domain.running else []
    yield from ((nic, True) for nic in live)
    for nic in domain.config:
        if nic.pool == pool and not any(_same(nic, other) for other in live):
            yield nic, False


def _same(config: Nic, live: Nic) -> bool:
    """Whether the one is the other: in live XML it has libvirt's own alias unless it has one that lasts."""
    return (config.mac is not None and config.mac == live.mac) or (
        config.alias is not None and config.alias == live.alias
    )


def _name(nic: Nic) -> str:
    return nic.alias if (nic.alias or "").startswith("ua-") and nic.alias else nic.mac or nic.alias or ""
