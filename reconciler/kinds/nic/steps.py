"""Steps on guests' NICs: those that must go or move are detached first, and all are attached last."""

from __future__ import annotations

from typing import Any

from reconciler.drivers.readback import GROUPS
from reconciler.host.model import Domain, Nic
from reconciler.kinds.action import Impact, Step, Undo
from reconciler.kinds.builder import Builder
from reconciler.kinds.holders import vfs_by_address
from reconciler.kinds.impact import impact_on_vfs
from reconciler.kinds.nic import standby
from reconciler.kinds.nic.compare import kernel_attributes, must_move, wanted
from reconciler.kinds.nic.intent import NicIntent
from reconciler.kinds.nic.operations import find_match, left_by_libvirt, match_of, nic_address, same_device
from reconciler.kinds.nic.pair import is_whole
from reconciler.kinds.resolution import vfs_at
from reconciler.kinds.vf.steps import add_set, binding


def release(builder: Builder, remade: set[str]) -> None:
    """Detaches NICs that are declared absent or have to move, and for the time being those on VFs that are made again
    (``remade``: PFs)."""
    addresses = vfs_by_address(builder.host)
    for intent in builder.resolution.nics:
        domain = intent.on(builder.host)
        live, config = intent.find(builder.host)
        if intent.nic.state == "absent":
            if live is not None or config is not None:
                _detach(builder, intent, domain, live, config)
            standby.release(builder, intent)
        elif live is not None:
            on = addresses.get(live.vf_address or "")
            if must_move(builder.host, intent, live):
                _detach(builder, intent, domain, live, config)
            elif on is not None and on[0] in remade:
                _detach(builder, intent, domain, live, None)
            elif config is not None and _blocked(builder, intent, config):
                _detach(builder, intent, domain, None, config)
        elif config is not None and _blocked(builder, intent, config):
            _detach(builder, intent, domain, None, config)


def _blocked(builder: Builder, intent: NicIntent, config: Nic) -> bool:
    """Whether the VF that a NIC is to move to is still that of another declared NIC of the same definition (two that
    swap): libvirt refuses the same VF twice, so one has to be taken out before."""
    wants = nic_address(builder.host, wanted(intent))
    if wants is None or wants == config.vf_address:
        return False
    others = [item.find(builder.host)[1] for item in builder.resolution.nics if item is not intent]
    mine = [nic for nic in intent.on(builder.host).config if nic is not config]
    return any(nic.vf_address == wants and any(nic is other for other in others) for nic in mine)


def _detach(builder: Builder, intent: NicIntent, domain: Domain, live: Nic | None, config: Nic | None) -> None:
    where = intent.address
    for nics in _at_once(live, config):
        match = match_of(next(nic for nic in nics if nic is not None))
        on_live, on_config = nics[0] is not None, nics[1] is not None
        addresses = vfs_at(builder.resolution, builder.host)
        freed = [vf for nic in nics if nic is not None and (vf := addresses.get(nic.vf_address or "")) is not None]
        action = builder.add(
            "nic.detach",
            where,
            {"domain": domain.name, "match": match, "live": on_live, "config": on_config},
            makes=f"detached {where}",
            impact=Impact("guest", [domain.name], [_told(builder, domain, live)]) if on_live and live else Impact(),
            undo=_attach_again(builder, intent, domain, nics),
        )
        for vf in dict.fromkeys(freed):
            builder.also_makes(f"free {vf[0]}/{vf[1]}", action)
            builder.also_makes(f"released {vf[0]}", action)


def _at_once(live: Nic | None, config: Nic | None) -> list[tuple[Nic | None, Nic | None]]:
    """One step for both XMLs where the same ``match`` finds the device in both, else one for each; so too where only
    one of them is half of a pair, which both have to be given back as they were."""
    if live is None or config is None:
        return [(live, config)]
    if find_match([config], match_of(live)) is config and live.partner == config.partner:
        return [(live, config)]
    return [(live, None), (None, config)]


def _told(builder: Builder, domain: Domain, nic: Nic) -> str:
    vf = vfs_by_address(builder.host).get(nic.vf_address or "")
    where = f" on VF {vf[1]} of {vf[0].partition('/')[2]}" if vf is not None else ""
    return f"{domain.name}: {nic.alias or nic.mac or 'NIC'}{where}"


def _attach_again(
    builder: Builder, intent: NicIntent, domain: Domain, nics: tuple[Nic | None, Nic | None]
) -> list[Step] | Undo:
    device = next(nic for nic in nics if nic is not None)
    lasting = (device.alias or "").startswith("ua-")
    spec: dict[str, object] = {"method": device.method, "alias": device.alias if lasting else intent.alias}
    if device.method != "hostdev":
        spec |= {"mac": device.mac, "vlan": device.vlan}
    if device.partner is not None:
        spec["standby"] = device.partner
    if device.pool is not None:
        spec["pool"] = device.pool
    else:
        vf = vfs_by_address(builder.observed).get(device.vf_address or "")
        if vf is None:
            return Undo(impossible=f"the VF {device.vf_address} that it names is not there")
        spec["vf"] = [vf[0], vf[1]]
    args = {"domain": domain.name, "nic": spec, "live": nics[0] is not None, "config": nics[1] is not None}
    return [Step("nic.attach", intent.address, args)]


