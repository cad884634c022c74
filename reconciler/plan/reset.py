"""Putting VFs back to their driver's defaults: a state file made of just that, so that planning, guarding and carrying
it out is what it always is."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.diagnostics import ReconcilerError
from reconciler.drivers.defaults import defaults
from reconciler.drivers.table import facts
from reconciler.exit_codes import ExitCode
from reconciler.host.model import Pf, Snapshot
from reconciler.kinds.holders import VfId, find_holders, vfs_by_address
from reconciler.kinds.pool.forgotten import REMEDY, forgotten
from reconciler.kinds.vf.compare import given_by_libvirt
from reconciler.state.address import address
from reconciler.state.desired import Desired, DesiredPf, DesiredVf, PfMatch
from reconciler.state.refs import RefError, parse_vfs


def reset_file(host: Snapshot, references: Sequence[str]) -> Desired:
    """The state that declares the defaults of these VFs (``enp1s0/3``, ``0000:01:00.0/0-3,5``) and nothing else.
    Raises `ReconcilerError` 64 with all references that can't be read, or name what isn't there."""
    chosen: dict[str, set[int]] = {}
    wrong: list[str] = []
    for reference in references:
        found = _vfs_of(host, reference)
        if isinstance(found, str):
            wrong.append(found)
        else:
            chosen.setdefault(found[0].id, set()).update(found[1])
    if wrong:
        raise ReconcilerError("Wrong usage.", "\n  ".join(wrong), code=ExitCode.USAGE)
    return Desired(pfs={pf.netdev: _declared(pf, indices) for key, indices in chosen.items() if (pf := host.pfs[key])})


def held(host: Snapshot, desired: Desired) -> list[str]:
    """Who has one of these VFs, in sentences: its defaults would be forced upon him."""
    holders = find_holders(host)
    return [
        f"{address('pf', host.pfs[vf[0]].netdev, 'vf', vf[1])}: {'; '.join(map(str, holders[vf]))} has it."
        for vf in _chosen(host, desired)
        if vf in holders
    ]


def not_mended(host: Snapshot, desired: Desired) -> list[str]:
    """What no attribute of these VFs mends, and what would: pools that offer them though a guest has them."""
    chosen, addresses = set(_chosen(host, desired)), vfs_by_address(host)
    return [
        f"pool {network.name} offers {vf} again though guest {guest} has it. {REMEDY}"
        for network in host.libvirt.networks.values()
        for guest, vf in forgotten(host, network)
        if addresses.get(vf) in chosen
    ]


def left_to_libvirt(host: Snapshot, desired: Desired) -> list[str]:
    """VFs whose MAC and VLAN are not reset, since libvirt has set them for a guest."""
    given = given_by_libvirt(host)
    return [
        f"MAC and VLAN of VF {vf[1]} of {host.pfs[vf[0]].netdev} stay: libvirt has set them for guest {given[vf][0]}."
        for vf in _chosen(host, desired)
        if vf in given
    ]


def _chosen(host: Snapshot, desired: Desired) -> list[VfId]:
    identities = {pf.device: pf.id for pf in host.pfs.values()}
    return [(identities[str(pf.match.address)], index) for pf in desired.pfs.values() for index in pf.vf]


def _vfs_of(host: Snapshot, reference: str) -> tuple[Pf, set[int]] | str:
    try:
        name, indices = parse_vfs(reference)
    except RefError as error:
        return f"{error}."
    pf = next((pf for pf in host.pfs.values() if name in (pf.netdev, pf.device, *pf.altnames)), None)
    if pf is None:
        known = ", ".join(f"{pf.netdev} ({pf.device})" for pf in host.pfs.values()) or "none"
        return f"{reference}: there is no PF {name!r}. This host has: {known}."
    missing = [index for index in indices if pf.vf(index) is None]
    if missing:
        return f"{reference}: {pf.netdev} has {len(pf.vfs)} VFs, and none with index {missing[0]}."
    return pf, set(indices)


def _declared(pf: Pf, indices: set[int]) -> DesiredPf:
    known = facts(pf.driver, pf.device_id)
    vfs = {index: DesiredVf(index=index, attributes=defaults(known)) for index in sorted(indices)}
    return DesiredPf(name=pf.netdev, match=PfMatch(address=pf.device), vf=vfs)
