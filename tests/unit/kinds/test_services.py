"""Services: what is as declared, what is done, and what can't be."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.apply.journal import Journal
from reconciler.host.model import Services, ServiceUnit, Snapshot
from reconciler.plan.confirm import halves_of
from reconciler.plan.difference import differences
from reconciler.plan.document import Plan
from reconciler.plan.drift import find_drift
from reconciler.plan.planner import make_plan
from reconciler.report.actions import sentence
from reconciler.report.step_values import values_of
from tests.hosts import DataHost, desired, guest, host
from tests.unit.apply.test_executor import Listener, executor

RUNNING = ServiceUnit("a.service", active="active", sub="running", enabled="enabled")
STOPPED = ServiceUnit("a.service", enabled="disabled")


def having(service: ServiceUnit | None, *, names: tuple[str, ...] = ()) -> Snapshot:
    """A host with this service, asked for by the name ``a``."""
    snapshot = host()
    found = service or ServiceUnit("a.service", load="not-found")
    snapshot.services = Services({"a": found}, names=list(names))
    return snapshot


def plan(state: str, service: ServiceUnit | None, **more: tuple[str, ...]) -> Plan:
    return make_plan(desired(f'[services]\na = "{state}"'), having(service, **more))


def asked(found: Plan) -> list[dict[str, object]]:
    """What is done, without the name."""
    return [{key: value for key, value in action.args.items() if key != "service"} for action in found.actions]


START, STOP, ENABLE, DISABLE = {"now": "running"}, {"now": "stopped"}, {"boot": "enabled"}, {"boot": "disabled"}


@pytest.mark.parametrize(
    ("state", "service", "steps"),
    [
        ("running", RUNNING, []),
        ("running", STOPPED, [START, ENABLE]),
        ("stopped", RUNNING, [STOP, DISABLE]),
        ("stopped", STOPPED, []),
        ("running", ServiceUnit("a.service", enabled="enabled"), [START]),
        ("running", ServiceUnit("a.service", active="active", enabled="disabled"), [ENABLE]),
        ("running", ServiceUnit("a.service", active="active", enabled="enabled-runtime"), [ENABLE]),
        ("running", ServiceUnit("a.service", active="reloading", enabled="enabled"), []),
        ("running", ServiceUnit("a.service", active="active", enabled="static", wanted_by=["b.target"]), []),
        ("running", ServiceUnit("a.service", active="active", enabled="indirect", triggered_by=["a.socket"]), []),
        ("running", ServiceUnit("a.service", enabled="generated"), [START, ENABLE]),
        ("running", ServiceUnit("a.service", active="active", enabled="generated", wanted_by=["b.target"]), []),
        ("running", ServiceUnit("a.service", active="failed", enabled="enabled"), [START]),
        ("running", ServiceUnit("a.service", active="activating", sub="auto-restart", enabled="enabled"), [START]),
        ("stopped", ServiceUnit("a.service", active="failed", enabled="disabled"), []),
        ("stopped", ServiceUnit("a.service", active="deactivating", enabled="disabled"), [STOP]),
        ("stopped", ServiceUnit("a.service", load="masked", enabled="masked"), []),
        ("stopped", ServiceUnit("a.service", load="masked", active="active", enabled="masked"), [STOP]),
        ("stopped", ServiceUnit("a.service", active="active", enabled="static"), [STOP]),
        ("stopped", None, []),
    ],
)
def test_what_is_done(state: str, service: ServiceUnit | None, steps: list[dict[str, str]]) -> None:
    found = plan(state, service)
    assert asked(found) == steps
    assert found.verdict == ("changes" if steps else "in-sync")
    assert [item.code for item in found.diagnostics] == []


@pytest.mark.parametrize(
    ("state", "service", "code", "says"),
    [
        ("running", None, "service-missing", "systemd knows no a.service: install it"),
        ("running", ServiceUnit("a.service", load="masked", enabled="masked"), "service-masked", "systemctl unmask"),
        ("running", ServiceUnit("a.service", load="bad-setting"), "service-broken", "bad-setting"),
        ("running", ServiceUnit("a.service", enabled="disabled", once=True), "service-ends", "Type=oneshot"),
        ("running", ServiceUnit("a.service", active="active", enabled="static"), "service-not-enabled", "[Install]"),
        ("stopped", ServiceUnit("a.service", triggered_by=["a.socket"]), "service-is-triggered", "--now a.socket"),
        (
            "stopped",
            ServiceUnit("a.service", active="active", enabled="static", wanted_by=["b.target"]),
            "service-not-disabled",
            "comes with b.target",
        ),
    ],
)
def test_what_can_not_be_had_blocks_the_plan_and_is_not_tried(
    state: str, service: ServiceUnit | None, code: str, says: str
) -> None:
    found = plan(state, service)
    assert (found.verdict, found.actions) == ("blocked", [])
    (error,) = found.diagnostics
    assert (error.code, error.address, error.line) == (code, "services.a", 3)
    assert says in error.detail


def test_a_name_that_is_nearly_one_is_told() -> None:
    wanted = desired('[services]\nirqblance = "running"')
    snapshot = host()
    snapshot.services = Services(
        {"irqblance": ServiceUnit("irqblance.service", load="not-found")}, names=["irqbalance"]
    )
    (error,) = make_plan(wanted, snapshot).diagnostics
    assert error.detail.endswith('did you mean "irqbalance"?')


def test_where_systemd_does_not_run_nothing_is_in_sync() -> None:
    wanted, snapshot = desired('[services]\na = "stopped"'), host()
    snapshot.services, snapshot.notes = Services(None), ["Services are not known: systemd does not run here."]
    found = make_plan(wanted, snapshot)
    assert (found.verdict, found.unobserved) == ("blocked", ["services.a"])
    assert [item.code for item in found.diagnostics] == ["not-observed"]
    assert "systemd does not run here" in found.diagnostics[0].detail
    assert find_drift(wanted, snapshot).verdict == "unknown"


def test_what_was_not_asked_for_is_not_known() -> None:
    snapshot = host()
    assert make_plan(desired('[services]\na = "stopped"'), snapshot).unobserved == ["services.a"]
    snapshot.services = Services({}, complete=True)
    assert make_plan(desired('[services]\na = "stopped"'), snapshot).verdict == "in-sync"


def test_a_service_of_another_name_is_enabled_by_its_own(tmp_path: Path) -> None:
    class Names(DataHost):
        enabled: str = ""

        def set_service_at_boot(self, unit: str, enabled: bool) -> None:
            self.enabled = unit
            super().set_service_at_boot("a", enabled)

    machine = Names(having(ServiceUnit("b.service", active="active", enabled="disabled")))
    found = make_plan(desired('[services]\na = "running"'), machine.observe())
    execute(machine, found, tmp_path)
    assert machine.enabled == "b.service"


def execute(machine: DataHost, found: Plan, folder: Path) -> list[str]:
    """Carries it out; what went wrong."""
    journal = Journal(folder, "run", {}, {})
    outcomes = executor(machine, journal, Listener()).execute(found.actions)
    journal.close()
    return [outcome.error for outcome in outcomes if outcome.error]


def test_there_and_back(tmp_path: Path) -> None:
    before = having(STOPPED)
    machine = DataHost(before)
    wanted = desired('[services]\na = "running"')
    found = make_plan(wanted, machine.observe())
    assert execute(machine, found, tmp_path) == []
    assert make_plan(wanted, machine.observe()).verdict == "in-sync"
    assert differences(before, machine.observe(), found.actions) == [
        "service a now is True, and was False",
        "service a boot is True, and was False",
    ]
    assert [step.args for action in found.actions for step in action.undo.steps] == [
        {"service": "a", "now": "stopped"},
        {"service": "a", "boot": "disabled"},
    ]


def test_one_that_was_enabled_otherwise_says_that_it_can_not_be_taken_back() -> None:
    found = plan("running", ServiceUnit("a.service", active="active", enabled="enabled-runtime"))
    assert "a.service was enabled-runtime" in found.actions[0].undo.impossible


def test_a_service_that_dies_at_once_is_a_failure_with_its_words(tmp_path: Path) -> None:
    class Mortal(DataHost):
        def set_service(self, unit: str, running: bool, deadline: float) -> None:
            service = (self.state.services.units or {})["a"]
            service.active, service.sub, service.words = "failed", "failed", ["no such card"]

    machine = Mortal(having(STOPPED))
    found = make_plan(desired('[services]\na = "running"'), machine.observe())
    (error,) = execute(machine, found, tmp_path)
    assert error == (
        "The effect fell short. a.service was started and did not stay (failed). Its log ends with: no such card."
    )


def test_one_that_runs_only_since_now_does_not_count_yet(tmp_path: Path) -> None:
    class Young(DataHost):
        looks = 0

        def observe(self) -> Snapshot:
            snapshot = super().observe()
            (snapshot.services.units or {})["a"].settled = self.looks > 2
            return snapshot

        def refresh(self, snapshot: Snapshot, scope: object) -> None:
            self.looks += 1
            snapshot.services = self.observe().services

    machine = Young(having(ServiceUnit("a.service", enabled="enabled")))
    found = make_plan(desired('[services]\na = "running"'), machine.observe())
    assert execute(machine, found, tmp_path) == []
    assert machine.looks == 3


@pytest.mark.parametrize(
    ("unit", "disruption"),
    [("irqbalance", "none"), ("NetworkManager", "management"), ("ssh", "management"), ("libvirt-guests", "guest")],
)
def test_whom_it_disturbs_to_stop_one(unit: str, disruption: str) -> None:
    snapshot = host(domains=[guest("web1", running=True), guest("db1")])
    snapshot.services = Services({unit: ServiceUnit(f"{unit}.service", active="active", enabled="enabled")})
    stop, disable = make_plan(desired(f'[services]\n{unit} = "stopped"'), snapshot).actions
    assert (stop.disruption, disable.disruption) == (disruption, "none")
    assert stop.impact.domains == (["web1"] if disruption == "guest" else [])


def test_a_file_that_declares_guests_does_not_stop_libvirt() -> None:
    snapshot = host(domains=[guest("web1")])
    snapshot.services = Services({"libvirtd": ServiceUnit("libvirtd.service", active="active", enabled="enabled")})
    found = make_plan(desired('[services]\nlibvirtd = "stopped"\n[domain.web1]\noptional = true'), snapshot)
    assert [item.code for item in found.diagnostics] == ["service-is-needed"]


def test_what_outlasts_a_reboot_waits_for_the_confirmation() -> None:
    halves = halves_of(plan("running", STOPPED).actions)
    assert [action.args for action in halves.now] == [{"service": "a", "now": "running"}]
    assert [action.args for action in halves.later] == [{"service": "a", "boot": "enabled"}]


def test_in_words() -> None:
    found = plan("stopped", RUNNING)
    documents = [
        {
            "op": action.op,
            "address": action.address,
            "args": action.args,
            "undo": {"steps": [{"op": step.op, "args": step.args} for step in action.undo.steps]},
        }
        for action in found.actions
    ]
    assert [sentence(item) for item in documents] == ["services.a: stop it", "services.a: do not start it at boot"]
    assert [values_of(item, {}) for item in documents] == ["now running -> stopped", "boot enabled -> disabled"]
    failed = plan("running", ServiceUnit("a.service", active="failed", enabled="enabled", words=["no card"]))
    assert failed.changes[0].reason == "it has failed: no card"


def test_drift_of_a_service() -> None:
    wanted, snapshot = desired('[services]\na = "running"'), having(STOPPED)
    drift = find_drift(wanted, snapshot)
    assert [(item.field, item.label, item.declared, item.observed) for item in drift.fields] == [
        ("now", "unrecorded", "running", "stopped"),
        ("boot", "unrecorded", "enabled", "disabled"),
    ]


def test_two_names_of_one_service_can_not_be_declared_in_two_ways() -> None:
    """Debian's ssh.service has sshd as an alias: each run would undo what the one before did."""
    ssh = ServiceUnit("ssh.service", active="active", sub="running", enabled="enabled")
    snapshot = host()
    snapshot.services = Services({"ssh": ssh, "sshd": ssh})
    found = make_plan(desired('[services]\nssh = "running"\nsshd = "stopped"'), snapshot)
    assert found.verdict == "blocked"
    assert [(d.code, d.address) for d in found.diagnostics] == [
        ("service-declared-twice", "services.ssh"),
        ("service-declared-twice", "services.sshd"),
    ]
    assert all(word in found.diagnostics[0].detail for word in ("ssh is declared running", "sshd is declared stopped"))
    same = make_plan(desired('[services]\nssh = "running"\nsshd = "running"'), snapshot)
    assert (same.verdict, same.diagnostics) == ("in-sync", [])
