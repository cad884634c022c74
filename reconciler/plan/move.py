"""Moving a shut-off guest to another host: what stands in its way, and the steps, as data.

At no step is the guest on neither side: its definition here goes when the one there has been read back, and not before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from reconciler.diagnostics import Diagnostic, Severity
from reconciler.drivers.defaults import defaults
from reconciler.drivers.table import facts
from reconciler.exit_codes import ExitCode
from reconciler.host.guests import Destination, MovingGuest, Who
from reconciler.host.model import Nic, Snapshot
from reconciler.kinds.holders import vfs_by_address
from reconciler.kinds.nic.identity import sriov_nics
from reconciler.plan.adopt import nics_elsewhere
from reconciler.plan.hygiene import differing
from reconciler.state.address import address
from reconciler.state.write import render_part

FORMAT = "reconciler-move/1"
StepId = Literal["strip", "define", "verify", "undefine", "autostart"]
_Finding = tuple[Severity, str, str, str]
_AT_DESTINATION = ("define", "verify", "autostart")


@dataclass(frozen=True, slots=True)
class Step:
    """One order to libvirt on one side, or a look."""

    id: StepId
    text: str

    @property
    def side(self) -> Literal["here", "there"]:
        """Where it is done."""
        return "there" if self.id in _AT_DESTINATION else "here"


@dataclass(slots=True)
class Move:
    """The plan of a move."""

    domain: str
    uuid: str
    source: str
    """URI."""
    destination: str
    """URI."""
    host: str
    """The destination's name; "" when it can't be asked."""
    findings: list[Diagnostic] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    taken_off: list[str] = field(default_factory=list)
    """NICs that name a VF of this host, in words."""
    pools: list[str] = field(default_factory=list)
    """Pools that NICs stay on."""
    toml: str = ""
    """What the destination's state file has to declare for the NICs that are taken off."""
    resets: list[str] = field(default_factory=list)
    """VFs (``enp1s0/3``) that keep attributes of this guest."""

    @property
    def code(self) -> ExitCode:
        """Whether it can be carried out: the destination can't take the guest (1), or something of it would be lost or
        disturbed (5)."""
        errors = [finding for finding in self.findings if finding.severity == "error"]
        if any(finding.code.startswith(("destination-", "nics-")) for finding in errors):
            return ExitCode.FAILED
        return ExitCode.REFUSED if errors else ExitCode.OK

    def document(self) -> dict[str, Any]:
        """As JSON data."""
        found = asdict(self)
        found["toml"] = self.toml.strip().splitlines()
        found["steps"] = [{"id": step.id, "side": step.side, "text": step.text} for step in self.steps]
        verdicts = {ExitCode.OK: "ready", ExitCode.FAILED: "blocked", ExitCode.REFUSED: "refused"}
        return {"format": FORMAT, "verdict": verdicts[self.code], **found}


def make_move(
    guest: MovingGuest,
    source: str,
    here: Who,
    destination: str,
    there: Destination | str,
    observed: Snapshot,
) -> Move:
    """Plans a move. ``there``: what the destination has, or why it can't be asked. ``observed``: the host that the
    guest is on, for what its VFs are like."""
    definition = guest.definition
    move = Move(
        definition.name,
        definition.uuid,
        source,
        destination,
        there.who.name if isinstance(there, Destination) else "",
        taken_off=[_told(observed, nic) for nic in guest.taken_off],
        pools=[name for name, is_pool in guest.networks.items() if is_pool],
    )
    where = address("domain", definition.name)
    found = [*_findings(guest, here, destination, there), *_of_what_is_printed(guest, observed)]
    move.findings = [
        Diagnostic(severity=severity, code=code, summary=summary, detail=detail, address=where)
        for severity, code, summary, detail in found
    ]
    move.steps = _steps(move, autostart=definition.autostart)
    domain = observed.libvirt.domains.get(definition.name)
    if guest.taken_off and domain is not None:
        nics = nics_elsewhere(observed, domain)
        move.toml = render_part({"domain": {definition.name: {"nic": nics}}}) if nics else ""
        move.resets = _resets(observed, guest.taken_off)
    return move


def _of_what_is_printed(guest: MovingGuest, observed: Snapshot) -> Iterator[_Finding]:
    """NICs that are taken off, and that nobody would be told how to declare."""
    name = guest.definition.name
    domain = observed.libvirt.domains.get(name)
    if guest.taken_off and domain is None:
        detail = f"What its VFs are like can't be read: {observed.libvirt.reason or 'it was not listed'}. Try again."
        yield "error", "nics-unknown", f"libvirt doesn't list {name}.", detail
        return
    known = {(nic.alias, nic.mac, nic.vf_address) for nic in sriov_nics(domain)} if domain is not None else set()
    lost = [nic for nic in guest.taken_off if (nic.alias, nic.mac, nic.vf_address) not in known]
    if lost:
        told = " and ".join(_told(observed, nic) for nic in lost)
        detail = f"Declare {told} on the destination by hand: it names no VF that is here."
        yield "warning", "nics-not-described", "NICs are taken off that can't be described.", detail


