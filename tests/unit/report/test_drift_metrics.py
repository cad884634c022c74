"""The metrics of a check: valid for Prometheus's own parser, and never "in sync" when that is not known."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from reconciler.host.model import HostIdentity
from reconciler.plan.document import Source
from reconciler.plan.drift_document import LABELS, Drift, DriftField, Label, drift_to_json
from reconciler.report.drift_metrics import KINDS, kind_of, render_metrics
from tests.unit.report.test_drift import drifted

AT, APPLIED = "2026-01-01T00:01:00Z", "2026-01-01T00:00:00Z"
RULES = Path(__file__).parents[3] / "contrib/prometheus/reconciler.rules.yml"

Values = dict[tuple[str, ...], float]


def values(text: str) -> Values:
    """By name and the values of its labels."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(document: dict[str, Any] | None, code: int, applied_at: str = APPLIED) -> Values:
    return values(render_metrics(document, code=code, checked_at=AT, applied_at=applied_at))


def clean(*fields: DriftField, **counts: int) -> dict[str, Any]:
    told = {label.replace("_", "-"): count for label, count in counts.items()}
    return drift_to_json(Drift(HostIdentity("h"), Source("h.toml"), counts=told, fields=list(fields)))


def test_a_host_that_is_in_sync_has_every_series_with_0() -> None:
    found = of(clean(in_sync=9), 0)
    assert found["reconciler_in_sync",] == 1
    assert (found["reconciler_last_check_exit_code",], found["reconciler_pending_reboot",]) == (0, 0)
    assert (found["reconciler_checked_fields",], found["reconciler_ignored_fields",]) == (9, 0)
    assert found["reconciler_last_check_timestamp_seconds",] - found["reconciler_last_apply_timestamp_seconds",] == 60
    fields = {key[1:]: value for key, value in found.items() if key[0] == "reconciler_drift_fields"}
    assert fields == {(kind, label): 0 for kind in KINDS for label in LABELS if label != "in-sync"}


def test_what_moved_is_counted_by_kind_and_label() -> None:
    found = of(drifted(), 2)
    assert (found["reconciler_in_sync",], found["reconciler_last_check_exit_code",]) == (0, 2)
    assert (found["reconciler_checked_fields",], found["reconciler_ignored_fields",]) == (100, 2)
    told = {key[1:]: value for key, value in found.items() if key[0] == "reconciler_drift_fields" and value}
    assert told == {("vf", "drift"): 3, ("pf", "unrecorded"): 1, ("pf", "unknown"): 1, ("nic", "deferred"): 1}


def test_files_of_other_tools_are_counted_and_are_no_drift() -> None:
    document = clean(in_sync=9)
    assert of(document, 0)["reconciler_other_owners",] == 0
    document["diagnostics"] = [{"code": code} for code in ("another-owner-differs", "x", "another-owner-differs")]
    found = of(document, 0)
    assert (found["reconciler_other_owners",], found["reconciler_in_sync",]) == (2, 1)


def test_what_waits_for_a_reboot_is_in_sync_and_told() -> None:
    label: Label = "pending-reboot"
    found = of(clean(DriftField("kernel", "cmdline", label, ["a"], ["a"], []), in_sync=3, pending_reboot=1), 0)
    assert (found["reconciler_in_sync",], found["reconciler_pending_reboot",]) == (1, 1)
    assert found["reconciler_drift_fields", "kernel", "pending-reboot"] == 1


def test_a_check_that_failed_claims_nothing() -> None:
    found = of(None, 65)
    assert {key[0].removeprefix("reconciler_"): value for key, value in found.items()} == {
        "in_sync": 0,
        "last_check_timestamp_seconds": 1767225660,
        "last_check_exit_code": 65,
        "last_apply_timestamp_seconds": 1767225600,
    }
    assert of(None, 65, "")["reconciler_last_apply_timestamp_seconds",] == 0


def test_what_is_not_known_is_not_in_sync() -> None:
    document = drift_to_json(Drift(HostIdentity("h"), Source("h.toml"), "unknown", {"in-sync": 9, "unknown": 1}))
    assert of(document, 8)["reconciler_in_sync",] == 0


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("pf.int", "pf"),
        ("pf.int.vf.3", "vf"),
        ('pf."a.vf.b"', "pf"),
        ('pf."a\\".b".vf.3', "vf"),
        ("pool.sriov-int", "pool"),
        ('domain."web.example".nic."a.b"', "nic"),
        ("domain.web1", "domain"),
        ("modules.blacklist", "modules"),
        ("hugepages.2M", "hugepages"),
        ("kernel", "kernel"),
    ],
)
def test_the_kind_of_an_address(address: str, kind: str) -> None:
    assert kind_of(address) == kind


def test_each_metric_says_what_it_is_and_has_a_name_by_the_rules() -> None:
    text = render_metrics(drifted(), code=2, checked_at=AT, applied_at=APPLIED)
    for family in text_string_to_metric_families(text):
        assert (family.type, bool(family.documentation)) == ("gauge", True)
        assert re.fullmatch(r"reconciler_[a-z_]+", family.name)
        assert not family.name.endswith(("_total", "_count", "_sum", "_bucket", "_info")), "not a gauge's"


def test_the_alerts_are_on_metrics_and_labels_that_there_are() -> None:
    found = of(drifted(), 2)
    rules = RULES.read_text()
    named = set(re.findall(r"reconciler_[a-z_]+", rules))
    assert len(named) == 4
    assert named <= {key[0] for key in found}
    labels = {label for told in re.findall(r'label=~?"([^"]+)"', rules) for label in told.split("|")}
    assert labels == {"drift", "conflict", "unrecorded", "pending"}
