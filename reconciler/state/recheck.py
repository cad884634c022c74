"""The rules of a state file for a `Desired` that came out of a document: written as a file again, it is built like one.

So a plan that was changed by hand can declare nothing that a state file could not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from reconciler.diagnostics import Diagnostic
from reconciler.state.address import address
from reconciler.state.desired import ZERO_MAC, Attributes, Desired, DesiredNic, DesiredPf, DesiredPool, DesiredVf
from reconciler.state.findings import Findings
from reconciler.state.load import build
from reconciler.state.positions import Path, Position
from reconciler.state.shape import check_schema, check_shape

Table = dict[str, Any]


def errors_of(desired: Desired) -> list[Diagnostic]:
    """Every rule of the state file that it breaks. The lines in their details are those of the file that it was once
    made from."""
    raw = _file(desired)
    findings = Findings("", dict(_positions(raw, (), desired.lines, 0)))
    if not check_schema(raw, findings):
        return findings.errors
    again = build(check_shape(raw, findings), findings)
    return findings.errors or list(_otherwise(desired, again))


def _otherwise(desired: Desired, again: Desired) -> Iterator[Diagnostic]:
    """What no state file comes out as: another spelling of a value, a thing under another name than its own."""
    if replace(desired, lines={}) == replace(again, lines={}):
        return
    tables: tuple[tuple[str, Mapping[str, Any], Mapping[str, Any]], ...] = (
        ("pf", desired.pfs, again.pfs),
        ("pool", desired.pools, again.pools),
        ("domain", desired.domains, again.domains),
        ("services", desired.services, again.services),
        ("hugepages", desired.hugepages, again.hugepages),
    )
    named = [(address(kind, name), item, new.get(name)) for kind, old, new in tables for name, item in old.items()]
    wrong = [where for where, item, other in named if item != other]
    for where in wrong or ["modules.blacklist"]:
        yield Diagnostic(
            severity="error",
            code="not-normalised",
            summary="It is not written as a plan writes it.",
            detail="A value has another spelling, or a name within it is not its own.",
            address=where,
        )


def _positions(value: Any, path: Path, lines: dict[str, int], line: int) -> Iterator[tuple[Path, Position]]:
    """A place for each key path: the line that the document tells of it or of what is around it."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        here = (*path, key)
        at = line if isinstance(key, int) else lines.get(address(*here), line)
        yield here, Position(at, 1)
        yield from _positions(item, here, lines, at)


# ---------------------------------------------------------------------------- as a file would say it


def _file(desired: Desired) -> Table:
    return _said(
        schema=desired.schema,
        host=_said(name=desired.host_name) or None,
        policy={
            "disruption": desired.policy.disruption,
            "max_vfs_per_domain": desired.policy.max_vfs_per_domain,
        },
        kernel=None if desired.cmdline is None else {"cmdline": list(desired.cmdline)},
        modules=_said(
            blacklist=None if desired.blacklist is None else list(desired.blacklist),
            load=None if desired.load is None else list(desired.load),
        )
        or None,
        services=dict(desired.services) or None,
        hugepages=dict(desired.hugepages) or None,
        pf={name: _pf(pf) for name, pf in desired.pfs.items()},
        pool={name: _pool(pool) for name, pool in desired.pools.items()},
        domain={
            name: _said(
                optional=domain.optional,
                root_ports=domain.root_ports,
                nic={key: _nic(nic) for key, nic in domain.nics.items()},
            )
            for name, domain in desired.domains.items()
        },
    )


def _said(**items: Any) -> Table:
    return {key: item for key, item in items.items() if item is not None}


def _attributes(attributes: Attributes) -> Table:
    return {name: "none" if (name, value) == ("mac", ZERO_MAC) else value for name, value in attributes.items()}


def _pf(pf: DesiredPf) -> Table:
    match = pf.match
    return _said(
        match=_said(name=match.name, address=match.address, mac=match.mac, vendor=match.vendor, device=match.device),
        link=pf.link,
        mtu=pf.mtu,
        vfs=pf.vfs,
        vf_driver=pf.vf_driver,
        optional=pf.optional,
        host_network=pf.host_network,
        vf_defaults=_attributes(pf.vf_defaults),
        vf={str(index): _vf(vf) for index, vf in pf.vf.items()},
    )


def _vf(vf: DesiredVf) -> Table:
    return {**_attributes(vf.attributes), **_said(driver=vf.driver)}


def _pool(pool: DesiredPool) -> Table:
    vfs = [f"{ref.pf}/{ref.index}" for ref in pool.vfs]
    return _said(state=pool.state, pf=pool.pf, vfs=vfs or None, autostart=pool.autostart)


def _nic(nic: DesiredNic) -> Table:
    told = _said(
        state=nic.state,
        method=None if nic.method == "pool" and nic.pool is not None else nic.method,
        pool=nic.pool,
        vf=None if nic.vf is None else f"{nic.vf.pf}/{nic.vf.index}",
        pf=(nic.pf[0] if len(nic.pf) == 1 else list(nic.pf)) or None,
        spread=nic.spread or None,
        failover=None if nic.failover is None else {"bridge": nic.failover.bridge},
    )
    return {**_attributes(nic.attributes), **told}
