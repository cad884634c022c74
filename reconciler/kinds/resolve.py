"""Makes a `Resolution`: the state file's names, resolved on one observed host."""

from __future__ import annotations

from reconciler.diagnostics import Diagnostic
from reconciler.host.model import Snapshot
from reconciler.kinds.holders import find_holders
from reconciler.kinds.match import match_pfs
from reconciler.kinds.nic.resolve import resolve_nics
from reconciler.kinds.resolution import Intent, Resolution, overlay, vf_attributes, vf_count
from reconciler.state.address import address
from reconciler.state.desired import Desired, DesiredPf


def resolve(desired: Desired, host: Snapshot) -> Resolution:
    """Resolves a state file on an observed host."""
    pfs, diagnostics = match_pfs(desired, host)
    resolution = Resolution(desired, pfs, find_holders(host), diagnostics=diagnostics)
    for name in desired.pfs:
        if name not in pfs:
            resolution.left_out[address("pf", name)] = address("pf", name)
    for pool in desired.pools.values():
        missing = {pool.pf, *(ref.pf for ref in pool.vfs)} - {None} - set(pfs)
        if missing:
            resolution.left_out[address("pool", pool.name)] = address("pf", sorted(map(str, missing))[0])
    _check_libvirt(resolution, host)
    resolve_nics(resolution, host)
    resolution.by_vf = {nic.vf: nic for nic in resolution.nics if nic.vf is not None}
    _collect_intents(resolution, host)
    return resolution


def _check_libvirt(resolution: Resolution, host: Snapshot) -> None:
    desired = resolution.desired
    if host.libvirt.available or not (desired.pools or desired.domains):
        return
    declared = [address("pool", name) for name in desired.pools]
    declared += [address("domain", name) for name in desired.domains]
    resolution.unobserved += declared
    resolution.diagnostics.append(
        Diagnostic(
            severity="error",
            code="libvirt-unavailable",
            summary="libvirt could not be asked.",
            detail=f"{host.libvirt.reason} Nothing is known of {', '.join(declared)}, nor of the guests that hold VFs.",
            address=declared[0],
            line=desired.line(declared[0]),
        )
    )


def _collect_intents(resolution: Resolution, host: Snapshot) -> None:
    for name, identity in resolution.pfs.items():
        pf = resolution.desired.pfs[name]
        count = vf_count(pf, host.pfs[identity])
        for index in range(count):
            values = vf_attributes(pf, index)
            if values:
                where = address("pf", name, "vf", index)
                resolution.intents[identity, index] = {key: Intent(value, where) for key, value in values.items()}
        _check_indices(resolution, pf, count)
    for nic in resolution.nics:
        if nic.vf is not None:
            overlay(resolution.intents, nic.vf, nic)


def _check_indices(resolution: Resolution, pf: DesiredPf, count: int) -> None:
    """Without ``vfs`` in the file, an index is checked against the host."""
    wrong = sorted(index for index in pf.vf if index >= count)
    if wrong and pf.vfs is None:
        where = address("pf", pf.name, "vf", wrong[0])
        resolution.diagnostics.append(
            Diagnostic(
                severity="error",
                code="vf-not-there",
                summary="A VF is declared that the PF doesn't have.",
                detail=f"{address('pf', pf.name)} declares no vfs and the host has {count} VFs there, so there is "
                f"no index {', '.join(map(str, wrong))}. Declare vfs, or take the entry out.",
                address=where,
                line=resolution.desired.line(where),
            )
        )
