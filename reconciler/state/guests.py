"""Pools, domains and NICs: from the tables of the file to what is declared of each."""

from __future__ import annotations

from reconciler.state.address import address
from reconciler.state.desired import ZERO_MAC, DesiredDomain, DesiredNic, DesiredPool, Failover, Method, VfRef
from reconciler.state.draft import Draft, PoolEntry
from reconciler.state.positions import Path
from reconciler.state.refs import format_indexes, is_single
from reconciler.state.spec import DomainSpec, NicSpec, PoolSpec
from reconciler.state.values import check_bridge, check_libvirt_name, check_nic_key

_SOURCES = ("pool", "vf", "pf")


def build_pools(draft: Draft, specs: dict[str, PoolSpec]) -> dict[str, DesiredPool]:
    """Pools by name, with their references read. Fills ``draft.pool_entries``."""
    return {name: _build_pool(draft, name, spec) for name, spec in specs.items()}


def build_domains(
    draft: Draft, specs: dict[str, DomainSpec], pools: dict[str, DesiredPool]
) -> dict[str, DesiredDomain]:
    """Domains by name, with their NICs."""
    domains = {}
    for name, spec in specs.items():
        check_libvirt_name(draft.findings, ("domain", name), name)
        nics = {key: _build_nic(draft, name, key, nic, pools) for key, nic in (spec.nic or {}).items()}
        domains[name] = DesiredDomain(name=name, optional=bool(spec.optional), root_ports=spec.root_ports, nics=nics)
    return domains


# ---------------------------------------------------------------------------- pools


def _build_pool(draft: Draft, name: str, spec: PoolSpec) -> DesiredPool:
    key: Path = ("pool", name)
    check_libvirt_name(draft.findings, key, name)
    state = spec.state or "present"
    entries = _read_entries(draft, (*key, "vfs"), spec.vfs or [], bounded=state == "present")
    draft.pool_entries[name] = entries
    pf = spec.pf
    if pf is not None and not draft.declared((*key, "pf"), "pf", pf):
        pf = None
    _check_source(draft, key, spec, state == "absent")
    vfs = tuple(VfRef(pf=entry.pf, index=index) for entry in entries for index in entry.indexes)
    return DesiredPool(name=name, state=state, pf=pf, vfs=vfs, autostart=spec.autostart)


def _read_entries(draft: Draft, key: Path, texts: list[str], *, bounded: bool) -> list[PoolEntry]:
    """Lists mean sets: a VF that is named twice is worth a word, and no error."""
    entries = []
    seen: set[tuple[str, int]] = set()
    for number, text in enumerate(texts):
        found = draft.vfs((*key, number), text, bounded=bounded)
        if found is None:
            continue
        pf, indexes = found
        twice = [index for index in indexes if (pf, index) in seen]
        if twice:
            detail = f"{pf}/{format_indexes(twice)} is named twice in vfs; once is enough."
            draft.findings.warning((*key, number), "repeated-entry", detail)
        fresh = tuple(index for index in indexes if (pf, index) not in seen)
        seen.update((pf, index) for index in indexes)
        entries.append(PoolEntry((*key, number), pf, fresh))
    return entries


def _check_source(draft: Draft, key: Path, spec: PoolSpec, absent: bool) -> None:
    findings = draft.findings
    has_pf, has_vfs = findings.said((*key, "pf")), findings.said((*key, "vfs"))
    hint = 'or state = "absent" to remove the pool'
    if has_pf and has_vfs:
        findings.error(key, "pool-source", "It names both: keep pf (all VFs of the PF) or vfs (those listed).")
    elif absent:
        return
    elif not has_pf and not has_vfs:
        findings.error(key, "pool-source", f'Write pf = "NAME" (all its VFs) or vfs = ["NAME/8-62"], {hint}.')
    elif spec.vfs == []:
        findings.error((*key, "vfs"), "empty-pool", f"vfs = [] leaves nothing to give: name VFs, {hint}.")
    elif spec.pf in draft.pfs and draft.pfs[spec.pf].vfs == 0:
        line = findings.line(("pf", spec.pf, "vfs"))
        detail = f"{address('pf', spec.pf)} has vfs = 0 (line {line}): give it VFs, {hint}."
        findings.error((*key, "pf"), "empty-pool", detail)


# ---------------------------------------------------------------------------- NICs


