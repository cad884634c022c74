"""The operation on services: one of its two halves, now or at boot."""

from __future__ import annotations

from reconciler.host.model import ServiceUnit, Snapshot
from reconciler.host.protocol import Scope
from reconciler.kinds.operation import Args, Operation
from reconciler.state.checks import SERVICE, either, table, word

_RUNS = ("active", "reloading", "refreshing")
_LONGEST = 100.0
"""Seconds: systemd itself gives a service 90 to start or stop (DefaultTimeoutStartSec=)."""


def find(host: Snapshot, name: str) -> ServiceUnit | None:
    """A service; ``None``: it is not known whether it is there."""
    units = host.services.units
    if units is None or (name not in units and not host.services.complete):
        return None
    return units.get(name) or ServiceUnit(f"{name}.service", load="not-found")


def now_of(service: ServiceUnit) -> str:
    """``running``, ``stopped``, or why it is neither: ``failed``, ``missing``, ``restarting``, ``starting``…"""
    if service.load == "not-found" and service.active not in _RUNS:
        return "missing"
    if service.active in _RUNS:
        return "running"
    if service.sub == "auto-restart":
        return "restarting"
    known = {"inactive": "stopped", "activating": "starting", "deactivating": "stopping"}
    return known.get(service.active, service.active)


def starts_at_boot(service: ServiceUnit) -> bool:
    """By its own [Install] section; one without such a section by what wants it, or may trigger it."""
    if service.enabled in ("static", "indirect", "generated", "alias", "transient", ""):
        return service.load == "loaded" and bool(service.wanted_by or service.triggered_by)
    return service.enabled == "enabled"


def _is_set(host: Snapshot, args: Args) -> bool:
    service = find(host, args["service"])
    if service is None:
        return False
    if "boot" in args:
        return starts_at_boot(service) is bool(args["boot"] == "enabled")
    if args["now"] == "running":
        return now_of(service) == "running" and service.settled
    return now_of(service) in ("stopped", "failed", "missing")


def _set(host: Snapshot, args: Args) -> None:
    service = (host.services.units or {}).get(args["service"])
    if service is None:
        return
    if "boot" in args:
        service.enabled = args["boot"]
        return
    service.active, service.sub = ("active", "running") if args["now"] == "running" else ("inactive", "dead")
    service.settled, service.words = True, []


def _fell_short(host: Snapshot, args: Args) -> str:
    """A service that was started and has ended again."""
    service = find(host, args["service"])
    if service is None or args.get("now") != "running" or now_of(service) not in ("failed", "restarting", "stopped"):
        return ""
    log = f" Its log ends with: {'; '.join(service.words)}." if service.words else ""
    return f"{service.unit} was started and did not stay ({now_of(service)}).{log}"


OPERATIONS = (
    Operation(
        "service.set",
        either(
            now=table({"service": SERVICE, "now": word("running", "stopped")}),
            boot=table({"service": SERVICE, "boot": word("enabled", "disabled")}),
        ),
        lambda args: Scope("service", args["service"]),
        _is_set,
        _set,
        fell_short=_fell_short,
        deadline=lambda args: _LONGEST if "now" in args else 30.0,
    ),
)
