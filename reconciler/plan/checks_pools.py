"""Whether pools can serve their guests: demand against what they have, what libvirt would give out next, and what those
who were there before have left on their VFs.

All but the demand is asked of the host as it is predicted to be after the plan: what the plan itself starts, moves or
puts in order is no finding.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from reconciler.diagnostics import Diagnostic
from reconciler.host.model import Network, Snapshot
from reconciler.kinds.field_state import FieldState
from reconciler.kinds.holders import Holders, VfId, predicted_holders, vfs_by_address
from reconciler.kinds.nic.intent import NicIntent
from reconciler.kinds.pool.compare import in_use
from reconciler.kinds.pool.demand import Wish, wishes
from reconciler.kinds.pool.forgotten import REMEDY, forgotten, restarted
from reconciler.kinds.pool.held import Held, given_out, held_otherwise
from reconciler.kinds.pool.operations import live_addresses
from reconciler.kinds.resolution import Resolution, references, vf_count
from reconciler.kinds.vf.compare import LIBVIRT_OWNS
from reconciler.plan.hygiene import differing, wanted_on
from reconciler.state.address import address
from reconciler.state.desired import DesiredPool
from reconciler.state.refs import format_indexes


def check_pools(
    resolution: Resolution, observed: Snapshot, predicted: Snapshot, remade: Collection[str] = ()
) -> list[Diagnostic]:
    """All findings on declared pools and the NICs that draw from them. ``remade``: PFs whose VFs the plan removes and
    makes again, which whoever has one loses."""
    after = predicted_holders(resolution.holders, predicted)
    holders = {vf: found for vf, found in after.items() if vf[0] not in remade}
    new = {vf.address for identity in remade for vf in predicted.pfs[identity].vfs}
    found: list[Diagnostic] = []
    for pool in resolution.desired.pools.values():
        where, network = address("pool", pool.name), predicted.libvirt.networks.get(pool.name)
        if pool.state == "absent" or where in resolution.left_out:
            continue
        held = held_otherwise(predicted, network, holders) if network is not None else []
        held = [item for item in held if item.address not in new]
        found += _oversubscribed(resolution, observed, predicted, pool, held)
        if network is None:
            continue
        lost = [item for item in forgotten(predicted, network) if item[1] not in new]
        found += _forgotten(resolution, observed, predicted, network, lost)
        found += _held(resolution, predicted, pool, network, held)
        found += _left(resolution, predicted, network, holders)
    for nic in resolution.nics:
        if nic.pool is not None and nic.nic.state == "present":
            found += _unserved(resolution, observed, predicted, nic, holders)
    return found


def old_lists(resolution: Resolution, predicted: Snapshot, states: Sequence[FieldState]) -> Iterator[Diagnostic]:
    """Pools that go on with the VFs that they were started with, since guests use them. ``states``: how the predicted
    host compares."""
    there = vfs_by_address(predicted)
    for state in states:
        network = predicted.libvirt.networks.get(state.address.partition(".")[2])
        if state.status != "pending-restart" or state.field != "live_vfs" or network is None:
            continue
        told = f"It gives out {', '.join(map(str, state.observed))} until it is started anew"
        gone = ", ".join(item for item in network.live_addresses if item not in there)
        if gone:
            told += f", of which {gone} isn't there: a guest that is given one that isn't doesn't start"
        yield resolution.finding(
            "warning" if gone else "note",
            "pending-restart",
            "A pool keeps its old list of VFs until it can be restarted.",
            f"{told}. Guests have VFs of it ({', '.join(in_use(predicted, network))}), so it isn't restarted now; "
            f"apply does it once none has. To do it with them running: {restarted(network.name)}",
            state.address,
        )


def capacity(resolution: Resolution, predicted: Snapshot, pool: DesiredPool) -> int:
    """How many VFs a declared pool has, once the plan is carried out."""
    if pool.pf is None:
        return len(pool.vfs)
    return vf_count(resolution.desired.pfs[pool.pf], predicted.pfs[resolution.pfs[pool.pf]])


def _oversubscribed(
    resolution: Resolution, observed: Snapshot, predicted: Snapshot, pool: DesiredPool, held: Sequence[Held]
) -> Iterator[Diagnostic]:
    """Declared NICs and running guests must fit, guests that are off should."""
    total = capacity(resolution, predicted, pool)
    lost = [item for item in held if item.how == "has"]
    wanting = wishes(resolution, observed, pool.name)
    must = [wish for wish in wanting if _counts(wish)]
    if len(wanting) <= total - len(lost):
        return
    names = references(resolution, predicted)
    without = "".join(f", {names.get(item.address, item.address)} of them with {item.who}" for item in lost)
    listed = ", ".join(map(str, [*must, *(wish for wish in wanting if not _counts(wish))]))
    yield resolution.finding(
        "error" if len(must) > total - len(lost) else "warning",
        "pool-oversubscribed",
        "More NICs want a VF of this pool than it has.",
        f"{total} VFs{without}, and {len(wanting)} NICs: {listed}. Give the pool more VFs, or take NICs out of it.",
        address("pool", pool.name),
    )


def _counts(wish: Wish) -> bool:
    return wish.declared or wish.running


def _forgotten(
    resolution: Resolution,
    observed: Snapshot,
    predicted: Snapshot,
    network: Network,
    lost: Sequence[tuple[str, str]],
) -> Iterator[Diagnostic]:
    if not lost:
        return
    names = references(resolution, predicted)
    told = ", ".join(f"{names.get(vf, vf)} (guest {guest})" for guest, vf in lost)
    before = observed.libvirt.networks.get(network.name)
    since = "the pool was stopped and started meanwhile"
    if before is None or not before.active:
        since = "the pool was stopped while guests had VFs of it, and is started by this plan"
    yield resolution.finding(
        "warning",
        "pool-forgot",
        "The pool doesn't know who has its VFs.",
        f"{told}: {since}. libvirt will offer them again, so the next guest of the pool doesn't start. {REMEDY}",
        address("pool", network.name),
    )


def _held(
    resolution: Resolution, predicted: Snapshot, pool: DesiredPool, network: Network, held: Sequence[Held]
) -> Iterator[Diagnostic]:
    if not held:
        return
    names = references(resolution, predicted)
    how = {"has": "has it", "promised": "is off and names it in its definition", "host": "uses it"}
    told = "; ".join(f"{names.get(item.address, item.address)}: {item.who} {how[item.how]}" for item in held)
    hard = [item for item in held if item.how == "has"]
    given = {port.vf_address for port in network.ports}
    following = next((item for item in network.live_addresses if item not in given), None)
    if any(item.address == following for item in hard):
        means = f"{names.get(following, following)} is the next that libvirt gives out of the pool, whoever has it"
        means += ', so no guest gets one now ("is in use by driver QEMU"), though others are free.'
    elif hard:
        means = "libvirt gives out the pool's VFs one after the other, whoever has them: when it comes to this one no "
        means += 'guest gets any ("is in use by driver QEMU"), though others are free.'
    elif any(item.how == "host" for item in held):
        means = "libvirt takes it away from the host when it comes to it."
    else:
        means = "Whoever comes second doesn't start."
    if {item.address for item in held} & set(live_addresses(predicted, network)):
        hint = f"Take it away from there, or leave it out of the pool: {_without(resolution, predicted, pool, held)}"
    else:
        hint = _stale(predicted, network)  # The file leaves it out already.
    yield resolution.finding(
        "warning",
        "pool-vf-held",
        "A VF of this pool is not the pool's alone.",
        f"{told}. {means} {hint}",
        address("pool", pool.name),
    )


def _without(resolution: Resolution, predicted: Snapshot, pool: DesiredPool, held: Sequence[Held]) -> str:
    """The pool's VFs as the file would list them without these."""
    gone = {item.vf for item in held}
    if pool.pf is not None:
        identity = resolution.pfs[pool.pf]
        total = capacity(resolution, predicted, pool)
        left = [(pool.pf, index) for index in range(total) if (identity, index) not in gone]
    else:
        left = [(ref.pf, ref.index) for ref in pool.vfs if resolution.vf_id(ref) not in gone]
    of_pf = {name: [index for pf, index in left if pf == name] for name, _ in left}
    lists = [f'"{name}/{format_indexes(indices)}"' for name, indices in of_pf.items()]
    return f"vfs = [{', '.join(lists)}]{' in place of pf' if pool.pf is not None else ''}."