def _steps(move: Move, *, autostart: bool) -> list[Step]:
    where = move.host or move.destination
    steps = []
    if move.taken_off:
        steps.append(Step("strip", f"take {' and '.join(move.taken_off)} out of the definition of {move.domain} here"))
    steps += [
        Step("define", f"define {move.domain} on {where}, with the same UUID"),
        Step("verify", f"read the definition back from {where}, and compare it"),
        Step("undefine", f"undefine {move.domain} here"),
    ]
    if autostart:
        steps.append(Step("autostart", f"let {move.domain} start with {where}, as it did here"))
    return steps


def _told(host: Snapshot, nic: Nic) -> str:
    name = nic.alias or nic.mac or "its NIC"
    vf = vfs_by_address(host).get(nic.vf_address or "")
    if vf is None:
        return f"{name} (VF {nic.vf_address})"
    return f"{name} (VF {vf[1]} of {host.pfs[vf[0]].netdev})"


def _resets(host: Snapshot, nics: Sequence[Nic]) -> list[str]:
    """VFs whose attributes are not the driver's defaults: what this guest has left on them, or a file declares."""
    by_address = vfs_by_address(host)
    found = []
    for nic in nics:
        vf = by_address.get(nic.vf_address or "")
        pf = host.pfs[vf[0]] if vf is not None else None
        if vf is None or pf is None:
            continue
        if differing(pf, vf[1], defaults(facts(pf.driver, pf.device_id)), unreported=False):
            found.append(f"{pf.netdev}/{vf[1]}")
    return found


# ---------------------------------------------------------------------------- what stands in its way


def _findings(guest: MovingGuest, here: Who, uri: str, there: Destination | str) -> Iterator[_Finding]:
    yield from _of_its_state(guest, uri)
    yield from _of_its_disks(guest)
    if isinstance(there, str):
        yield "error", "destination-unreachable", "The destination can't be asked.", there
    else:
        yield from _of_the_destination(guest, here, there)


def _of_its_state(guest: MovingGuest, uri: str) -> Iterator[_Finding]:
    name = guest.definition.name
    if guest.definition.running:
        yield "error", "guest-runs", "The guest runs.", _live(guest, uri)
    if not guest.definition.persistent:
        detail = f"{name} is gone as soon as it is shut off: there is no definition that could be moved."
        yield "error", "guest-transient", "The guest is transient.", detail
    if guest.managed_save:
        detail = (
            f"The memory of {name} as it was saved would stay behind. Start it and shut it down, or give that up: "
            f"virsh managedsave-remove {name}."
        )
        yield "error", "managed-save", "There is a managed save image.", detail
    for kind, names in (("snapshot", guest.snapshots), ("checkpoint", guest.checkpoints)):
        if names:
            detail = f"{', '.join(names)} would not come along. Remove them first: virsh {kind}-delete {name} NAME."
            yield "error", f"{kind}s", f"The guest has {kind}s.", detail
    for state in guest.states:
        detail = f"{name} keeps {state} in a file of this host, which would not come along."
        yield "error", "own-state", "The guest has state in a file of this host.", detail
    for device in guest.devices:
        detail = f"{name} has {device}. Take it out of its definition first: virsh edit {name}."
        yield "error", "host-device", "The guest has a device of this host.", detail


def _live(guest: MovingGuest, uri: str) -> str:
    """What to do with one that runs."""
    name = guest.definition.name
    off = f"shut it down (virsh shutdown {name}), and move it then"
    live = f"virsh migrate --live --persistent --undefinesource {name} {uri}"
    if not guest.taken_off and not guest.lone:
        return f"{name} has no VF, so libvirt moves it while it runs: {live}. Or {off}."
    if not guest.lone:
        return (
            f"Each VF of {name} has a stand-in (failover), so libvirt moves it while it runs, and takes the VFs off "
            f"for that time: {live}. The destination needs VFs free at the same addresses, or pools of the same names; "
            f"otherwise {off}."
        )
    return (
        f"What fits is to {off}. libvirt moves no running guest with a VF, unless each has a stand-in: failover = "
        f'{{ bridge = "…" }}. {" and ".join(guest.lone)} of {name} {"has" if len(guest.lone) == 1 else "have"} none. '
        f"With it in the state file, and net_failover in the guest: {live}."
    )


