"""Which PF of the host a ``match`` of the state file means: exactly one, else the candidates are listed."""

from __future__ import annotations

from reconciler.diagnostics import Diagnostic
from reconciler.host.model import Pf, Snapshot
from reconciler.state.address import address
from reconciler.state.desired import Desired, DesiredPf, PfMatch


def match_pfs(desired: Desired, host: Snapshot) -> tuple[dict[str, str], list[Diagnostic]]:
    """Identities by logical name, of the PFs that were found, and an error (a note if it is optional) for each
    other."""
    found: dict[str, str] = {}
    diagnostics: list[Diagnostic] = []
    taken: dict[str, str] = {}
    for name, pf in desired.pfs.items():
        candidates = [item for item in host.pfs.values() if _fits(pf.match, item)]
        if len(candidates) == 1 and candidates[0].id not in taken:
            found[name] = candidates[0].id
            taken[candidates[0].id] = name
        else:
            diagnostics.append(_not_one(desired, pf, candidates, host, taken))
    return found, diagnostics


def _fits(match: PfMatch, pf: Pf) -> bool:
    return (
        (match.name is None or match.name == pf.netdev or match.name in pf.altnames)
        and (match.address is None or match.address == pf.device)
        and (match.mac is None or match.mac == pf.mac)
        and (match.vendor is None or match.vendor == pf.vendor)
        and (match.device is None or match.device == pf.device_id)
    )


def _not_one(
    desired: Desired, pf: DesiredPf, candidates: list[Pf], host: Snapshot, taken: dict[str, str]
) -> Diagnostic:
    where = address("pf", pf.name)
    wanted = ", ".join(
        f"{key} = {value}"
        for key in ("name", "address", "mac", "vendor", "device")
        if (value := getattr(pf.match, key)) is not None
    )
    if len(candidates) == 1:
        other = address("pf", taken[candidates[0].id])
        return Diagnostic(
            severity="error",
            code="pf-matched-twice",
            summary="Two PFs of the state file match the same card.",
            detail=f"{where} ({wanted}) and {other} both match {_name(candidates[0])}. Make one match differ.",
            address=where,
            line=desired.line(where, "match"),
        )
    if candidates:
        return Diagnostic(
            severity="error",
            code="pf-ambiguous",
            summary="More than one PF matches.",
            detail=f"{wanted} matches {', '.join(_name(c) for c in candidates)}. Add what tells them apart, "
            'for example match = { address = "…" }.',
            address=where,
            line=desired.line(where, "match"),
        )
    seen = ", ".join(_name(item) for item in host.pfs.values()) or "none at all"
    return Diagnostic(
        severity="note" if pf.optional else "error",
        code="pf-optional-missing" if pf.optional else "pf-not-found",
        summary="An optional PF is missing." if pf.optional else "No PF matches.",
        detail=f"Nothing on this host matches {wanted}. PFs here: {seen}."
        + (" What depends on it is left out." if pf.optional else ""),
        address=where,
        line=desired.line(where, "match"),
    )


def _name(pf: Pf) -> str:
    return f"{pf.netdev} ({pf.device})"
