"""A declared NIC, joined with the guest that libvirt knows."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.host.model import Domain, Nic, Snapshot
from reconciler.kinds.holders import VfId, predicted_address
from reconciler.kinds.nic.identity import find_nic, find_standby
from reconciler.state.desired import DesiredNic


@dataclass(slots=True)
class NicIntent:
    """A declared NIC on this host."""

    nic: DesiredNic
    address: str
    alias: str
    domain: Domain
    others: frozenset[str] = frozenset()
    """Aliases of the other NICs that the file declares for this domain."""
    by_vf: bool = True
    """Whether it may be found by its VF: not once it was found by alias or MAC, lest another NIC is taken for it."""
    vf: VfId | None = None
    """The VF that it is to be on; ``None`` for a pool NIC."""
    why: str = ""
    """Why it gets this VF, when the planner picked it."""
    pool: str | None = None
    mac: str | None = None
    """What its XML is to say: declared, kept, or generated; ``None`` for a plain hostdev."""
    vlan: int | None = None
    """What its XML is to say; ``None``: not declared."""
    standby: str = ""
    """Alias of the NIC that stands in for it, if it has one."""
    live: Nic | None = None
    """The device in the live XML, as observed."""
    config: Nic | None = None
    """The device in the persistent XML, as observed."""

    @property
    def identity(self) -> str:
        """Key of the ledger."""
        return f"domain {self.domain.uuid} {self.alias}"

    @property
    def bridge(self) -> str | None:
        """Where the NIC is to be that stands in for it; ``None``: not declared."""
        failover = self.nic.failover if self.nic.state == "present" else None
        return failover.bridge if failover is not None else None

    def on(self, host: Snapshot) -> Domain:
        """The domain as another view of the host has it."""
        return host.libvirt.domains[self.domain.name]

    def find(self, host: Snapshot) -> tuple[Nic | None, Nic | None]:
        """The device in the live and in the persistent XML of another view of the host."""
        domain = host.libvirt.domains.get(self.domain.name)
        if domain is None:
            return None, None
        # What is taken away is named by alias or MAC, lest a NIC of somebody else goes that happens to be on the VF.
        where = _vf_address(host, self.vf) if self.by_vf and self.nic.state == "present" else None
        live = find_nic(domain.live, self.alias, self.others, self.mac, where) if domain.running else None
        return live, find_nic(domain.config, self.alias, self.others, self.mac, where)

    def find_standby(self, host: Snapshot) -> tuple[Nic | None, Nic | None]:
        """What stands in for it, in the live and in the persistent XML of a view of the host."""
        domain = host.libvirt.domains.get(self.domain.name)
        if domain is None:
            return None, None
        live = find_standby(domain.live, self.standby) if domain.running else None
        return live, find_standby(domain.config, self.standby)


def _vf_address(host: Snapshot, vf: VfId | None) -> str | None:
    pf = host.pfs.get(vf[0]) if vf is not None else None
    return predicted_address(pf, vf[1]) if pf is not None and vf is not None else None
