"""VFs brought to what they are to be, and who was given which."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from reconciler.apply import hygiene
from reconciler.apply.hygiene import Tenants, bring
from reconciler.diagnostics import ReconcilerError
from tests.hosts import DataHost, host, igb

PF = "pci/0000:01:00.0"


def leftover() -> DataHost:
    pf = igb(1, 3, up=True, carrier=True, speed=1000)
    for vf in pf.vfs:
        assert vf.attributes is not None
        vf.attributes |= {"max_tx_rate": 500, "trust": True}
    return DataHost(host(pf))


def test_only_what_differs_is_set_and_it_is_read_back() -> None:
    machine = leftover()
    now = machine.observe()
    assert bring(machine, machine, now, {(PF, 1): {"max_tx_rate": 0, "trust": True, "spoofchk": True}}) == []
    assert machine.calls == ["vf.set"]
    rates = [(vf.attributes or {})["max_tx_rate"] for vf in machine.observe().pfs[PF].vfs]
    assert rates == [500, 0, 500]
    assert bring(machine, machine, machine.observe(), {(PF, 1): {"max_tx_rate": 0}}) == []
    assert machine.calls == ["vf.set"]


def test_a_refusal_costs_only_its_own_attribute() -> None:
    machine = leftover()
    machine.refuse = {"trust"}
    (missed,) = bring(machine, machine, machine.observe(), {(PF, 0): {"max_tx_rate": 0, "trust": False}})
    assert missed.attributes == {"trust"}
    assert "EOPNOTSUPP" in missed.why
    assert (machine.observe().pfs[PF].vfs[0].attributes or {})["max_tx_rate"] == 0


def test_what_is_taken_and_not_seen_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = leftover()
    monkeypatch.setattr(machine, "_do", lambda *args, **kwargs: None)
    (missed,) = bring(machine, machine, machine.observe(), {(PF, 0): {"trust": False}}, effect=0.2)
    assert str(missed) == "trust of VF 0 of 0000:01:00.0: the kernel took it, and it is not there"


def test_a_vf_that_went_to_the_next_guest_is_not_left_by_the_first(tmp_path: Path) -> None:
    tenants = Tenants(tmp_path / "guests")
    with tenants.alone():
        tenants.note("a/../../x", [(PF, 0), (PF, 1)])
        tenants.note("web2", [(PF, 1)])
        assert tenants.leave("a/../../x") == [(PF, 0)]
        assert tenants.leave("a/../../x") == []
        assert tenants.leave("web2") == [(PF, 1)]
    assert sorted(path.name for path in (tmp_path / "guests").iterdir()) == ["lock"]


def test_a_damaged_note_says_nothing(tmp_path: Path) -> None:
    tenants = Tenants(tmp_path / "guests")
    with tenants.alone():
        tenants.note("web", [(PF, 0)])
        (note,) = (tmp_path / "guests").glob("*.json")
        note.write_text('{"vfs": [1, 2]}')
        assert tenants.leave("web") == []


def test_one_guest_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hygiene, "_PATIENCE", 0.2)
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with Tenants(tmp_path / "guests").alone():
            held.set()
            over.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(10)
    began = time.monotonic()
    with pytest.raises(ReconcilerError, match="take too long"), Tenants(tmp_path / "guests").alone():
        pytest.fail("two at once")
    assert time.monotonic() - began < 5
    over.set()
    thread.join()


def test_all_notes_are_read_without_holding_them(tmp_path: Path) -> None:
    tenants = Tenants(tmp_path / "guests")
    assert (tenants.noted(), tenants.looked) == ({}, False)
    with tenants.alone():
        tenants.note("web", [(PF, 1), (PF, 0)])
        tenants.note_look()
        (tmp_path / "guests" / "x.json").write_text('{"domain": 3}')
    assert tenants.noted() == {"web": {(PF, 0), (PF, 1)}}
    assert tenants.looked