def _left(resolution: Resolution, predicted: Snapshot, network: Network, holders: Holders) -> Iterator[Diagnostic]:
    """What was set for somebody on the pool's VFs and stays on them for the next guest, while nobody declares it: any
    of it on a VF that nobody has, and on one that a guest has what an apply of this boot has set. MAC and VLAN are
    libvirt's."""
    by_address = vfs_by_address(predicted)
    vfs = [vf for item in given_out(predicted, network) if (vf := by_address.get(item)) is not None]
    told, again, allow = [], [], ""
    for vf, target in wanted_on(resolution, predicted, vfs).items():
        pf, who = predicted.pfs[vf[0]], holders.get(vf, [])
        usual = {name: value for name, value in target.values.items() if name not in {*target.declared, *LIBVIRT_OWNS}}
        seen = pf.vf(vf[1])
        reported = (seen.attributes if seen is not None else None) or {}
        other = [name for name in differing(pf, vf[1], usual, unreported=False) if reported.get(name) != usual[name]]
        if who:
            other = [name for name in other if _applied(predicted, vf, name) == reported.get(name)]
        if other:
            values = ", ".join(f"{name} {_value(reported.get(name))}" for name in other)
            has = f" ({who[0]} has it now)" if who else ""
            told.append(f"{resolution.pf_name(pf.id)}/{vf[1]}{has}: {values}")
            again.append(f"{pf.netdev}/{vf[1]}")
            allow = " --allow guest" if who else allow
    if told:
        yield resolution.finding(
            "warning",
            "vf-left-over",
            "VFs of this pool still have what was set for a guest that is gone from them.",
            f"{'; '.join(told)}. The file declares none of it for whoever has or gets them. To put it back: reconciler "
            f"reset {' '.join(again)}{allow}. The libvirt hook and `reconciler watch` do it whenever a guest is gone.",
            address("pool", network.name),
        )


