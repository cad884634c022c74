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
    _check_pools(resolution, host)
    resolve_nics(resolution, host)
    resolution.by_vf = {nic.vf: nic for nic in resolution.nics if nic.vf is not None and nic.nic.state == "present"}
    _collect_intents(resolution, host)
    return resolution


def _check_libvirt(resolution: Resolution, host: Snapshot) -> None:
    desired = resolution.desired
    if host.libvirt.available:
        return
    declared = [address("pool", name) for name in desired.pools]
    declared += [address("domain", name) for name in desired.domains]
    resolution.unobserved += declared
    resolution.diagnostics += [
        Diagnostic(
            severity="error",
            code="libvirt-unavailable",
            summary="libvirt could not be asked.",
            detail=f"{host.libvirt.reason} Nothing is known of {where}, nor of the guests that hold VFs.",
            address=where,
            line=desired.line(where),
        )
        for where in declared
    ]


def _check_pools(resolution: Resolution, host: Snapshot) -> None:
    """A network of a pool's name that is no pool is somebody else's; and libvirt gives out PCI devices only."""
    for pool in resolution.desired.pools.values():
        where = address("pool", pool.name)
        network = host.libvirt.networks.get(pool.name)
        names = {pool.pf, *(ref.pf for ref in pool.vfs)} & set(resolution.pfs)
        other = sorted(n for n in names if n is not None and host.pfs[resolution.pfs[n]].bus != "pci")
        if network is not None and network.mode != "hostdev":
            code, summary = "pool-name-taken", "A libvirt network of this name is not a pool."
            detail = (
                f"The network {pool.name!r} has forward mode {network.mode or 'none'} and would be replaced. Choose "
                "another name, or undefine it by hand."
            )
        elif other and pool.state == "present":
            code, summary = "not-a-pci-device", "A VF that is no PCI device can't be given to a guest."
            detail = f"The VFs of {address('pf', other[0])} are not on the PCI bus. Take them out of the pool."
        else:
            continue
        resolution.left_out[where] = where
        resolution.diagnostics.append(
            Diagnostic(
                severity="error",
                code=code,
                summary=summary,
                detail=detail,
                address=where,
                line=resolution.desired.line(where),
            )
        )


def _collect_intents(resolution: Resolution, host: Snapshot) -> None:
    for name, identity in resolution.pfs.items():
        pf = resolution.desired.pfs[name]
        count, prefix = vf_count(pf, host.pfs[identity]), address("pf", name, "vf")
        for index in range(count):
            values = vf_attributes(pf, index)
            if values:
                where = f"{prefix}.{index}"
                resolution.intents[identity, index] = {key: Intent(value, where) for key, value in values.items()}
        _check_indices(resolution, pf, count)
    for nic in resolution.nics:
        if nic.vf is not None and nic.nic.state == "present":
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
