"""Services, compared: fields ``now`` and ``boot``; and why one can't be as declared, whatever is tried."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from reconciler.host.model import ServiceUnit, Snapshot
from reconciler.kinds.field_state import FieldState
from reconciler.kinds.resolution import Resolution
from reconciler.kinds.services.operations import find, now_of, starts_at_boot
from reconciler.state.address import address
from reconciler.state.desired import ServiceState

_NOT_ENABLED_BY_ITSELF = ("static", "indirect", "alias", "transient", "")
"""Without an [Install] section that would say what ``enable`` is to do."""
LIBVIRT = ("libvirtd", "virtqemud", "virtnetworkd")


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a service can't be as declared."""

    code: str
    summary: str
    detail: str


def compare(resolution: Resolution, host: Snapshot) -> list[FieldState]:
    """Both fields of each declared service. One declared stopped that doesn't exist is in sync."""
    states = []
    for name, declared in resolution.desired.services.items():
        where, boot = address("services", name), "enabled" if declared == "running" else "disabled"
        service = find(host, name)
        if service is None:
            states += [
                FieldState(where, "now", where, declared, None, "unknown"),
                FieldState(where, "boot", where, boot, None, "unknown"),
            ]
            continue
        now = now_of(service)
        right = now == declared or (declared == "stopped" and now in ("failed", "missing"))
        note = f"its log ends with: {'; '.join(service.words)}" if service.words else ""
        states.append(FieldState(where, "now", where, declared, now, "same" if right else "different", note))
        observed = _boot(service)
        right = starts_at_boot(service) == (declared == "running")
        states.append(FieldState(where, "boot", where, boot, observed, "same" if right else "different"))
    return states


def _boot(service: ServiceUnit) -> str:
    """How it stands with its start at boot; systemd's own word where that says more."""
    if service.load == "not-found":
        return "missing"
    if service.enabled in ("enabled", "disabled", "masked", "enabled-runtime", "linked", "masked-runtime"):
        return service.enabled
    return "enabled" if starts_at_boot(service) else service.enabled or "disabled"


def trouble(name: str, declared: ServiceState, host: Snapshot) -> Trouble | None:
    """What nothing that is done here could change."""
    service = find(host, name)
    if service is None:
        return None
    return _not_to_run(name, service, host) if declared == "running" else _not_to_stop(service)


def _not_to_run(name: str, service: ServiceUnit, host: Snapshot) -> Trouble | None:
    unit = service.unit
    if service.load == "not-found":
        known = [*host.services.names, *(host.services.units or {})]
        near = get_close_matches(name, [other for other in known if other != name], n=1, cutoff=0.6)
        hint = f'did you mean "{near[0]}"?' if near else "install it, or take it out of the file."
        return Trouble("service-missing", "There is no such service.", f"systemd knows no {unit}: {hint}")
    if service.load == "masked":
        return Trouble(
            "service-masked",
            "A masked service can't be started.",
            f"Somebody has masked {unit}, so that nothing starts it. If it is to run: systemctl unmask {unit}",
        )
    if service.load != "loaded":
        detail = f"systemd says {service.load} of {unit}. What is wrong with it says: systemctl status {unit}"
        return Trouble("service-broken", "The service's file can't be used.", detail)
    if service.once and service.active not in ("active", "activating"):
        detail = f"{unit} does its work and ends (Type=oneshot). Declare the timer's or socket's own service, or none."
        return Trouble("service-ends", "This service doesn't stay running.", detail)
    if service.enabled in _NOT_ENABLED_BY_ITSELF and not starts_at_boot(service):
        detail = (
            f"{unit} has no [Install] section for it ({service.enabled or 'no unit file'}), and nothing else starts "
            "it. Declare the service that needs it, or give it one in a drop-in: "
            f"systemctl edit {unit}"
        )
        return Trouble("service-not-enabled", "This service can't be started at boot.", detail)
    return None


def _not_to_stop(service: ServiceUnit) -> Trouble | None:
    unit = service.unit
    if service.load == "masked":
        return None
    if service.triggered_by:
        detail = (
            f"{unit} is started again by {', '.join(service.triggered_by)}. Switch that off first: systemctl disable "
            f"--now {' '.join(service.triggered_by)}"
        )
        return Trouble("service-is-triggered", "Something starts this service again.", detail)
    if starts_at_boot(service) and service.enabled in _NOT_ENABLED_BY_ITSELF:
        detail = (
            f"{unit} has no [Install] section ({service.enabled or 'no unit file'}) and comes with "
            f"{', '.join(service.wanted_by)}. If it must not run: systemctl mask --now {unit}"
        )
        return Trouble("service-not-disabled", "This service can't be kept from starting at boot.", detail)
    return None