def _applied(host: Snapshot, vf: VfId, name: str) -> object:
    """The value that was applied to a VF in this boot; ``None``: none."""
    applied = host.ledger.get(f"{vf[0]}/{vf[1]}", {}).get(name)
    return applied.value if applied is not None and applied.boot_id == host.host.boot_id else None


def _value(value: object) -> str:
    return "on" if value is True else "off" if value is False else str(value)


def _unserved(
    resolution: Resolution, observed: Snapshot, predicted: Snapshot, nic: NicIntent, holders: Holders
) -> Iterator[Diagnostic]:
    """A NIC that the plan attaches to a running guest, and for which libvirt would have no VF, or the wrong one."""
    live, before = nic.find(predicted)[0], nic.find(observed)[0]
    network = predicted.libvirt.networks.get(nic.pool or "")
    if live is None or network is None or not network.active:
        return
    if before is not None and (before.pool, before.vf_address) == (live.pool, live.vf_address):
        return
    why = _why_not(resolution, predicted, nic, network, live.vf_address, holders)
    if why:
        yield resolution.finding(
            "error", "pool-cannot-serve", "libvirt has no VF of this pool to give.", why, nic.address
        )


def _why_not(
    resolution: Resolution,
    predicted: Snapshot,
    nic: NicIntent,
    network: Network,
    given: str | None,
    holders: Holders,
) -> str:
    names = references(resolution, predicted)
    fresh = given_out(predicted, network)
    if given is None:
        told = ", ".join(names.get(item, item) for item in fresh)
        return (
            f"{network.name} gives out {told or 'no VF'}, and all of them are given. {_stale(predicted, network)}"
        ).strip()
    vf = vfs_by_address(predicted).get(given)
    if vf is None:
        return f"The next VF of {network.name} would be {given}, which isn't there. {_stale(predicted, network)}"
    others = _others(nic, vf, holders)
    if not others:
        return ""
    lost = [guest for guest, where in forgotten(predicted, network) if where == given]
    remedy = REMEDY if lost else "Take it away from there, or leave it out of the pool."
    remedy = _stale(predicted, network) or remedy
    return (
        f"The next VF of {network.name} is {names.get(given, given)}, since the pool doesn't know that {others[0]} has "
        f"it: {nic.domain.name} would be refused it, though others are free. {remedy}"
    )


def _others(nic: NicIntent, vf: VfId, holders: Holders) -> list[str]:
    own = (nic.domain.name, nic.alias)
    return [
        str(holder)
        for holder in holders.get(vf, [])
        if holder.kind == "process" or (holder.kind == "guest" and (holder.who, holder.nic) != own)
    ]


def _stale(predicted: Snapshot, network: Network) -> str:
    """What gives an active pool its new list."""
    if sorted(live_addresses(predicted, network)) == sorted(network.live_addresses):
        return ""
    guests = ", ".join(in_use(predicted, network))
    return (
        f"It keeps the list that it was started with while guests have VFs of it ({guests}). To start it anew all the "
        f"same, with them running: {restarted(network.name)}"
    )