def plan(builder: Builder) -> None:
    """Puts the persistent XML right, attaches what is missing, and gives a pool's NIC its attributes."""
    present = [intent for intent in builder.resolution.nics if intent.nic.state == "present"]
    for intent in present:
        standby.plan(builder, intent)
    for intent in present:
        # Before any attach: what is updated may leave the VF that another one is to get.
        _, config = intent.find(builder.host)
        if config is not None and not same_device(builder.host, config, wanted(intent), vlan=True):
            _update(builder, intent, config)
    for intent in present:
        _attach(builder, intent)


def _attach(builder: Builder, intent: NicIntent) -> None:
    domain = intent.on(builder.host)
    live, config = intent.find(builder.host)
    nic = wanted(intent)
    to_live = domain.running and live is None
    to_config = domain.persistent and config is None
    partner = next((found.partner for found in (intent.live, intent.config) if found is not None), None)
    if partner is not None and is_whole(domain, partner, live=to_live, config=to_config):
        nic.setdefault("standby", partner)  # A pair stays one, also if the file doesn't speak of it.
    if to_live or to_config:
        builder.add(
            "nic.attach",
            intent.address,
            {"domain": domain.name, "nic": nic, "live": to_live, "config": to_config},
            needs=_attach_needs(intent),
            makes=f"attached {intent.address}",
            impact=_taken_from_host(builder, intent) if to_live else None,
            undo=_take_off(builder, intent, domain, to_live, to_config),
        )
    if intent.pool is not None and to_live:
        _pool_attributes(builder, intent)


def _take_off(builder: Builder, intent: NicIntent, domain: Domain, live: bool, config: bool) -> list[Step]:
    """Detaches, and binds the VF as it was where libvirt would leave it otherwise."""
    match = {"alias": intent.alias}
    args = {"domain": domain.name, "match": match, "live": live, "config": config}
    steps = [Step("nic.detach", intent.address, args)]
    if live and intent.vf is not None:
        pf, index = intent.vf
        before = binding(builder.host.pfs[pf].vf(index))
        left = "none" if left_by_libvirt(builder.host, pf) is None else "kernel"
        if before != left:
            steps.append(Step("vf.bind", intent.address, {"pf": pf, "vf": index, "driver": before}))
    return steps


def _taken_from_host(builder: Builder, intent: NicIntent) -> Impact:
    """libvirt takes a VF also from a host that uses its netdev; from a pool, whichever VF is the first."""
    pool = builder.host.libvirt.networks.get(intent.pool or "")
    addresses = vfs_by_address(builder.host)
    vfs = [intent.vf] if intent.vf is not None else [addresses.get(a) for a in (pool.live_addresses if pool else [])]
    holders = {
        vf: [holder for holder in builder.resolution.holders.get(vf, []) if holder.kind in ("host", "unknown")]
        for vf in vfs
        if vf is not None
    }
    return impact_on_vfs(holders, holders)


def _attach_needs(intent: NicIntent) -> list[str]:
    needs = [f"detached {intent.address}", f"standby {intent.address}"]
    if intent.vf is not None:
        pf, index = intent.vf
        needs += [f"free {pf}/{index}", f"link {pf}", f"vfs {pf}", f"bound {pf}/{index}", f"set {pf}/{index}"]
    if intent.pool is not None:
        needs += [f"defined {intent.pool}", f"pool {intent.pool}"]
    return needs


def _update(builder: Builder, intent: NicIntent, config: Nic) -> None:
    before = _attach_again(builder, intent, intent.domain, (None, config))
    undo: list[Step] | Undo
    if isinstance(before, Undo):
        undo = before
    else:
        args: dict[str, Any] = {
            "domain": intent.domain.name,
            "match": {"alias": intent.alias},
            "nic": {**before[0].args["nic"], "alias": config.alias or intent.alias},
        }
        if "standby" in wanted(intent):
            args["nic"]["standby"] = config.partner
        undo = [Step("nic.update", intent.address, args)]
    old = vfs_at(builder.resolution, builder.host).get(config.vf_address or "")
    action = builder.add(
        "nic.update",
        intent.address,
        {"domain": intent.domain.name, "match": match_of(config), "nic": wanted(intent)},
        needs=_attach_needs(intent),
        makes=f"attached {intent.address}",
        undo=undo,
    )
    if old is not None and old != intent.vf:
        builder.also_makes(f"free {old[0]}/{old[1]}", action)


def _pool_attributes(builder: Builder, intent: NicIntent) -> None:
    """libvirt chooses the VF when it attaches the NIC, so what the NIC declares can be set only then."""
    live, _ = intent.find(builder.host)
    vf = vfs_by_address(builder.host).get((live.vf_address if live else None) or "")
    if vf is None:
        return
    values = kernel_attributes(intent)
    observed = builder.host.pfs[vf[0]].vf(vf[1])
    reported = (observed.attributes if observed else None) or {}
    target = {"domain": intent.domain.name, "alias": intent.alias}
    for group in GROUPS:
        chosen = {n: values[n] for n in group if n in values and reported.get(n) != values[n]}
        if chosen:
            add_set(builder, vf, intent.address, target, chosen)