def _of_its_disks(guest: MovingGuest) -> Iterator[_Finding]:
    name = guest.definition.name
    for disk in guest.disks:
        if not disk.shared:
            detail = (
                f"Disk {disk.name} of {name} is {disk.source}: {disk.where}. The guest would come without it. Put it "
                "on storage that both hosts have (NFS, Ceph, iSCSI by libvirt, …) under the same name."
            )
            yield "error", "disk-not-shared", "A disk is not on shared storage.", detail
    links = [f"{disk.source} (a link to {disk.leads_to})" for disk in guest.disks if disk.leads_to]
    if links:
        detail = f"{name} has {', '.join(links)}. The destination needs the link as well as what it leads to."
        yield "warning", "disk-links", "Disks are named by symbolic links.", detail
    if guest.unread:
        detail = (
            f"Disks of {name} may need more than is known: {', '.join(guest.unread)}. Look with qemu-img info "
            "--backing-chain whether the destination has all of it."
        )
        yield "warning", "disk-unread", "Not all files below a disk are known.", detail
    shared = [disk.source for disk in guest.disks if disk.shared]
    if shared:
        detail = f"The destination has to have {', '.join(shared)} at the same place. That is not looked at."
        yield "note", "shared-disks", "Disks stay where they are.", detail
    if guest.files:
        detail = f"{name} starts from {', '.join(guest.files)}. The destination needs the same at that place."
        yield "warning", "boot-files", "The guest starts from files of the host.", detail
    if guest.resources:
        detail = f"{name} has {', '.join(guest.resources)}. It only starts where the same are there."
        yield "warning", "host-resources", "The guest needs particular CPUs or memory.", detail
    if guest.needs:
        detail = f"{name} has {', '.join(guest.needs)}. It only starts where the same is there."
        yield "warning", "host-needs", "The guest names things of its host.", detail
    if guest.secrets:
        detail = f"Disks of {name} need {', '.join(guest.secrets)}: virsh secret-list on the destination."
        yield "warning", "secrets", "Disks need secrets of libvirt.", detail
    if guest.links:
        detail = f"{name} has NICs on {', '.join(guest.links)}. libvirt can't say whether the destination has the same."
        yield "warning", "host-links", "NICs need bridges or interfaces of the same name.", detail


def _machine(who: Who) -> str:
    """Without what tells a user's own libvirt from the system's."""
    return who.identity.partition(" qemu")[0]


def _of_the_destination(guest: MovingGuest, here: Who, there: Destination) -> Iterator[_Finding]:
    name, uuid, where = guest.definition.name, guest.definition.uuid, there.who.name
    if not there.who.identity or not here.identity:
        detail = "libvirt does not say the UUID of its host on both sides, so that they can't be told apart."
        yield "error", "destination-unknown", "It is not known which host the destination is.", detail
    elif _machine(there.who) == _machine(here):
        detail = (
            f"libvirt there has the same host UUID as here ({there.who.identity}): it is this host, or a copy of it. A "
            "copy gets a UUID of its own by host_uuid in libvirtd.conf or virtqemud.conf (uuidgen makes one)."
        )
        yield "error", "destination-is-here", "The destination is the host that the guest is on.", detail
    taken = there.names.get(name)
    owner = next((known for known, value in there.names.items() if value == uuid), None)
    if taken is not None and taken != uuid:
        detail = f"{where} has another guest of that name ({taken}). Rename one: virsh domrename."
        yield "error", "destination-name", "The name is taken on the destination.", detail
    if owner is not None:
        detail = (
            f"{where} has a guest with this UUID, {owner}. If it is what an earlier move has left, and nothing of it "
            f"is needed: virsh undefine {owner} there."
        )
        yield "error", "destination-uuid", "The guest is on the destination already.", detail
    for network, is_pool in guest.networks.items():
        found = there.networks.get(network)
        kind = "pool" if is_pool else "network"
        why = ""
        if found is None:
            why = f"{where} has no libvirt network {network}"
        elif is_pool and found.mode != "hostdev":
            why = f"the network {network} of {where} gives out no VFs (forward mode {found.mode or 'none'})"
        elif not found.active:
            why = f"the {kind} {network} of {where} is not active"
        if why:
            do = "Declare it there, and apply" if is_pool else "Define and start it there"
            detail = f"A NIC of {name} is on it, and {why}. {do}."
            yield "error", "destination-network", f"A {kind} is missing on the destination.", detail
    if there.refuses:
        detail = f"libvirt there says: {there.refuses}."
        yield "error", "destination-machine", "The destination can't run this machine.", detail
