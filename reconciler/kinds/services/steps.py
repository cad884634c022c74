"""Steps that start and stop services, now and at boot. What can't be done is left to the checks to say."""

from __future__ import annotations

from reconciler.host.model import ServiceUnit
from reconciler.kinds.action import Action, Impact, Step, Undo
from reconciler.kinds.builder import Builder
from reconciler.kinds.services.compare import compare, trouble
from reconciler.kinds.services.operations import find, now_of, starts_at_boot
from reconciler.state.address import address

_NETWORK = {
    "NetworkManager",
    "systemd-networkd",
    "networking",
    "network",
    "wicked",
    "wickedd",
    "dhcpcd",
    "ssh",
    "sshd",
    "openvswitch",
    "openvswitch-switch",
    "ovs-vswitchd",
}
"""Services by which the host is reached: NetworkManager, networkd, ifupdown, initscripts, wicked, dhcpcd, OpenSSH and
Open vSwitch, as Debian, Red Hat and SUSE name them."""
_GUESTS = "libvirt-guests"
"""Stopped, it shuts down or suspends every guest that runs (its ExecStop=)."""


def plan(builder: Builder) -> None:
    """What differs, of each service that can be as declared."""
    differing = {(state.address, state.field) for state in compare(builder.resolution, builder.host) if state.differs}
    for name, declared in builder.resolution.desired.services.items():
        where, service = address("services", name), find(builder.host, name)
        if service is None or trouble(name, declared, builder.host) is not None:
            continue
        if (where, "now") in differing:
            undo = [Step("service.set", where, {"service": name, "now": _now(service)})]
            args = {"service": name, "now": declared}
            builder.add("service.set", where, args, impact=_impact(builder, service, declared), undo=undo)
        if (where, "boot") in differing:
            args = {"service": name, "boot": "enabled" if declared == "running" else "disabled"}
            builder.add("service.set", where, args, undo=_boot_before(name, service, where))


def _now(service: ServiceUnit) -> str:
    return "running" if now_of(service) == "running" else "stopped"


def _boot_before(name: str, service: ServiceUnit, where: str) -> Undo:
    """What ``enable`` and ``disable`` can bring back."""
    if service.enabled not in ("enabled", "disabled", "generated"):
        return Undo(impossible=f"{service.unit} was {service.enabled}, which is neither enabled nor disabled")
    before = "enabled" if starts_at_boot(service) else "disabled"
    return Undo([Step("service.set", where, {"service": name, "boot": before})])


def _impact(builder: Builder, service: ServiceUnit, declared: str) -> Impact:
    """Who notices that a service is stopped. One that is started disturbs nobody."""
    name = service.unit.removesuffix(".service")
    if declared == "running":
        return Impact()
    if name in _NETWORK:
        return Impact("management", host=[f"{service.unit}, by which the host is reached"])
    if name == _GUESTS:
        running = [domain.name for domain in builder.host.libvirt.domains.values() if domain.running]
        return Impact("guest", domains=running)
    return Impact()


def reason(builder: Builder, actions: list[Action]) -> str:
    """Why it is set, if more can be said than that it differs."""
    for action in actions:
        service = find(builder.observed, action.args["service"])
        if service is not None and now_of(service) in ("failed", "restarting") and action.args.get("now") == "running":
            log = f": {'; '.join(service.words)}" if service.words else ""
            return f"it has {'failed' if service.active == 'failed' else 'ended, and is started over and over'}{log}"
    return ""
