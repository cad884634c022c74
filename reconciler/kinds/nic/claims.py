"""Which VFs are spoken for: declared, in a pool, in a guest's definition, or in use by anybody."""

from __future__ import annotations

from reconciler.host.model import Network, Pf, Snapshot
from reconciler.kinds.holders import VfId, vfs_by_address
from reconciler.kinds.resolution import Resolution, vfs_at

Taken = dict[VfId, str]
"""Who has or is promised a VF, in words."""


class Claims:
    """Knows all VFs that are spoken for. `take` gives out the others, lowest index first; `keep` also one that only the
    definition of a guest that is off names too, since whoever has a VF isn't moved because of that."""

    def __init__(self, resolution: Resolution, host: Snapshot, own_nics: set[tuple[str, str]]) -> None:
        """``own_nics``: (domain, alias or MAC) of the NICs that are being planned: what they have now isn't
        somebody else's."""
        self._resolution = resolution
        self._host = host
        self._taken: Taken = {}
        self._named: Taken = {}
        """By the definition of a guest that doesn't use it now."""
        self._declared()
        self._in_libvirt(own_nics)
        for vf, holders in resolution.holders.items():
            theirs = [h for h in holders if h.kind != "guest" or (h.who, h.nic) not in own_nics]
            if theirs:
                self._taken.setdefault(vf, str(theirs[0]))

    def who(self, vf: VfId) -> str:
        """Who has a VF or is promised it, "" for nobody."""
        return self._taken.get(vf) or self._named.get(vf, "")

    def take(self, pf: Pf, count: int, who: str) -> VfId | None:
        """The lowest free VF below ``count``, which is then taken; ``None`` when there is none."""
        for index in range(count):
            if not self.who((pf.id, index)):
                self._taken[pf.id, index] = who
                return pf.id, index
        return None

    def keep(self, vf: VfId, who: str) -> bool:
        """Takes a VF that a NIC has already; false when it is promised to somebody else."""
        return self._taken.setdefault(vf, who) == who

    def _declared(self) -> None:
        desired = self._resolution.desired
        for name, identity in self._resolution.pfs.items():
            for index in desired.pfs[name].vf:
                self._taken[identity, index] = f"declared as pf.{name}.vf.{index}"
        for pool in desired.pools.values():
            if pool.state == "absent":
                continue
            for ref in pool.vfs:
                if (vf := self._resolution.vf_id(ref)) is not None:
                    self._taken[vf] = f"pool {pool.name}"
            if pool.pf in self._resolution.pfs:
                self._whole_pf(self._resolution.pfs[pool.pf], f"pool {pool.name}")
        for domain in desired.domains.values():
            for nic in domain.nics.values():
                if nic.vf is not None and nic.state == "present":
                    vf = self._resolution.vf_id(nic.vf)
                    if vf is not None:
                        self._taken[vf] = f"NIC {nic.key} of {domain.name}"

    def _whole_pf(self, identity: str, who: str) -> None:
        pf = self._host.pfs[identity]
        for index in range(max(pf.total_vfs or 0, len(pf.vfs), 256 if pf.total_vfs is None else 0)):
            self._taken.setdefault((identity, index), who)

    def _in_libvirt(self, own_nics: set[tuple[str, str]]) -> None:
        # After a reboot what a definition names can only be predicted.
        addresses = vfs_at(self._resolution, self._host) | vfs_by_address(self._host)
        for domain in self._host.libvirt.domains.values():
            for nics, claims in ((domain.config, self._named), (domain.live, self._taken)):
                for nic in nics:
                    vf = addresses.get(nic.vf_address or "")
                    if vf is not None and (domain.name, nic.alias or nic.mac or "") not in own_nics:
                        claims.setdefault(vf, f"guest {domain.name}")
        for network in self._host.libvirt.networks.values():
            pool = self._resolution.desired.pools.get(network.name)
            if network.mode == "hostdev" and pool is None:
                self._foreign_pool(network, addresses)

    def _foreign_pool(self, network: Network, addresses: dict[str, VfId]) -> None:
        who = f"pool {network.name}"
        for item in (*network.addresses, *network.live_addresses):
            if item in addresses:
                self._taken.setdefault(addresses[item], who)
        for pf in self._host.pfs.values():
            if network.pf_dev is not None and network.pf_dev in (pf.netdev, *pf.altnames):
                self._whole_pf(pf.id, who)
