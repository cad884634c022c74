"""A guest's VF and the virtio NIC that stands in for it while the guest is migrated.

libvirt lets a guest with a VF be migrated while it runs if the VF is one of a pair (``<teaming>``, libvirt 6.1.0): QEMU
takes the VF off for that time, and the guest's net_failover goes on with the virtio NIC of the same MAC. Until the
guest's virtio driver says that it can do that, QEMU doesn't show it the VF (VIRTIO_NET_F_STANDBY).
"""

from __future__ import annotations

from reconciler.host.model import Domain, Nic, Snapshot
from reconciler.kinds.holders import vfs_by_address
from reconciler.kinds.nic.identity import find_standby, standby_alias_of
from reconciler.kinds.nic.intent import NicIntent

Side = tuple[Nic | None, Nic | None]
"""In the live and in the persistent XML."""


def pair_bridge(intent: NicIntent, device: Nic, standby: Nic | None) -> str | None:
    """Where the VF's stand-in is; ``None``: the pair is not whole."""
    whole = standby is not None and device.partner == intent.standby and standby.teaming == "persistent"
    if standby is None or not whole or (intent.mac is not None and standby.mac != intent.mac):
        return None
    return standby.bridge


def of_another_mac(host: Snapshot, intent: NicIntent) -> Side:
    """Stand-ins of an observed host that are to get another MAC: that of their VF. Where the file doesn't speak of the
    pair, those that have had the VF's so far, so that it stays one."""
    if intent.mac is None:
        return None, None
    live, config = (
        standby
        if standby is not None
        and not is_strange(standby)
        and standby.mac != intent.mac
        and (intent.bridge is not None or (device is not None and standby.mac == _mac_of(host, device)))
        else None
        for device, standby in zip(intent.find(host), intent.find_standby(host), strict=True)
    )
    return live, config


def _mac_of(host: Snapshot, device: Nic) -> str | None:
    """A plain hostdev has that of its VF."""
    where = vfs_by_address(host).get(device.vf_address or "")
    vf = host.pfs[where[0]].vf(where[1]) if where is not None else None
    told = ((vf.attributes if vf is not None else None) or {}).get("mac")
    return device.mac or (None if told is None else str(told))


def is_whole(domain: Domain, alias: str, *, live: bool, config: bool) -> bool:
    """Whether the NIC that stands in for another is there, in those XMLs that this is about."""
    sides = [nics for asked, nics in ((live, domain.live), (config, domain.config)) if asked]
    return all(find_standby(nics, alias) is not None for nics in sides)


def is_strange(standby: Nic) -> bool:
    """Whether the NIC with this alias is none that `plan` has put there: it is left alone."""
    return standby.teaming != "persistent" or standby.bridge is None


def goes_too(host: Snapshot, intent: NicIntent) -> Side:
    """What stands in for a NIC that is declared absent: what the file declared, or has our alias."""
    ours = intent.standby == standby_alias_of(intent.nic.key)
    if intent.nic.failover is None and not ours:
        return None, None
    live, config = intent.find_standby(host)
    return _ours(live), _ours(config)


def _ours(standby: Nic | None) -> Nic | None:
    return None if standby is None or is_strange(standby) else standby


def new_ports(host: Snapshot, intent: NicIntent, *, live: bool) -> int:
    """How many slots more the guest needs for the stand-in; below 0: fewer."""
    number = 0 if live else 1
    if intent.nic.state == "absent":
        return -1 if goes_too(host, intent)[number] is not None else 0
    return 1 if intent.bridge is not None and intent.find_standby(host)[number] is None else 0
