"""The plan under construction: each action is put at its place, and its effect predicted before the next one.

So step N is planned on the predicted result of step N-1, and what the host will look like at the end is known.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace

from reconciler.host.model import Pf, Snapshot, Vf
from reconciler.kinds.action import Action, Impact, Step, Undo
from reconciler.kinds.holders import find_holders
from reconciler.kinds.operation import Args
from reconciler.kinds.operations import OPERATIONS
from reconciler.kinds.resolution import Resolution


class Builder:
    """Collects actions; ``host`` is the predicted host after all of them so far."""

    def __init__(self, resolution: Resolution, observed: Snapshot) -> None:
        self.resolution = resolution
        self.observed = observed
        self.host = copy_host(observed)
        self.actions: list[Action] = []
        self.remade: dict[str, Pf] = {}
        """PFs as they are predicted just before their VFs are removed to be made again."""
        self._made: dict[str, list[str]] = {}
        self._count: dict[str, int] = {}

    def add(
        self,
        op: str,
        address: str,
        args: Args,
        *,
        needs: Iterable[str] = (),
        makes: str = "",
        impact: Impact | None = None,
        undo: Undo | list[Step] | None = None,
    ) -> Action:
        """Appends an action and predicts its effect. ``needs`` and ``makes`` are names of what actions bring about
        (``pf pci/0000:01:00.0``): an action needs all earlier ones that made such a thing."""
        needed = [key for name in needs for key in self._made.get(name, [])]
        action = Action(
            id=self._id(op, address),
            op=op,
            address=address,
            args=args,
            needs=list(dict.fromkeys(needed)),
            impact=impact or Impact(),
            undo=Undo(undo) if isinstance(undo, list) else undo or Undo(),
        )
        self.actions.append(action)
        if makes:
            self._made.setdefault(makes, []).append(action.id)
        OPERATIONS[op].simulate(self.host, args)
        OPERATIONS[op].forget(self.host, args)
        return action

    def predicted(self) -> Resolution:
        """The resolution with the holders of the predicted host: for comparing with it. Who notices a change is told
        by the holders that were observed."""
        return replace(self.resolution, holders=find_holders(self.host))

    def also_makes(self, name: str, action: Action) -> None:
        """Notes one more thing that an action brings about."""
        self._made.setdefault(name, []).append(action.id)

    def has_made(self, name: str) -> bool:
        """Whether an earlier action brings this about."""
        return name in self._made

    def _id(self, op: str, address: str) -> str:
        key = f"{op} {address}"
        self._count[key] = self._count.get(key, 0) + 1
        return key if self._count[key] == 1 else f"{key} #{self._count[key]}"


def copy_host(host: Snapshot) -> Snapshot:
    """A copy whose parts can be changed without changing the original."""
    twin = replace(host)
    twin.pfs = {key: copy_pf(pf) for key, pf in host.pfs.items()}
    twin.boot = copy.deepcopy(host.boot)
    twin.modules = copy.deepcopy(host.modules)
    twin.services = copy.deepcopy(host.services)
    twin.hugepages = copy.deepcopy(host.hugepages)
    twin.host_network = copy.deepcopy(host.host_network)
    twin.libvirt = replace(
        host.libvirt,
        domains={
            name: replace(
                domain,
                live=[replace(nic) for nic in domain.live],
                config=[replace(nic) for nic in domain.config],
            )
            for name, domain in host.libvirt.domains.items()
        },
        networks={
            name: replace(
                network,
                addresses=list(network.addresses),
                live_addresses=list(network.live_addresses),
                ports=list(network.ports),
            )
            for name, network in host.libvirt.networks.items()
        },
    )
    twin.ledger = {key: dict(fields) for key, fields in host.ledger.items()}
    return twin


def copy_pf(pf: Pf) -> Pf:
    """A copy with its own VFs."""
    twin = copy.copy(pf)
    twin.uses = list(pf.uses)
    twin.vfs = [_copy_vf(vf) for vf in pf.vfs]
    return twin


def _copy_vf(vf: Vf) -> Vf:
    twin = copy.copy(vf)
    twin.uses = list(vf.uses)
    twin.attributes = dict(vf.attributes) if vf.attributes is not None else None
    return twin
