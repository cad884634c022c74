"""Guests' free root ports, compared with their definitions."""

from __future__ import annotations

from reconciler.host.model import Domain, Snapshot
from reconciler.kinds.domain.ports import left_in_definition, left_while_running, slots_of
from reconciler.kinds.field_state import FieldState
from reconciler.kinds.resolution import Resolution
from reconciler.state.address import address


def compare(resolution: Resolution, host: Snapshot) -> list[FieldState]:
    """Field ``root_ports``: free ones, those of the declared NICs not counted. More than declared is fine."""
    states = []
    for desired in resolution.desired.domains.values():
        domain = host.libvirt.domains.get(desired.name)
        where = address("domain", desired.name)
        if desired.root_ports is None:
            continue
        if not host.libvirt.available:
            states.append(FieldState(where, "root_ports", "", desired.root_ports, None, "unknown"))
        elif domain is not None:
            states.append(_compare(resolution, host, domain, desired.root_ports, where))
    return states


def _compare(resolution: Resolution, host: Snapshot, domain: Domain, wanted: int, where: str) -> FieldState:
    state = FieldState(where, "root_ports", f"domain {domain.uuid}", wanted, None, "different")
    match slots_of(domain):
        case "unknown":
            state.status = "unknown"
        case "pci":
            state.status, state.observed = "same", wanted
        case "pcie":
            left = left_in_definition(resolution, host, domain)
            running = left_while_running(resolution, host, domain) if domain.running else left
            state.observed = left
            if left >= wanted:
                state.status = "same"
            if left >= wanted > running:
                state.status, state.observed = "pending-restart", running
        case "none" | "transient":
            pass  # It has none, and none can be added, which an error says.
    return state
