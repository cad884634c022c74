"""PFs and their VFs: from the tables of the file to what is declared of each single VF."""

from __future__ import annotations

from reconciler.state.address import address
from reconciler.state.desired import DesiredPf, DesiredVf, PfMatch
from reconciler.state.draft import Draft
from reconciler.state.positions import Path
from reconciler.state.refs import format_indexes, is_single
from reconciler.state.spec import MatchSpec, PfSpec, VfSpec
from reconciler.state.values import check_netdev, check_pf_name, read_mac, read_pci_address, read_pci_id


def build_pfs(draft: Draft, specs: dict[str, PfSpec]) -> None:
    """Fills ``draft.pfs``."""
    for name, spec in specs.items():
        draft.pfs[name] = _build_pf(draft, name, spec)
    for pf in draft.pfs.values():
        _check_indexes(draft, pf)
    _check_matches(draft)


def _build_pf(draft: Draft, name: str, spec: PfSpec) -> DesiredPf:
    key: Path = ("pf", name)
    check_pf_name(draft.findings, key, name)
    defaults = draft.attributes((*key, "vf_defaults"), spec.vf_defaults) if spec.vf_defaults else {}
    return DesiredPf(
        name=name,
        match=_build_match(draft, (*key, "match"), spec.match),
        link=spec.link,
        mtu=spec.mtu,
        vfs=spec.vfs,
        vf_driver=spec.vf_driver,
        optional=bool(spec.optional),
        host_network=spec.host_network,
        vf_defaults=defaults,
        vf=_build_vfs(draft, name, spec.vf or {}),
    )


# ---------------------------------------------------------------------------- match


def _build_match(draft: Draft, key: Path, spec: MatchSpec | None) -> PfMatch:
    findings = draft.findings
    if spec is None or not findings.has_content(key):
        if spec is not None or not findings.said(key):
            detail = 'Write match = { name = "…" }, or address, mac, or vendor and device.'
            findings.error(key, "missing-match", detail)
        return PfMatch()
    if findings.said((*key, "device")) and not findings.said((*key, "vendor")):
        detail = "A device id means something only with its vendor: add vendor."
        findings.error((*key, "device"), "incomplete-match", detail)
    name, pci, mac = spec.name, spec.address, spec.mac
    vendor, device = spec.vendor, spec.device
    if name is not None and not check_netdev(findings, (*key, "name"), name):
        name = None
    return PfMatch(
        name=name,
        address=None if pci is None else read_pci_address(findings, (*key, "address"), pci),
        mac=None if mac is None else read_mac(findings, (*key, "mac"), mac, none=False),
        vendor=None if vendor is None else read_pci_id(findings, (*key, "vendor"), vendor),
        device=None if device is None else read_pci_id(findings, (*key, "device"), device),
    )


def _check_matches(draft: Draft) -> None:
    first: dict[PfMatch, str] = {}
    for name, pf in draft.pfs.items():
        if pf.match == PfMatch():
            continue
        other = first.setdefault(pf.match, name)
        if other != name:
            line = draft.findings.line(("pf", other, "match"))
            detail = f"{address('pf', other)} (line {line}) has the same match."
            draft.findings.error(("pf", name, "match"), "repeated-match", detail)


# ---------------------------------------------------------------------------- VFs


def _build_vfs(draft: Draft, pf: str, specs: dict[str, VfSpec]) -> dict[int, DesiredVf]:
    """Ranges first, then single indexes, attribute by attribute: the later wins."""
    vfs: dict[int, DesiredVf] = {}
    ranges: dict[int, str] = {}
    base = address("pf", pf, "vf")
    for text in sorted(specs, key=is_single):
        key: Path = ("pf", pf, "vf", text)
        indexes = draft.indexes(key, text)
        if not is_single(text):
            _check_overlap(draft, key, indexes, ranges)
        spec = specs[text]
        attributes = draft.attributes(key, spec)
        if len(indexes) > 1 and draft.findings.said((*key, "mac")):
            detail = f"{text} names {len(indexes)} VFs: give each its own mac, in vf.N."
            draft.findings.error((*key, "mac"), "shared-mac", detail)
            attributes.pop("mac", None)
        for index in indexes:
            before = vfs.get(index) or DesiredVf(index=index)
            vfs[index] = DesiredVf(
                index=index,
                attributes={**before.attributes, **attributes},
                driver=spec.driver or before.driver,
            )
            where = f"{base}.{index}"
            draft.places[where] = key
            for name in sorted(spec.model_fields_set):
                draft.places[f"{where}.{name}"] = (*key, name)
    return dict(sorted(vfs.items()))


def _check_overlap(draft: Draft, key: Path, indexes: tuple[int, ...], ranges: dict[int, str]) -> None:
    """``ranges`` says which range has named an index so far."""
    shared: dict[str, list[int]] = {}
    for index in indexes:
        other = ranges.setdefault(index, str(key[-1]))
        if other != key[-1]:
            shared.setdefault(other, []).append(index)
    for other, both in shared.items():
        line = draft.findings.line((*key[:-1], other))
        detail = f'"{key[-1]}" and "{other}" (line {line}) both name VF {format_indexes(both)}.'
        draft.findings.error(key, "overlapping-ranges", detail)


def _check_indexes(draft: Draft, pf: DesiredPf) -> None:
    """One report per key of the file, however many VFs it names."""
    keys: dict[Path, list[int]] = {}
    for index in pf.vf:
        if pf.vfs is not None and index >= pf.vfs:
            key = draft.places[address("pf", pf.name, "vf", index)]
            keys.setdefault(key, []).append(index)
    for key, indexes in keys.items():
        draft.check_indexes(key, pf.name, tuple(indexes))
