"""Services of a simulated host, as far as systemctl shows them."""

from __future__ import annotations

from reconciler.host.model import ServiceUnit
from reconciler.host.twin.errors import CommandFailed
from reconciler.host.twin.state import Twin

_SECONDS = 0.5
"""That a service takes to start or stop."""


def find(twin: Twin, name: str) -> ServiceUnit:
    """A service by its name or its unit's; raises `CommandFailed`."""
    name = name.removesuffix(".service")
    service = (twin.services.units or {}).get(name)
    if service is None:
        raise CommandFailed(f"Unit {name}.service not found.")
    return service


def start(twin: Twin, name: str) -> float:
    """``systemctl start``: returns when its process runs, which may end at once all the same."""
    service = find(twin, name)
    if service.load == "masked":
        raise CommandFailed(f"Unit {service.unit} is masked.")
    last = twin.failing.get(service.unit.removesuffix(".service"))
    service.active, service.sub = ("active", "running") if last is None else ("failed", "failed")
    service.words = [] if last is None else [last]
    return _SECONDS


def stop(twin: Twin, name: str) -> float:
    """``systemctl stop``."""
    service = find(twin, name)
    service.active, service.sub, service.words = "inactive", "dead", []
    return _SECONDS


def set_at_boot(twin: Twin, name: str, enabled: bool) -> float:
    """``systemctl enable`` and ``disable``, which do nothing where there is no [Install] section."""
    service = find(twin, name)
    if service.load == "masked":
        raise CommandFailed(f"Unit {service.unit} is masked.")
    if service.enabled not in ("static", "indirect"):
        service.enabled = "enabled" if enabled else "disabled"
    return _SECONDS


def reboot(twin: Twin) -> None:
    """Those run that are enabled, or that something wants."""
    for name, service in (twin.services.units or {}).items():
        stop(twin, name)
        static = service.enabled in ("static", "indirect") and service.wanted_by
        if service.load == "loaded" and not service.once and (service.enabled == "enabled" or static):
            start(twin, name)
