"""What makes a plan impossible or doubtful on this host, found before anything is written."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.diagnostics import Diagnostic
from reconciler.drivers.table import DRIVERS, facts
from reconciler.host.model import Domain, Snapshot
from reconciler.kinds.field_state import FieldState
from reconciler.kinds.holders import Holder, VfId, predicted_address
from reconciler.kinds.modules.operations import kernel_name
from reconciler.kinds.nic.compare import must_move
from reconciler.kinds.nic.identity import sriov_nics
from reconciler.kinds.nic.intent import NicIntent
from reconciler.kinds.resolution import Resolution, vf_count, vf_driver
from reconciler.plan.checks_drivers import check_drivers
from reconciler.plan.checks_guests import check_guests
from reconciler.plan.checks_host import check_host
from reconciler.plan.checks_iommu import check_iommu
from reconciler.plan.checks_owners import check_owners
from reconciler.state.address import address


def check(resolution: Resolution, host: Snapshot) -> list[Diagnostic]:
    """All findings, errors and warnings."""
    return [
        *_counts(resolution, host),
        *check_drivers(resolution, host),
        *check_guests(resolution, host),
        *_taken(resolution, host),
        *_limits(resolution, host),
        *_downs(resolution, host),
        *_promised(resolution, host),
        *_modules(resolution, host),
        *check_host(resolution, host),
        *_driver_conflicts(resolution, host),
        *check_iommu(resolution, host),
        *check_owners(resolution, host),
    ]


def unknowns(resolution: Resolution, states: list[FieldState], host: Snapshot) -> list[Diagnostic]:
    """An error per thing that is declared and could not be observed."""
    seen: dict[str, list[str]] = {}
    for state in states:
        if state.status == "unknown" and state.address not in resolution.unobserved:
            seen.setdefault(state.address, []).append(state.field)
    why = " ".join(host.notes)
    return [
        Diagnostic(
            severity="error",
            code="not-observed",
            summary="Something that is declared could not be observed.",
            detail=f"{', '.join(fields)} of {where}: not known. {why}".strip(),
            address=where,
            line=resolution.desired.line(where),
        )
        for where, fields in seen.items()
        if not any(where.startswith(f"{item}.") for item in resolution.unobserved)
    ]


def _error(resolution: Resolution, code: str, summary: str, detail: str, where: str, field: str = "") -> Diagnostic:
    return Diagnostic(
        severity="error",
        code=code,
        summary=summary,
        detail=detail,
        address=where,
        line=resolution.desired.line(where, field),
    )


def _counts(resolution: Resolution, host: Snapshot) -> Iterator[Diagnostic]:
    for name, identity in resolution.pfs.items():
        desired, pf = resolution.desired.pfs[name], host.pfs[identity]
        if desired.vfs is not None and pf.total_vfs is not None and desired.vfs > pf.total_vfs:
            yield _error(
                resolution,
                "too-many-vfs",
                "The card has fewer VFs.",
                f"vfs = {desired.vfs}, and sriov_totalvfs of {pf.netdev} ({pf.device}) is {pf.total_vfs}. Declare at "
                "most that many, or raise the limit in the card's firmware where it has one.",
                address("pf", name),
                "vfs",
            )


def _taken(resolution: Resolution, host: Snapshot) -> Iterator[Diagnostic]:
    """A VF that a NIC names, and that another guest, or a process, has."""
    for nic in resolution.nics:
        if nic.vf is None or nic.nic.state == "absent":
            continue
        own = {(nic.domain.name, device.alias or device.mac or "") for device in (nic.live,) if device}
        others = [
            holder
            for holder in resolution.holders.get(nic.vf, [])
            if holder.kind in ("guest", "process") and (holder.who, holder.nic) not in own
        ]
        others = [h for h in others if not _leaves(resolution, host, nic, h)]
        if others:
            yield _error(
                resolution,
                "vf-in-use",
                "The VF of this NIC is in use.",
                f"VF {nic.vf[1]} of {nic.vf[0].partition('/')[2]} belongs to {others[0]}. Name another VF, or take it "
                "away from there first.",
                nic.address,
                "vf",
            )


def _leaves(resolution: Resolution, host: Snapshot, wants: NicIntent, holder: Holder) -> bool:
    """Whether the NIC that has the VF now is a declared one, which this very plan moves or removes."""
    return any(
        other.live is not None
        and other is not wants
        and other.domain.name == holder.who
        and holder.nic in (other.live.alias, other.live.mac)
        and (other.nic.state == "absent" or must_move(host, other, other.live))
        for other in resolution.nics
    )


def _promised(resolution: Resolution, host: Snapshot) -> Iterator[Diagnostic]:
    """A VF that a NIC names, and that another device of a definition names too: of this guest, where libvirt refuses
    it, or of another one that is off."""
    ours = {id(device) for nic in resolution.nics for device in (nic.live, nic.config) if device is not None}
    named: dict[str, list[Domain]] = {}
    for domain in host.libvirt.domains.values():
        foreign = (device.vf_address for device in domain.config if device.vf_address and id(device) not in ours)
        for found in dict.fromkeys(foreign):
            named.setdefault(found, []).append(domain)
    for nic in resolution.nics:
        where = _pci_address(host, nic.vf) if nic.nic.state == "present" else None
        for domain in named.get(where or "", []):
            same = domain.name == nic.domain.name
            if domain.running and not same:
                continue
            yield Diagnostic(
                severity="error" if same else "warning",
                code="vf-in-use" if same else "vf-promised-twice",
                summary="The VF of this NIC is in use." if same else "Another guest's definition names the same VF.",
                detail=f"The definition of {domain.name} has {where} in a device that this file does not declare. "
                + ("Take that out first, or" if same else "Whichever of the two guests starts second will not:")
                + " name another VF.",
                address=nic.address,
                line=resolution.desired.line(nic.address, "vf"),
            )


def _pci_address(host: Snapshot, vf: VfId | None) -> str | None:
    pf = host.pfs.get(vf[0]) if vf is not None else None
    return predicted_address(pf, vf[1]) if pf is not None and vf is not None else None


def _modules(resolution: Resolution, host: Snapshot) -> Iterator[Diagnostic]:
    """Only drivers of VFs are taken away from a running host: nothing that a PF, or something else, lives by."""
    drivers = {kernel_name(pf.driver) for pf in host.pfs.values() if pf.driver}
    vf_drivers = {known.vf_driver for known in DRIVERS.values()}
    vf_drivers |= {kernel_name(vf.driver) for pf in host.pfs.values() for vf in pf.vfs if vf.driver}
    for module in resolution.desired.blacklist or ():
        name = kernel_name(module)
        if name in drivers:
            whose = ", ".join(pf.netdev for pf in host.pfs.values() if kernel_name(pf.driver or "") == name)
            detail = f"{module} drives {whose}, which would be gone without it. List the driver of VFs."
        elif name in (host.modules.loaded or ()) and name not in vf_drivers:
            detail = f"{module} is loaded and drives no VF that is known here. Unload it by hand if that is meant."
        else:
            continue
        yield _error(
            resolution,
            "not-a-vf-driver",
            "A module that is no VF driver is not taken away.",
            detail,
            "modules.blacklist",
        )


def _limits(resolution: Resolution, host: Snapshot) -> Iterator[Diagnostic]:
    limit = resolution.desired.policy.max_vfs_per_domain
    by_domain: dict[str, list[NicIntent]] = {}
    for nic in resolution.nics:
        by_domain.setdefault(nic.domain.name, []).append(nic)
    for name, nics in by_domain.items():
        ours = [d for nic in nics for d in (nic.live, nic.config) if d is not None]
        foreign = [n for n in sriov_nics(host.libvirt.domains[name]) if not any(n is d for d in ours)]
        count = len(foreign) + sum(nic.nic.state == "present" for nic in nics)
        if count > limit:
            yield _error(
                resolution,
                "too-many-vfs-in-guest",
                "The guest would have more VFs than the policy allows.",
                f"{name} would have {count} VFs, {len(foreign)} of them not declared here; "
                f"policy.max_vfs_per_domain is {limit}.",
                address("domain", name),
            )


def _downs(resolution: Resolution, host: Snapshot) -> Iterator[Diagnostic]:
    """libvirt gives out a VF as an interface only while its PF is up (virNetDevSaveNetConfig): an attach to a running
    guest would be refused, and the start of one that is off."""
    for name, identity in resolution.pfs.items():
        desired, pf = resolution.desired.pfs[name], host.pfs[identity]
        if desired.link == "up" or (desired.link is None and pf.up is not False):
            continue
        users = [n for n in resolution.nics if n.vf is not None and n.vf[0] == identity and n.nic.method != "hostdev"]
        users = [n for n in users if n.nic.state == "present"]
        remade = desired.vfs is not None and desired.vfs != pf.num_vfs
        now = [n for n in users if n.domain.running and (remade or n.live is None or must_move(host, n, n.live))]
        for nic in now:
            yield _error(
                resolution,
                "pf-down",
                "libvirt gives out a VF only while its PF is up.",
                f"{nic.domain.name} runs and is to be given a VF of {pf.netdev}, which is down. Declare link = "
                f'"up" in {address("pf", name)}.',
                nic.address,
            )
        users = [n for n in users if n not in now]
        if users:
            yield Diagnostic(
                severity="warning",
                code="pf-down",
                summary="libvirt gives out a VF only while its PF is up.",
                detail=f"{pf.netdev} is down and {', '.join(n.address for n in users)} needs a VF of it. Declare "
                f'link = "up" in {address("pf", name)}.',
                address=address("pf", name),
                line=resolution.desired.line(address("pf", name)),
            )


def _driver_conflicts(resolution: Resolution, host: Snapshot) -> Iterator[Diagnostic]:
    """VFs that are to have the host's driver, which the blacklist keeps away."""
    blacklist = {kernel_name(module) for module in resolution.desired.blacklist or ()}
    for name, identity in resolution.pfs.items():
        desired, pf = resolution.desired.pfs[name], host.pfs[identity]
        driver = facts(pf.driver, pf.device_id).vf_driver
        wanting = [i for i in range(vf_count(desired, pf)) if vf_driver(desired, i) == "kernel"]
        if driver in blacklist and wanting:
            where = address("pf", name) if desired.vf_driver == "kernel" else address("pf", name, "vf", wanting[0])
            yield _error(
                resolution,
                "driver-blacklisted",
                "The file wants a driver and keeps it away.",
                f'{where} asks for the driver "kernel", which is {driver} on {pf.netdev}, and modules.blacklist lists '
                "it. Take one of the two out.",
                where,
            )
