"""Rules on the whole file: who has which VF, which MAC, and whether what is said of them fits together."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.state.address import address
from reconciler.state.desired import ZERO_MAC, Desired
from reconciler.state.draft import Draft, nic_key, present_nics, present_pools
from reconciler.state.positions import Path
from reconciler.state.refs import format_indexes
from reconciler.state.rules_attributes import check_attributes


def check_rules(draft: Draft, desired: Desired) -> None:
    """All rules that need more than one table of the file."""
    _check_use(draft, desired)
    _check_macs(draft, desired)
    _check_counts(draft, desired)
    check_attributes(draft, desired)


# ---------------------------------------------------------------------------- a VF has one user


def _check_use(draft: Draft, desired: Desired) -> None:
    """Rule 4: a VF is given to at most one NIC, is in at most one pool, and is never both."""
    whole: dict[str, list[Path]] = {}
    users: dict[tuple[str, int], list[Path]] = {}
    for pool in present_pools(desired):
        if pool.pf is not None:
            whole.setdefault(pool.pf, []).append(("pool", pool.name, "pf"))
            continue
        for entry in draft.pool_entries[pool.name]:
            for index in entry.indexes:
                users.setdefault((entry.pf, index), []).append(entry.key)
    for nic in present_nics(desired):
        if nic.vf is not None:
            users.setdefault((nic.vf.pf, nic.vf.index), []).append((*nic_key(nic), "vf"))

    clashes: dict[tuple[Path, Path], list[tuple[str, int]]] = {}
    for (pf, index), keys in users.items():
        keys = sorted([*whole.get(pf, [])[:1], *keys], key=draft.findings.place)
        for key in keys[1:]:
            clashes.setdefault((key, keys[0]), []).append((pf, index))
    for (key, first), vfs in clashes.items():
        named = f"{vfs[0][0]}/{format_indexes(index for _, index in vfs)}"
        _report_clash(draft, key, first, named)
    for pf, keys in whole.items():
        for key in sorted(keys, key=draft.findings.place)[1:]:
            _report_clash(draft, key, min(keys, key=draft.findings.place), f"every VF of {pf}")


def _report_clash(draft: Draft, key: Path, first: Path, named: str) -> None:
    other = address(*first[:4]) if first[0] == "domain" else address(*first[:2])
    line = draft.findings.line(first)
    detail = f"{named} already belongs to {other} (line {line}); a VF has one NIC or one pool."
    draft.findings.error(key, "vf-used-twice", detail)


# ---------------------------------------------------------------------------- a MAC has one owner


def _check_macs(draft: Draft, desired: Desired) -> None:
    """A MAC stands once in the file, or on a VF and on the NIC that uses it."""
    owners: dict[str, tuple[Path, object]] = {}
    uses = sorted(_mac_uses(draft, desired), key=lambda use: draft.findings.place(use[0]))
    for key, mac, owner in uses:
        first, first_owner = owners.setdefault(mac, (key, owner))
        if owner != first_owner:
            line = draft.findings.line(first)
            other = address(*first[:-2] if first[-2] == "match" else first[:-1])
            draft.findings.error(key, "repeated-mac", f"{mac} is that of {other} (line {line}) too.")


def _mac_uses(draft: Draft, desired: Desired) -> Iterator[tuple[Path, str, object]]:
    """Where a MAC stands, the MAC, and what it belongs to."""
    for name, pf in desired.pfs.items():
        if pf.match.mac is not None:
            yield ("pf", name, "match", "mac"), pf.match.mac, ("pf", name)
        for index, vf in pf.vf.items():
            mac = vf.attributes.get("mac", ZERO_MAC)
            if mac != ZERO_MAC:
                yield draft.places[address("pf", name, "vf", index, "mac")], str(mac), (name, index)
    for nic in present_nics(desired):
        mac = nic.attributes.get("mac", ZERO_MAC)
        if mac != ZERO_MAC:
            owner = (nic.vf.pf, nic.vf.index) if nic.vf else nic_key(nic)
            yield (*nic_key(nic), "mac"), str(mac), owner


# ---------------------------------------------------------------------------- how many


def _check_counts(draft: Draft, desired: Desired) -> None:
    limit = desired.policy.max_vfs_per_domain
    for domain in desired.domains.values():
        count = sum(nic.state == "present" for nic in domain.nics.values())
        if count > limit:
            detail = f"It has {count} NICs, and policy.max_vfs_per_domain is {limit}."
            draft.findings.error(("domain", domain.name), "too-many-nics", detail)
