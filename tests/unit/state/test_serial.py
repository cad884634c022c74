from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.state.desired import (
    Desired,
    DesiredDomain,
    DesiredNic,
    DesiredPf,
    DesiredPool,
    DesiredVf,
    PfMatch,
    Policy,
    VfRef,
)
from reconciler.state.load import load
from reconciler.state.serial import desired_from_json, desired_to_json
from tests.unit.state.support import STATES, desired, file

names = st.text(min_size=1, max_size=6)
maybe_name = st.none() | names
attributes = st.fixed_dictionaries(
    {},
    optional={
        "mac": st.sampled_from(["00:00:00:00:00:00", "52:54:00:00:00:01"]),
        "vlan": st.integers(0, 4094),
        "qos": st.integers(0, 1),
        "vlan_proto": st.sampled_from(["802.1Q", "802.1ad"]),
        "trust": st.booleans(),
        "max_tx_rate": st.integers(0, 1),
    },
)
drivers = st.sampled_from([None, "none", "vfio-pci", "kernel"])
refs = st.builds(VfRef, pf=names, index=st.integers(0, 65535))
vfs = st.builds(DesiredVf, index=st.integers(0, 99), attributes=attributes, driver=drivers)
pfs = st.builds(
    DesiredPf,
    name=names,
    match=st.builds(PfMatch, name=names, mac=maybe_name),
    link=st.sampled_from([None, "up", "down"]),
    vfs=st.none() | st.integers(0, 99),
    vf_driver=drivers,
    optional=st.booleans(),
    vf_defaults=attributes,
    vf=st.lists(vfs, max_size=3).map(lambda found: {vf.index: vf for vf in found}),
)
states = st.sampled_from(["present", "absent"])
pools = st.builds(
    DesiredPool,
    name=names,
    state=states,
    pf=maybe_name,
    vfs=st.lists(refs, max_size=3).map(tuple),
    autostart=st.none() | st.booleans(),
)
nics = st.builds(
    DesiredNic,
    domain=names,
    key=names,
    state=states,
    method=st.sampled_from(["interface", "hostdev", "pool"]),
    pool=maybe_name,
    vf=st.none() | refs,
    attributes=attributes,
)
domains = st.builds(DesiredDomain, name=names, optional=st.booleans(), nics=st.dictionaries(names, nics, max_size=2))
hosts = st.builds(
    Desired,
    host_name=maybe_name,
    policy=st.builds(Policy, max_vfs_per_domain=st.integers(1, 99)),
    blacklist=st.none() | st.lists(names, max_size=2).map(tuple),
    pfs=st.dictionaries(names, pfs, max_size=2),
    pools=st.dictionaries(names, pools, max_size=2),
    domains=st.dictionaries(names, domains, max_size=2),
    lines=st.dictionaries(names, st.integers(1, 99), max_size=2),
)


def types(value: Any) -> Any:
    """Values with their types: True == 1 in Python."""
    if isinstance(value, dict):
        return {key: types(item) for key, item in value.items()}
    return [types(item) for item in value] if isinstance(value, list) else (type(value), value)


@given(hosts)
@settings(max_examples=40, deadline=None)
def test_round_trip(host: Desired) -> None:
    document = desired_to_json(host)
    again = desired_from_json(json.loads(json.dumps(document)))
    assert again == host
    assert types(desired_to_json(again)) == types(document)


@pytest.mark.parametrize("path", sorted(STATES.glob("*.toml")), ids=lambda path: path.name)
def test_example_hosts(path) -> None:  # type: ignore[no-untyped-def]
    host = load(path.name, path.read_bytes())
    assert desired_from_json(json.loads(json.dumps(desired_to_json(host)))) == host


def test_index_keys_come_back_as_numbers() -> None:
    host = desired(file("vf.'2-3'.trust = true"))
    document = json.loads(json.dumps(desired_to_json(host)))
    assert list(document["pfs"]["int"]["vf"]) == ["2", "3"]
    again = desired_from_json(document)
    assert list(again.pfs["int"].vf) == [2, 3]
    assert again.pfs["int"].vf[2].attributes["trust"] is True


def test_nothing_undeclared_is_written() -> None:
    document = desired_to_json(desired(file("")))
    assert document == {
        "schema": 1,
        "policy": {"disruption": "vf-reset", "max_vfs_per_domain": 32},
        "pfs": {"int": {"name": "int", "match": {"name": "p1p1"}, "vfs": 8, "optional": False}},
        "lines": {"schema": 1, "pf.int": 2, "pf.int.match": 3, "pf.int.match.name": 3, "pf.int.vfs": 4},
    }


def test_an_empty_blacklist_is_not_none() -> None:
    document = desired_to_json(desired("schema = 1\nmodules.blacklist = []"))
    assert document["blacklist"] == []
    assert desired_from_json(document).blacklist == ()


def test_keys_that_are_not_known_are_ignored() -> None:
    host = desired(file("vf.1.vlan = 1"))
    document = desired_to_json(host)
    document["new"] = document["pfs"]["int"]["new"] = document["pfs"]["int"]["vf"]["1"]["new"] = 3
    assert desired_from_json(document) == host


@pytest.mark.parametrize("document", [{"pfs": 3}, {"pfs": {"a": {}}}, {"policy": {"disruption": "x"}}])
def test_no_such_document(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        desired_from_json(document)
