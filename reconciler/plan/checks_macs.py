"""MACs that two devices of one host have: the switch in the card gives a frame to one of them."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.diagnostics import Diagnostic
from reconciler.host.model import Domain, Nic, Snapshot
from reconciler.kinds.holders import VfId, vfs_by_address
from reconciler.kinds.nic.intent import NicIntent
from reconciler.kinds.resolution import Resolution
from reconciler.state.desired import ZERO_MAC


class Macs:
    """Who has which MAC on the observed host, read once for all NICs."""

    def __init__(self, resolution: Resolution, host: Snapshot) -> None:
        self._resolution = resolution
        self._addresses = vfs_by_address(host)
        self._guests: dict[str, list[tuple[Domain, Nic]]] = {}
        for domain in host.libvirt.domains.values():
            for device in domain.live if domain.running else domain.config:
                self._guests.setdefault(device.mac or "", []).append((domain, device))
        self._cards: dict[str, list[tuple[VfId | None, str]]] = {}
        for pf in host.pfs.values():
            self._cards.setdefault(pf.mac or "", []).append((None, f"the PF {pf.netdev}"))
        for pf in host.pfs.values():
            identity, netdev = pf.id, pf.netdev
            for vf in pf.vfs:
                if vf.attributes and (mac := vf.attributes.get("mac")):
                    found = self._cards.setdefault(str(mac), [])
                    found.append(((identity, vf.index), f"VF {vf.index} of {netdev}"))

    def used_twice(self, nic: NicIntent) -> Iterator[Diagnostic]:
        """Another one on this host with the NIC's MAC."""
        mac = nic.mac if nic.nic.method != "hostdev" else nic.nic.attributes.get("mac")
        others = list(self._others(nic, str(mac))) if mac not in (None, ZERO_MAC) else []
        if others:
            yield self._resolution.finding(
                "warning",
                "mac-used-twice",
                "Another device of this host has the same MAC.",
                f"{mac} is also that of {', '.join(others)}. Frames for it reach only one of them: give one another "
                "MAC.",
                nic.address,
            )

    def _others(self, nic: NicIntent, mac: str) -> Iterator[str]:
        mine = [device for device in (nic.live, nic.config) if device is not None]
        for domain, device in self._guests.get(mac, []):
            paired = domain.name == nic.domain.name and device.teaming == "persistent" and device.alias == nic.standby
            if not paired and not any(device is own for own in mine):
                yield f"guest {domain.name} ({device.alias or 'a NIC'})"
        on = {self._addresses.get(device.vf_address or "") for device in mine} | {nic.vf}
        for vf, what in self._cards.get(mac, []):
            if vf is None or (vf not in on and not self._belongs(vf)):
                yield what

    def _belongs(self, vf: VfId) -> bool:
        """Whether a guest has the VF, which is told already, or will be set by this very plan."""
        return "mac" in self._resolution.intents.get(vf, {}) or any(
            holder.kind == "guest" for holder in self._resolution.holders.get(vf, [])
        )
