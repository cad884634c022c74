"""Who notices an action: its disruption class, and by name the guests and the uses of the host that it touches."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.host.model import Pf
from reconciler.kinds.action import Impact
from reconciler.kinds.holders import Holders, VfId
from reconciler.state.desired import Disruption


def impact_on_vfs(
    holders: Holders, vfs: Iterable[VfId], *, held: Disruption = "guest", free: Disruption = "none"
) -> Impact:
    """The class ``held`` with everybody who has one of these VFs; ``free`` when nobody has."""
    impact = Impact(disruption=free)
    for vf in vfs:
        for holder in holders.get(vf, []):
            impact.disruption = held
            if holder.kind == "guest":
                _note(impact.domains, holder.who)
                _note(impact.nics, f"{holder.who}: {holder.nic} on VF {vf[1]} of {vf[0].partition('/')[2]}")
            else:
                _note(impact.host, f"VF {vf[1]} of {vf[0].partition('/')[2]}: {holder}")
    return impact


def impact_on_pf(pf: Pf, *, bounces: bool, otherwise: Impact | None = None) -> Impact:
    """``management`` when the PF loses its link and the host uses it; else what is given."""
    impact = otherwise or Impact()
    if bounces and pf.uses:
        impact.disruption = "management"
        impact.host += [f"{pf.netdev}: {use}" for use in pf.uses]
    return impact


def _note(names: list[str], name: str) -> None:
    if name not in names:
        names.append(name)
