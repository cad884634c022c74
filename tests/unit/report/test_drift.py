"""Drift as text and as Markdown."""

from __future__ import annotations

import re
from typing import Any

from reconciler.diagnostics import Diagnostic
from reconciler.host.model import HostIdentity
from reconciler.plan.document import Source
from reconciler.plan.drift_document import Drift, DriftField, drift_to_json
from reconciler.report.drift_text import render_drift, render_drift_markdown

HOST, SOURCE = HostIdentity("r620-01"), Source("states/r620-01.toml")


def drifted() -> dict[str, Any]:
    fields = [
        DriftField(f"pf.int.vf.{i}", "max_tx_rate", "drift", 1000, 1000, 0, f"guest web{i} (ua-rec-data)", source=31)
        for i in range(3)
    ]
    fields += [
        DriftField("pf.int", "mtu", "unrecorded", 9000, None, 1500, source=20),
        DriftField("pf.dmz", "match", "unknown", {"name": "p2p1"}, None, None, source=60),
        DriftField("domain.db.nic.a", "vlan", "deferred", 100, None, None, note="libvirt sets it"),
    ]
    counts = {"drift": 3, "unrecorded": 1, "unknown": 1, "deferred": 1, "in-sync": 94}
    missing = Diagnostic(severity="error", code="pf-missing", summary="A PF is not there.", address="pf.dmz")
    return drift_to_json(Drift(HOST, SOURCE, "drift", counts, fields, [missing], ignored=2))


def test_a_clean_host_has_a_heartbeat() -> None:
    document = drift_to_json(Drift(HOST, SOURCE, counts={"in-sync": 123}))
    assert render_drift(document, color=False) == "In sync: 123 fields checked on r620-01.\n"
    assert render_drift_markdown(document) == "### In sync: 123 fields checked on r620-01.\n"


def test_what_only_waits_is_in_sync_and_said() -> None:
    field = DriftField("pf.int", "mtu", "pending", 9000, 1500, 1500)
    document = drift_to_json(Drift(HOST, SOURCE, counts={"in-sync": 9, "pending": 1}, fields=[field]))
    first, *_, row = render_drift(document, color=False).splitlines()
    assert first == "In sync: 10 fields checked on r620-01, of which 1 pending."
    assert row.split() == ["pf.int.mtu", "9000", "1500", "1500", "-", "-"]


def test_unknown_is_not_in_sync() -> None:
    document = drift_to_json(Drift(HOST, SOURCE, "unknown", {"in-sync": 9, "unknown": 1}))
    assert render_drift(document, color=False) == "Not known on r620-01: 1 of 10 fields could not be observed.\n"


def test_labels_come_in_their_order_with_folded_rows() -> None:
    lines = render_drift(drifted(), color=False).splitlines()
    assert lines[0] == ("Drift on r620-01: 3 drift and 1 unrecorded of 100 fields checked. 1 could not be observed.")
    assert lines[1] == "2 fields that differ were left out by --ignore."
    titles = [line.split(" ")[0] for line in lines if re.match(r"[a-z-]+ \(\d+\): ", line)]
    assert titles == ["drift", "unrecorded", "unknown", "deferred"]
    row = re.split(" {2,}", next(line.strip() for line in lines if "max_tx_rate" in line))
    assert row[:5] == [
        "pf.int.vf.[0-2].max_tx_rate",
        "1000 Mbit/s",
        "1000 Mbit/s",
        "0 (no limit)",
        "states/r620-01.toml:31",
    ]
    assert row[5].startswith("guest web0 (ua-rec-data); guest web1")
    assert "  note on domain.db.nic.a.vlan: libvirt sets it" in lines
    assert "Error: A PF is not there. [pf-missing]" in lines


def test_what_was_not_seen_and_what_was_never_applied_have_words() -> None:
    lines = render_drift(drifted(), color=False).splitlines()
    row = next(line for line in lines if "pf.dmz.match" in line)
    assert re.split(" {2,}", row.strip())[1:4] == ["name p2p1", "never", "?"]


def test_colour_adds_nothing() -> None:
    painted = render_drift(drifted(), color=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == render_drift(drifted(), color=False)


def test_markdown_has_a_table_per_label_and_a_limit() -> None:
    text = render_drift_markdown(drifted())
    assert "| `pf.int.mtu` | 9000 | never | 1500 | states/r620-01.toml:20 | - |" in text
    assert text.index("**drift**") < text.index("**unrecorded**") < text.index("**deferred**")
    short = render_drift_markdown(drifted(), max_bytes=700)
    assert len(short.encode()) <= 700
    assert "**drift**" in short
    assert "the table of deferred" in short


def test_text_from_outside_is_harmless() -> None:
    attack = "web\n\x1b[2J|<img>"
    field = DriftField(attack, attack, "drift", attack, attack, [attack], attack, note=attack)
    document = drift_to_json(Drift(HOST, SOURCE, "drift", {"drift": 1}, [field]))
    text = render_drift(document, color=False)
    assert all(char == "\n" or char.isprintable() for char in text)
    assert "<img>" not in render_drift_markdown(document)
