"""What a state file means on one observed host: which PF, which VF for which NIC, what each VF is to be.

Made once per plan (`reconciler.kinds.resolve`), from what was observed; comparing and planning then use it on the
observed and on the predicted host alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.diagnostics import Diagnostic, Severity
from reconciler.host.model import Pf, Snapshot
from reconciler.kinds.holders import Holders, VfId, predicted_address, vfs_by_address
from reconciler.kinds.nic.intent import NicIntent
from reconciler.state.desired import Attributes, AttributeValue, Desired, DesiredPf, VfDriver, VfRef


@dataclass(frozen=True, slots=True)
class Intent:
    """A declared VF attribute and the address that declares it."""

    value: AttributeValue
    address: str


@dataclass(slots=True)
class Resolution:
    """What the file means on this host."""

    desired: Desired
    pfs: dict[str, str]
    """PF identity by logical name; PFs that aren't there are left out."""
    holders: Holders
    nics: list[NicIntent] = field(default_factory=list)
    by_vf: dict[VfId, NicIntent] = field(default_factory=dict)
    """NICs by the VF that they are bound to."""
    intents: dict[VfId, dict[str, Intent]] = field(default_factory=dict)
    """Declared attributes of each VF, by its own table and by the NIC that it is bound to by name; see `intents_on`."""
    diagnostics: list[Diagnostic] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    """Address of what can't be planned, and the address of what it lacks."""
    unobserved: list[str] = field(default_factory=list)

    def pf_name(self, identity: str) -> str:
        """The logical name of a PF; its identity if the file doesn't have it."""
        return next((name for name, found in self.pfs.items() if found == identity), identity)

    def vf_id(self, ref: VfRef) -> VfId | None:
        """Identity of a VF by reference; ``None`` if its PF isn't there."""
        identity = self.pfs.get(ref.pf)
        return None if identity is None else (identity, ref.index)

    def nic_of(self, vf: VfId) -> NicIntent | None:
        """The declared NIC that is bound to this VF."""
        return self.by_vf.get(vf)

    def finding(
        self, severity: Severity, code: str, summary: str, detail: str, where: str, name: str = ""
    ) -> Diagnostic:
        """A diagnostic of an address, with the source line of its field ``name`` or else its own."""
        line = self.desired.line(where, name)
        return Diagnostic(severity=severity, code=code, summary=summary, detail=detail, address=where, line=line)


def vf_count(pf: DesiredPf, observed: Pf) -> int:
    """How many VFs there will be: as declared, else as they are."""
    return pf.vfs if pf.vfs is not None else len(observed.vfs)


def vf_driver(pf: DesiredPf, index: int) -> VfDriver | None:
    """What a VF is to be bound to while no guest has it; ``None``: not declared."""
    own = pf.vf.get(index)
    return own.driver if own is not None and own.driver is not None else pf.vf_driver


def vf_attributes(pf: DesiredPf, index: int) -> Attributes:
    """What the PF's tables say of one VF: ``vf_defaults`` under ``vf.N``."""
    own = pf.vf.get(index)
    return {**pf.vf_defaults, **own.attributes} if own is not None else pf.vf_defaults


def intents_on(resolution: Resolution, host: Snapshot) -> dict[VfId, dict[str, Intent]]:
    """Declared attributes of each VF, with those of NICs from a pool: libvirt chooses their VF when it attaches them,
    so on another view of the host it may be another one."""
    pooled = [nic for nic in resolution.nics if nic.pool is not None and nic.nic.state == "present"]
    if not pooled:
        return resolution.intents
    intents = {vf: dict(fields) for vf, fields in resolution.intents.items()}
    addresses = vfs_by_address(host)
    for nic in pooled:
        live, _ = nic.find(host)
        vf = addresses.get((live.vf_address if live else None) or "")
        if vf is not None:
            overlay(intents, vf, nic)
    return intents


def overlay(intents: dict[VfId, dict[str, Intent]], vf: VfId, nic: NicIntent) -> None:
    """Puts what a NIC declares over what its VF's own tables say."""
    if nic.nic.attributes:
        own = intents.setdefault(vf, {})
        for key, value in nic.nic.attributes.items():
            own[key] = Intent(value, nic.address)


def vfs_at(resolution: Resolution, host: Snapshot) -> dict[str, VfId]:
    """VFs of the declared PFs by PCI address, also those that are only predicted."""
    return {
        found: (identity, index)
        for name, identity in resolution.pfs.items()
        if (pf := host.pfs.get(identity)) is not None
        for index in range(vf_count(resolution.desired.pfs[name], pf))
        if (found := predicted_address(pf, index)) is not None
    }


def references(resolution: Resolution, host: Snapshot) -> dict[str | None, str]:
    """How the file would name each VF (``int/3``), by PCI address."""
    found: dict[str | None, str] = {}
    for name, identity in resolution.pfs.items():
        pf = host.pfs.get(identity)
        for vf in pf.vfs if pf is not None else []:  # Also those that the file doesn't declare any more.
            found[vf.address] = f"{name}/{vf.index}"
    names = {identity: name for name, identity in resolution.pfs.items()}
    return found | {where: f"{names[vf[0]]}/{vf[1]}" for where, vf in vfs_at(resolution, host).items()}
