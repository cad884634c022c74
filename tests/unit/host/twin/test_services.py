"""Services of a simulated host."""

from __future__ import annotations

import pytest

from reconciler.host.model import ServiceUnit
from reconciler.host.protocol import HostError, Scope
from reconciler.host.twin.hands import run
from reconciler.host.twin.host import TwinHost
from reconciler.host.twin.make import from_snapshot
from reconciler.plan.planner import make_plan
from tests.hosts import desired
from tests.unit.host.twin.twins import do, lab


def service(host: TwinHost, name: str = "irqbalance") -> ServiceUnit:
    return (host.observe().services.units or {})[name]


def state(host: TwinHost, name: str = "irqbalance") -> tuple[str, str]:
    found = service(host, name)
    return found.active, found.enabled


def test_now_and_at_boot() -> None:
    host = lab()
    assert state(host) == ("active", "enabled")
    host.set_service("irqbalance.service", False, 10)
    assert state(host) == ("inactive", "enabled")
    do(host, "reboot")
    assert state(host) == ("active", "enabled")
    host.set_service_at_boot("irqbalance.service", False)
    assert state(host) == ("active", "disabled")
    do(host, "reboot")
    assert state(host) == ("inactive", "disabled")


def test_by_hand() -> None:
    host = lab("systemctl stop irqbalance", "systemctl disable irqbalance.service")
    assert state(host) == ("inactive", "disabled")
    snapshot = host.observe()
    do(host, "systemctl enable irqbalance")
    do(host, "systemctl start irqbalance")
    host.refresh(snapshot, Scope("service", "irqbalance"))
    assert snapshot.services == host.observe().services
    assert state(host) == ("active", "enabled")
    assert run(host, "systemctl start nosuch").message == "Unit nosuch.service not found."


def test_what_it_refuses() -> None:
    host = lab()
    with host.changing() as twin:
        assert twin.services.units is not None
        twin.services.units["irqbalance"].load = "masked"
    with pytest.raises(HostError, match="systemd refused a change of a service") as refused:
        host.set_service("irqbalance.service", True, 10)
    assert refused.value.detail == "irqbalance.service could not be started: Unit irqbalance.service is masked."
    with pytest.raises(HostError):
        host.set_service_at_boot("irqbalance.service", True)


def test_one_that_ends_at_once() -> None:
    host = lab("systemctl stop irqbalance")
    with host.changing() as twin:
        twin.failing["irqbalance"] = "no CPUs"
    host.set_service("irqbalance.service", True, 10)
    assert (service(host).active, service(host).words) == ("failed", ["no CPUs"])


def test_a_recorded_host_has_its_services() -> None:
    host = lab()
    again = TwinHost(from_snapshot(host.observe()))
    assert again.observe().services == host.observe().services
    assert (
        make_plan(desired('[services]\nirqbalance = "running"\nnumad = "stopped"'), again.observe()).verdict
        == "in-sync"
    )
