"""The snapshot document."""

from __future__ import annotations

import json
import time
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.diagnostics import ReconcilerError
from reconciler.host.model import (
    Applied,
    Domain,
    HostIdentity,
    Libvirt,
    Modules,
    Network,
    NetworkPort,
    Nic,
    Pf,
    Process,
    Snapshot,
    Use,
    Vf,
)
from reconciler.host.protocol import Scope
from reconciler.host.snapshot import SnapshotReader, dump, load, snapshot_schema
from reconciler.state.desired import Attributes


def host(vfs: int = 2, pfs: int = 1) -> Snapshot:
    """A host with a bit of everything."""
    snapshot = Snapshot(tool="0.1.0", taken_at="2026-01-01T00:00:00Z", host=HostIdentity("a", "b", "c", "d"))
    for number in range(pfs):
        pf = Pf("pci", f"0000:{number:02x}:00.0", f"p{number}", total_vfs=vfs, num_vfs=vfs, numa_node=0)
        pf.uses.append(Use("route", "default via 192.0.2.1"))
        for index in range(vfs):
            attributes: Attributes = {
                "mac": "02:00:00:00:00:01",
                "vlan": index,
                "trust": True,
                "max_tx_rate": 0,
            }
            pf.vfs.append(Vf(index, f"0000:{number:02x}:10.{index % 8}", "vfio-pci", attributes=attributes))
        snapshot.pfs[pf.id] = pf
    snapshot.modules = Modules(["igbvf"], [], None)
    nic = Nic("pool", "ua-rec-data", "52:54:00:00:00:01", "0000:00:10.0", "p", 100)
    network = Network("p", "u", True, mode="hostdev", ports=[NetworkPort("web1", None, "0000:00:10.0")])
    snapshot.libvirt = Libvirt(
        available=True,
        version=11003000,
        domains={"web1": Domain("web1", "u", live=[nic])},
        networks={"p": network},
    )
    snapshot.vfio_open = {12: [Process(42, "qemu")], 3: []}
    snapshot.ledger = {"pci/0000:00:00.0": {"vfs": Applied(7), "x": Applied(["a"], "boot", "run"), "y": Applied(None)}}
    snapshot.notes = ["Ä note."]
    return snapshot


def test_round_trip() -> None:
    text = dump(host())
    assert load(text.encode(), "f") == host()
    assert dump(load(text.encode(), "f")) == text
    assert text.endswith("}\n")
    assert "Ä" in text


@settings(deadline=None, max_examples=60)
@given(st.builds(Snapshot, pfs=st.just({}), libvirt=st.builds(Libvirt, domains=st.just({}), networks=st.just({}))))
def test_any_snapshot_round_trips(snapshot: Snapshot) -> None:
    snapshot.format = "reconciler-snapshot/1"
    assert load(dump(snapshot).encode(errors="surrogatepass"), "f") == snapshot


def test_the_order_of_keys_does_not_show() -> None:
    one, two = host(), host()
    two.ledger = {key: dict(reversed(fields.items())) for key, fields in reversed(two.ledger.items())}
    two.vfio_open = {3: [], 12: [Process(42, "qemu")]}
    two.pfs["pci/0000:00:00.0"].vfs[0].attributes = dict(
        reversed((two.pfs["pci/0000:00:00.0"].vfs[0].attributes or {}).items())
    )
    assert dump(one) == dump(two)


def test_values_keep_their_types() -> None:
    document = json.loads(dump(host()))
    document["pfs"]["pci/0000:00:00.0"]["vfs"][0]["attributes"] = {"trust": True, "vlan": 1, "mac": "52:54:00:00:00:01"}
    vf = load(json.dumps(document).encode(), "f").pfs["pci/0000:00:00.0"].vfs[0]
    assert [(key, type(value)) for key, value in (vf.attributes or {}).items()] == [
        ("trust", bool),
        ("vlan", int),
        ("mac", str),
    ]


def changed(**values: Any) -> bytes:
    return json.dumps({**json.loads(dump(host())), **values}).encode()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "f is no JSON"),
        (b"{", "f is no JSON"),
        (b"\xff\xfe", "f is no JSON"),
        (b"[" * 100_000, "f is no JSON"),
        (b"[]", "it has no format"),
        (b"{}", "it has no format"),
        (b"null", "it has no format"),
        (b'{"format": "reconciler-plan/1"}', "its format is 'reconciler-plan/1'"),
        (b'{"format": "reconciler-snapshot/2"}', "'reconciler-snapshot/2', which takes a newer reconciler"),
        (b'{"format": "reconciler-sim/1"}', "it is a simulated host. Use it with --host sim:f"),
        (b'{"format": ["reconciler-snapshot/1"]}', "its format is ["),
        (changed(pfs=[]), "pfs: "),
        (changed(pfs={"pci/x": {"bus": "pci"}}), 'pfs."pci/x".device: Field required'),
        (changed(vfio_open={"x": []}), "vfio_open.x"),
        (changed(modules={"loaded": "igb"}), "modules.loaded: "),
        (
            changed(libvirt={"domains": {"a": {"name": "a", "uuid": "u", "live": [{"method": "x"}]}}}),
            "live.0.method",
        ),
        (
            changed(libvirt={"domains": {"a": {"name": "b", "uuid": "u"}}}),
            "'a' is listed under that name but is 'b'",
        ),
        (changed(notes=[1, 2, 3, 4, 5, 6, 7]), "and 2 more"),
    ],
)
def test_bad_documents_are_refused_with_the_place(data: bytes, says: str) -> None:
    with pytest.raises(ReconcilerError) as caught:
        load(data, "f")
    assert caught.value.code == 65
    assert says in caught.value.detail


@given(st.binary(max_size=60))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ReconcilerError):
        load(data, "f")


def test_unknown_keys_are_ignored() -> None:
    assert load(changed(later={"a": 1}), "f") == host()


def test_the_schema_fits_the_document() -> None:
    schema = snapshot_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(dump(host())), schema)
    jsonschema.validate(json.loads(changed(later=1)), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(changed(format="reconciler-plan/1")), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(changed(pfs=[])), schema)


def test_ten_thousand_vfs_are_quick() -> None:
    snapshot = host(vfs=250, pfs=40)
    started = time.monotonic()
    assert len(load(dump(snapshot).encode(), "f").pfs) == 40
    assert time.monotonic() - started < 5


def test_the_reader() -> None:
    snapshot = host()
    reader = SnapshotReader(snapshot)
    assert reader.observe() is snapshot
    reader.refresh(snapshot, Scope("pf", "pci/0000:00:00.0"))
    assert snapshot == host()
