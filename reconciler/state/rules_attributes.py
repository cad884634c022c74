"""Rules on VF attributes, once precedence is clear: ``vf_defaults`` < ``vf.N``, and the NIC that uses it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.state.address import address
from reconciler.state.desired import ZERO_MAC, AttributeValue, Desired, DesiredNic, DesiredPool
from reconciler.state.draft import Draft, nic_key, present_nics, present_pools
from reconciler.state.findings import thing
from reconciler.state.positions import Path
from reconciler.state.shape import show

Sourced = tuple[AttributeValue, Path]
"""A value and where it stands."""


def check_attributes(draft: Draft, desired: Desired) -> None:
    """Agreement of VF and NIC, what libvirt's interface can't do, and the order of the rates."""
    for nic in present_nics(desired):
        _check_nic(draft, desired, nic)
    for pool in present_pools(desired):
        _check_pool(draft, pool)
    _check_vf_rates(draft)


def _check_nic(draft: Draft, desired: Desired, nic: DesiredNic) -> None:
    _check_agreement(draft, nic)
    unclear = nic.method == "interface" and draft.findings.is_wrong((*nic_key(nic), "method"))
    if nic.method != "hostdev" and not unclear:
        _check_interface(draft, nic)
    for pf in _pfs_of(desired, nic):
        rates = [_nic_source(draft, nic, name, pf) for name in ("min_tx_rate", "max_tx_rate")]
        _check_rates(draft, *rates)


def _check_agreement(draft: Draft, nic: DesiredNic) -> None:
    """Rule 5: an explicit ``vf.N`` and the NIC that uses it agree."""
    vf = draft.pfs[nic.vf.pf].vf.get(nic.vf.index) if nic.vf and nic.vf.pf in draft.pfs else None
    if nic.vf is None or vf is None:
        return
    where = address("pf", nic.vf.pf, "vf", nic.vf.index)
    for name, value in nic.attributes.items():
        other = vf.attributes.get(name, value)
        if other != value:
            line = draft.findings.line(draft.places[f"{where}.{name}"])
            detail = f"{name} = {_written(value)} here, and {_written(other)} in {where} (line {line})."
            draft.findings.error((*nic_key(nic), name), "vf-disagreement", detail)


# ---------------------------------------------------------------------------- what an interface can't do


def _check_interface(draft: Draft, nic: DesiredNic) -> None:
    """Rule 6, and a MAC that the guest chooses."""
    where = address(*nic_key(nic))
    kind = "a NIC from a pool" if nic.method == "pool" else "method interface"
    for name in ("qos", "vlan_proto"):
        for pf in [nic.vf.pf] if nic.vf else nic.pf or [None]:
            source = _nic_source(draft, nic, name, pf)
            if source and _is_forced_away(name, source[0]):
                _report_forced(draft, name, source, f"{where} is {kind}")
                break
    source = _nic_source(draft, nic, "mac", nic.vf.pf if nic.vf else None)
    if source and source[0] == ZERO_MAC:
        detail = f'mac = "none", and {where} is {kind}, which always sets one: use method = "hostdev".'
        draft.findings.error(source[1], "mac-needs-hostdev", detail)


def _check_pool(draft: Draft, pool: DesiredPool) -> None:
    """The VFs of a pool are only reached through libvirt."""
    where = address("pool", pool.name)
    for pf, index in _pool_vfs(draft, pool):
        for name in ("qos", "vlan_proto"):
            source = draft.source(pf, index, name)
            if source and _is_forced_away(name, source[0]):
                _report_forced(draft, name, source, f"the VF is in {where}")


def _pool_vfs(draft: Draft, pool: DesiredPool) -> Iterator[tuple[str, int]]:
    if pool.pf is not None and pool.pf in draft.pfs:
        pf = draft.pfs[pool.pf]
        indexes: Iterable[int] = pf.vf if pf.vfs is None else range(pf.vfs)
        yield from ((pf.name, index) for index in indexes)
        if pf.vfs is None:
            yield pf.name, -1  # any other: vf_defaults alone
    yield from ((ref.pf, ref.index) for ref in pool.vfs if ref.pf in draft.pfs)


def _is_forced_away(name: str, value: AttributeValue) -> bool:
    return value == "802.1ad" if name == "vlan_proto" else value != 0


def _report_forced(draft: Draft, name: str, source: Sourced, who: str) -> None:
    value, key = source
    detail = (
        f'{name} = {show(value)}, and {who}: libvirt forces it away there. Use method = "hostdev" with a VF '
        "outside of pools, or take the setting away."
    )
    draft.findings.error(key, "needs-hostdev", detail)


# ---------------------------------------------------------------------------- rates


def _check_vf_rates(draft: Draft) -> None:
    for name, pf in draft.pfs.items():
        for index in [-1, *pf.vf]:
            rates = [draft.source(name, index, rate) for rate in ("min_tx_rate", "max_tx_rate")]
            _check_rates(draft, *rates)


def _check_rates(draft: Draft, low: Sourced | None, high: Sourced | None) -> None:
    """Rule 7: not min_tx_rate > max_tx_rate > 0. Reported where the more specific of the two stands."""
    if low is None or high is None or not int(low[0]) > int(high[0]) > 0:
        return
    key, other = (low[1], high[1]) if _rank(low[1]) >= _rank(high[1]) else (high[1], low[1])
    rates = f"min_tx_rate = {low[0]}, max_tx_rate = {high[0]}"
    where = f"{thing(other)[0]}, line {draft.findings.line(other)}"
    detail = f"{rates} (see {where}): raise the maximum, or make it 0 (no limit)."
    draft.findings.error(key, "rate-order", detail)


def _rank(key: Path) -> int:
    """How specific the table is that a value stands in: ``vf_defaults``, ``vf.N``, NIC."""
    return 2 if key[0] == "domain" else int(key[2] == "vf")


# ---------------------------------------------------------------------------- precedence


def _nic_source(draft: Draft, nic: DesiredNic, name: str, pf: str | None) -> Sourced | None:
    """What counts for a NIC: its own value, else that of its VF, else the defaults of the PF."""
    if name in nic.attributes:
        return nic.attributes[name], (*nic_key(nic), name)
    if pf is None or pf not in draft.pfs:
        return None
    return draft.source(pf, nic.vf.index if nic.vf else -1, name)


def _pfs_of(desired: Desired, nic: DesiredNic) -> list[str | None]:
    """The PFs that the NIC's VF can be of."""
    if nic.vf is not None:
        return [nic.vf.pf]
    if nic.pf:
        return list(nic.pf)
    pool = desired.pools.get(nic.pool or "")
    if pool is None:
        return [None]
    return [pool.pf] if pool.pf else list(dict.fromkeys(ref.pf for ref in pool.vfs))


def _written(value: AttributeValue) -> str:
    return '"none"' if value == ZERO_MAC else show(value)
