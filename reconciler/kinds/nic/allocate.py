"""Which VF a NIC gets that only names PFs: the one that it has, else the lowest that nobody has or is promised.

Of several PFs, with ``spread`` first one that the guest's other NICs are not on, then one on the NUMA node that the
guest is bound to, then the first in the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.diagnostics import Diagnostic
from reconciler.host.model import Pf, Snapshot
from reconciler.kinds.holders import predicted_address
from reconciler.kinds.nic.claims import Claims
from reconciler.kinds.nic.intent import NicIntent
from reconciler.kinds.resolution import Resolution, vf_count
from reconciler.state.address import address


def allocate(resolution: Resolution, host: Snapshot, intents: Sequence[NicIntent]) -> None:
    """Gives a VF to every NIC that names only PFs; one that gets none is left out, and an error says who has them."""
    floating = [intent for intent in intents if intent.nic.pf and intent.nic.state == "present"]
    if not floating:
        return
    own = {
        (intent.domain.name, device.alias or device.mac or "")
        for intent in floating
        for device in (intent.live, intent.config)
        if device is not None
    }
    claims = Claims(resolution, host, own)
    for intent in floating:
        _keep(resolution, host, intent, claims)
    for intent in floating:
        if intent.vf is None:
            _give(resolution, host, intent, intents, claims)
    resolution.diagnostics += _not_spread(resolution, host, floating, intents)


def _pfs(resolution: Resolution, host: Snapshot, intent: NicIntent) -> list[tuple[str, Pf, int]]:
    """The PFs that it names and that are there: name, PF, and how many VFs that will have."""
    return [
        (name, pf, vf_count(resolution.desired.pfs[name], pf))
        for name in intent.nic.pf
        if name in resolution.pfs and (pf := host.pfs[resolution.pfs[name]])
    ]


def _keep(resolution: Resolution, host: Snapshot, intent: NicIntent, claims: Claims) -> None:
    """The VF that the NIC has now stays, if it is on a declared PF and will go on being there. After a reboot its
    address is known from the persistent XML, and the index from offset and stride."""
    for device in (intent.live, intent.config):
        for name, pf, count in _pfs(resolution, host, intent):
            for index in range(count):
                where = predicted_address(pf, index)
                if device is None or where is None or where != device.vf_address:
                    continue
                if claims.keep((pf.id, index), intent.address):
                    intent.vf = (pf.id, index)
                    intent.why = f"VF {index} of pf.{name}, which it has"
                return


def _give(
    resolution: Resolution, host: Snapshot, intent: NicIntent, intents: Sequence[NicIntent], claims: Claims
) -> None:
    choices = _pfs(resolution, host, intent)
    nodes = intent.domain.hardware.numa_nodes if intent.domain.hardware is not None else []

    def rank(choice: tuple[str, Pf, int]) -> tuple[int, bool]:
        beside = len(list(_siblings(intent, intents, choice[1].id))) if intent.nic.spread else 0
        return beside, bool(nodes) and choice[1].numa_node not in nodes

    for name, pf, count in sorted(choices, key=rank):  # Stable: else the order of the file.
        intent.vf = claims.take(pf, count, intent.address)
        if intent.vf is not None:
            near = f" on its NUMA node {pf.numa_node}" if pf.numa_node in nodes else ""
            apart = ", away from its other NICs" if intent.nic.spread and not rank((name, pf, count))[0] else ""
            intent.why = f"VF {intent.vf[1]} of pf.{name}{near}, the lowest that nobody names or has{apart}"
            return
    resolution.left_out[intent.address] = intent.address
    resolution.diagnostics.append(_none_is_free(resolution, intent, choices, claims))


def _siblings(intent: NicIntent, intents: Sequence[NicIntent], pf: str) -> Iterator[NicIntent]:
    """The guest's other declared NICs on a PF."""
    for other in intents:
        same = other.domain.name == intent.domain.name and other is not intent
        if same and other.nic.state == "present" and other.vf is not None and other.vf[0] == pf:
            yield other


def _none_is_free(
    resolution: Resolution, intent: NicIntent, choices: list[tuple[str, Pf, int]], claims: Claims
) -> Diagnostic:
    told = []
    for name, pf, count in choices:
        who = "; ".join(f"{index}: {claims.who((pf.id, index))}" for index in range(count)) or "it has no VFs"
        told.append(f"All {count} VFs of {address('pf', name)} ({pf.netdev}) are spoken for ({who}).")
    return Diagnostic(
        severity="error",
        code="no-free-vf",
        summary="The PF has no free VF for this NIC." if len(choices) == 1 else "No PF has a free VF for this NIC.",
        detail=f"{' '.join(told)} Raise vfs, or free one.",
        address=intent.address,
        line=resolution.desired.line(intent.address, "pf"),
    )


def _not_spread(
    resolution: Resolution, host: Snapshot, floating: Sequence[NicIntent], intents: Sequence[NicIntent]
) -> Iterator[Diagnostic]:
    """NICs that were to be on a PF of their own and are not: said once for each but the first."""
    told: set[str] = set()
    for intent in floating:
        beside = list(_siblings(intent, intents, intent.vf[0])) if intent.nic.spread and intent.vf is not None else []
        others = [other for other in beside if other.address not in told]
        if intent.vf is None or not others:
            continue
        told.add(intent.address)
        yield Diagnostic(
            severity="warning",
            code="nics-not-spread",
            summary="NICs of a guest that were to be spread share a PF.",
            detail=f"{host.pfs[intent.vf[0]].netdev} has VFs for {intent.address} and {others[0].address}: what a NIC "
            "has is kept, and the other PFs have nothing free or fewer of its guest's NICs to part. To have it moved, "
            "take the NIC off first.",
            address=intent.address,
            line=resolution.desired.line(intent.address, "spread"),
        )
