"""Who loses what meanwhile: NICs of running guests that worked and don't any more, until they work again."""

from __future__ import annotations

from reconciler.host.model import Nic
from reconciler.host.twin.state import Loss, Twin

__all__ = ["Loss", "nic_key", "note", "troubles"]

Key = tuple[str, str]
"""Domain and NIC."""


def nic_key(nic: Nic) -> str:
    """How a NIC is called: by its lasting alias, else its MAC, else its VF's PCI address."""
    lasting = nic.alias if (nic.alias or "").startswith("ua-") else None
    return lasting or nic.mac or nic.vf_address or "NIC"


def troubles(twin: Twin) -> dict[Key, tuple[str, str]]:
    """Each VF NIC of a running guest: its VF in words, and why it doesn't work, "" when it does."""
    return {
        (domain.name, nic_key(nic)): _trouble(twin, nic)
        for domain in twin.libvirt.domains.values()
        if domain.running
        for nic in domain.live
        if nic.method != "other"
    }


def _trouble(twin: Twin, nic: Nic) -> tuple[str, str]:
    found = twin.find(nic.vf_address)
    if found is None:
        return nic.vf_address or "its VF", "its VF is gone"
    pf, vf = found
    place, card = f"{pf.netdev} vf {vf.index}", twin.cards[pf.id]
    state = (vf.attributes or {}).get("link_state", "auto")
    if state == "disable":
        return place, "link_state is disable"
    if vf.index in card.resetting:
        return place, f"{pf.driver} resets the VF"
    if pf.up and not pf.carrier and card.reinit:
        return place, card.reinit
    if state == "enable":
        return place, ""
    if not pf.up:
        return place, f"{pf.netdev} is down"
    return place, "" if pf.carrier else f"{pf.netdev} has no link"


def note(twin: Twin, before: dict[Key, tuple[str, str]], why: str = "") -> None:
    """Compares with how it was before something happened, and opens and closes losses. ``why``: what takes a device
    away from a guest that goes on running."""
    now = troubles(twin)
    running = {domain.name for domain in twin.libvirt.domains.values() if domain.running}
    noted = {(loss.domain, loss.nic) for loss in twin.losses if loss.until is None}
    for key, (place, trouble) in before.items():
        if trouble or key[0] not in running or key in noted:
            continue
        if key not in now:
            twin.losses.append(Loss(*key, place, why or "its VF is taken away", twin.clock))
        elif now[key][1]:
            twin.losses.append(Loss(*key, now[key][0], now[key][1], twin.clock))
    for loss in twin.losses:
        here = now.get((loss.domain, loss.nic))
        if loss.until is None and (loss.domain not in running or (here is not None and not here[1])):
            loss.until = twin.clock