def _build_nic(draft: Draft, domain: str, name: str, spec: NicSpec, pools: dict[str, DesiredPool]) -> DesiredNic:
    key: Path = ("domain", domain, "nic", name)
    check_nic_key(draft.findings, key, name)
    state = spec.state or "present"
    _check_nic_source(draft, key, state == "absent")
    vf = _read_vf(draft, (*key, "vf"), spec.vf, bounded=state == "present")
    method: Method = "pool" if spec.pool is not None else spec.method or "interface"
    if spec.pool is not None and draft.findings.said((*key, "method")):
        detail = "Take the method away, or name a vf or pf instead of the pool."
        draft.findings.error((*key, "method"), "method-with-pool", detail)
    return DesiredNic(
        domain=domain,
        key=name,
        state=state,
        method=method,
        pool=_read_pool(draft, key, spec.pool, state == "absent", pools),
        vf=vf,
        pf=_read_pfs(draft, key, spec),
        spread=bool(spec.spread),
        failover=_read_failover(draft, key, spec, vf),
        attributes=draft.attributes(key, spec),
    )


def _read_failover(draft: Draft, key: Path, spec: NicSpec, vf: VfRef | None) -> Failover | None:
    """With a plain <hostdev> libvirt sets no MAC, and both NICs have to have the same: its own, or that of ``vf``."""
    findings, where = draft.findings, (*key, "failover")
    if spec.failover is None:
        return None
    if spec.failover.bridge is None:
        if not findings.said((*where, "bridge")):
            findings.error(where, "failover-bridge", 'Name the bridge of the host: failover = { bridge = "br0" }.')
        return None
    if spec.method == "hostdev" and spec.pool is None and not _has_mac(draft, spec, vf):
        detail = 'With method = "hostdev" libvirt sets no MAC, and both NICs of the pair need the same: declare mac.'
        findings.error(where, "failover-needs-mac", detail)
    return Failover(bridge=spec.failover.bridge) if check_bridge(findings, where, spec.failover.bridge) else None


def _has_mac(draft: Draft, spec: NicSpec, vf: VfRef | None) -> bool:
    if spec.mac is not None:
        return spec.mac != "none"
    told = draft.source(vf.pf, vf.index, "mac") if vf is not None and vf.pf in draft.pfs else None
    return told is not None and told[0] != ZERO_MAC


def _read_pfs(draft: Draft, key: Path, spec: NicSpec) -> tuple[str, ...]:
    findings, named = draft.findings, spec.pf or []
    if spec.pf == []:
        findings.error((*key, "pf"), "nic-source", "pf = [] leaves nothing to pick from: name a PF.")
    for number, name in enumerate(named):
        if name in named[:number]:
            detail = f'"{name}" is named twice in pf; once is enough.'
            findings.warning((*key, "pf"), "repeated-entry", detail)
    if spec.spread and len(set(named)) < 2:
        detail = 'spread = true takes a list of PFs to spread over: pf = ["int", "ext"].'
        findings.error((*key, "spread"), "spread-without-list", detail)
    declared = [name for name in dict.fromkeys(named) if draft.declared((*key, "pf"), "pf", name)]
    return tuple(declared)


def _check_nic_source(draft: Draft, key: Path, absent: bool) -> None:
    given = [name for name in _SOURCES if draft.findings.said((*key, name))]
    if len(given) > 1:
        draft.findings.error(key, "nic-source", f"It names {' and '.join(given)}: keep one of them.")
    elif not given and not absent:
        detail = 'Write pool = "NAME", vf = "PF/INDEX" or pf = "NAME", or state = "absent" to detach it.'
        draft.findings.error(key, "nic-source", detail)


def _read_pool(draft: Draft, key: Path, name: str | None, absent: bool, pools: dict[str, DesiredPool]) -> str | None:
    if name is None or not draft.declared((*key, "pool"), "pool", name):
        return None
    if name in pools and pools[name].state == "absent" and not absent:
        line = draft.findings.line(("pool", name, "state"))
        detail = f"{address('pool', name)} (line {line}) is to be removed, so no NIC can come from it."
        draft.findings.error((*key, "pool"), "absent-pool", detail)
    return name


def _read_vf(draft: Draft, key: Path, text: str | None, *, bounded: bool) -> VfRef | None:
    if text is None:
        return None
    found = draft.vfs(key, text, bounded=bounded)
    if found is None:
        return None
    pf, indexes = found
    if not is_single(text.partition("/")[2]):
        detail = f'"{text}" is a range or list; a NIC has exactly one VF, such as "{pf}/{indexes[0]}".'
        draft.findings.error(key, "invalid-reference", detail)
        return None
    return VfRef(pf=pf, index=indexes[0])
