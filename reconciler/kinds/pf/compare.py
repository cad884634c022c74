"""A PF, compared."""

from __future__ import annotations

from typing import Any

from reconciler.host.model import Pf, Snapshot
from reconciler.kinds.field_state import FieldState, Status
from reconciler.kinds.pf.host_network import compare_host_network
from reconciler.kinds.resolution import Resolution, vf_count
from reconciler.state.address import address
from reconciler.state.desired import DesiredPf


def compare(resolution: Resolution, host: Snapshot) -> list[FieldState]:
    """Fields ``link``, ``mtu``, ``vfs``, ``vf_driver`` (who takes new VFs) and ``host_network`` of every declared PF
    that is there."""
    states = []
    for name, identity in resolution.pfs.items():
        desired, pf = resolution.desired.pfs[name], host.pfs.get(identity)
        where = address("pf", name)
        for field, declared, observed in _fields(desired, pf):
            status = _status(field, declared, observed, pf)
            states.append(FieldState(where, field, identity, declared, observed, status))
        states += compare_host_network(where, desired, pf, host)
    return states


def _status(field: str, declared: Any, observed: Any, pf: Pf | None) -> Status:
    if pf is None or observed is None:
        return "unknown"
    if declared == observed:
        return "same"
    # Who takes new VFs is a question of the VFs: while there are none, their absence is what counts.
    return "parent-missing" if field == "autoprobe" and pf.num_vfs == 0 else "different"


def _fields(desired: DesiredPf, pf: Pf | None) -> list[tuple[str, Any, Any]]:
    fields: list[tuple[str, Any, Any]] = []
    if desired.link is not None:
        fields.append(("link", desired.link, None if pf is None or pf.up is None else "up" if pf.up else "down"))
    if desired.mtu is not None:
        fields.append(("mtu", desired.mtu, pf.mtu if pf else None))
    if desired.vfs is not None:
        fields.append(("vfs", desired.vfs, pf.num_vfs if pf else None))
    wanted = autoprobe(desired)
    if wanted is not None and pf is not None and pf.bus == "pci" and vf_count(desired, pf):
        fields.append(("autoprobe", wanted, pf.autoprobe))
    return fields


def autoprobe(desired: DesiredPf) -> bool | None:
    """What ``sriov_drivers_autoprobe`` has to be, so that a VF that is made, or that a guest gives back, gets the
    declared driver; ``None``: nothing is declared."""
    return None if desired.vf_driver is None else desired.vf_driver == "kernel"
