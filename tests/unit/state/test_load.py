"""What a valid file means."""

from __future__ import annotations

import pytest

from reconciler.diagnostics import StateFileError
from reconciler.state.desired import (
    ZERO_MAC,
    DesiredDomain,
    DesiredNic,
    DesiredPf,
    DesiredPool,
    DesiredVf,
    PfMatch,
    Policy,
    VfRef,
)
from reconciler.state.load import load, load_with_notes
from tests.unit.state.support import STATES, desired, errors, file


def test_only_what_is_declared() -> None:
    host = desired(file(""))
    assert host.pfs == {"int": DesiredPf(name="int", match=PfMatch(name="p1p1"), vfs=8)}
    assert host.policy == Policy(disruption="vf-reset", max_vfs_per_domain=32)
    assert host.schema == 1
    assert host.host_name is None
    assert host.blacklist is None
    assert not host.pools
    assert not host.domains


def test_values_that_mean_nothing_are_values() -> None:
    host = desired(
        file(
            "[modules]\nblacklist = []\n[pf.x]\nmatch.name = 'x'\nvfs = 0\nvf_driver = 'none'\n"
            "[pf.x.vf_defaults]\nvlan = 0\ntrust = false\nlink_state = 'auto'\nmax_tx_rate = 0\n"
            "[domain.d.nic.n]\nvf = 'int/3'\nmethod = 'hostdev'\nmac = 'none'\nqos = 0"
        )
    )
    assert host.blacklist == ()
    assert host.pfs["x"].vfs == 0
    assert host.pfs["x"].vf_driver == "none"
    assert host.pfs["x"].vf_defaults == {"vlan": 0, "trust": False, "link_state": "auto", "max_tx_rate": 0}
    assert host.domains["d"].nics["n"].attributes == {"mac": ZERO_MAC, "qos": 0}


def test_everything_at_once() -> None:
    host = desired(
        file(
            "[host]\nname = 'r620-01'\n[policy]\ndisruption = 'guest'\nmax_vfs_per_domain = 2\n"
            "[modules]\nblacklist = ['ixgbevf', 'pci-stub']\n"
            "[pf.ext]\noptional = true\nlink = 'down'\nmtu = 9000\nvfs = 4\nvf_driver = 'vfio-pci'\n"
            "match = { address = '3B:00.0', mac = 'AA:BB:CC:DD:EE:F0', vendor = '0x8086', device = '10FB' }\n"
            "[pf.ext.vf.1]\nmac = '52:54:00:00:00:0A'\nvlan_proto = '802.1ad'\ndriver = 'kernel'\n"
            "[pool.p]\nvfs = ['int/5-6', 'int/0']\nautostart = false\n"
            "[pool.all]\npf = 'ext'\nstate = 'absent'\n"
            "[domain.'web.1']\noptional = true\n"
            "[domain.'web.1'.nic]\na.pool = 'p'\nb.vf = 'int/3'\nc = { pf = 'int', state = 'absent' }"
        )
    )
    assert host.host_name == "r620-01"
    assert host.policy == Policy(disruption="guest", max_vfs_per_domain=2)
    assert host.blacklist == ("ixgbevf", "pci-stub")
    assert host.pfs["ext"] == DesiredPf(
        name="ext",
        match=PfMatch(address="0000:3b:00.0", mac="aa:bb:cc:dd:ee:f0", vendor="8086", device="10fb"),
        link="down",
        mtu=9000,
        vfs=4,
        vf_driver="vfio-pci",
        optional=True,
        vf={1: DesiredVf(index=1, attributes={"mac": "52:54:00:00:00:0a", "vlan_proto": "802.1ad"}, driver="kernel")},
    )
    refs = tuple(VfRef(pf="int", index=index) for index in (5, 6, 0))
    assert host.pools == {
        "p": DesiredPool(name="p", vfs=refs, autostart=False),
        "all": DesiredPool(name="all", pf="ext", state="absent"),
    }
    assert host.domains == {
        "web.1": DesiredDomain(
            name="web.1",
            optional=True,
            nics={
                "a": DesiredNic(domain="web.1", key="a", method="pool", pool="p"),
                "b": DesiredNic(domain="web.1", key="b", vf=VfRef(pf="int", index=3)),
                "c": DesiredNic(domain="web.1", key="c", pf=("int",), state="absent"),
            },
        )
    }


def test_precedence_of_single_indexes_and_ranges() -> None:
    """Attribute by attribute, wherever the tables stand; defaults stay apart."""
    host = desired(
        file(
            "[pf.int.vf.5]\nvlan = 5\n[pf.int.vf.'4-6']\nvlan = 4\ntrust = true\ndriver = 'none'\n"
            "[pf.int.vf.6]\ndriver = 'kernel'\n[pf.int.vf_defaults]\nqos = 1"
        )
    )
    assert list(host.pfs["int"].vf) == [4, 5, 6]
    assert host.pfs["int"].vf[4] == DesiredVf(index=4, attributes={"vlan": 4, "trust": True}, driver="none")
    assert host.pfs["int"].vf[5] == DesiredVf(index=5, attributes={"vlan": 5, "trust": True}, driver="none")
    assert host.pfs["int"].vf[6] == DesiredVf(index=6, attributes={"vlan": 4, "trust": True}, driver="kernel")
    assert host.pfs["int"].vf_defaults == {"qos": 1}


def test_lines() -> None:
    host = desired(
        file(
            "[pf.int.vf.5]\nvlan = 5\n[pf.int.vf.'4-6']\nvlan = 4\ntrust = true\n"
            "[pool.p]\nvfs = [\n'int/1',\n]\n"
            "[domain.'a.b'.nic.c]\nvf = 'int/3'\nmac = '52:54:00:00:00:01'\n[modules]\nblacklist = []\n"
            "[pf.int.vf_defaults]\nqos = 0\n[policy]\n[domain.e]\noptional = true"
        )
    )
    where = {
        "schema": 1,
        "pf.int": 2,
        "pf.int.match": 3,
        "pf.int.match.name": 3,
        "pf.int.vfs": 4,
        "pf.int.vf.5": 6,
        "pf.int.vf.5.vlan": 7,
        "pf.int.vf.5.trust": 10,
        "pf.int.vf.4": 8,
        "pf.int.vf.4.vlan": 9,
        "pf.int.vf.6.trust": 10,
        "pool.p": 11,
        "pool.p.vfs": 12,
        'domain."a.b"': 15,
        'domain."a.b".nic.c': 15,
        'domain."a.b".nic.c.vf': 16,
        'domain."a.b".nic.c.mac': 17,
        "modules": 18,
        "modules.blacklist": 19,
        "pf.int.vf_defaults": 20,
        "pf.int.vf_defaults.qos": 21,
        "policy": 22,
        "domain.e": 23,
        "domain.e.optional": 24,
    }
    where |= {"pf.int.vf.6": 8, "pf.int.vf.6.vlan": 9, "pf.int.vf.4.trust": 10}
    assert host.lines == where
    assert host.line("pf.int.vf.4", "qos") == 8


@pytest.mark.parametrize("path", sorted(STATES.glob("*.toml")), ids=lambda path: path.name)
def test_example_hosts(path) -> None:  # type: ignore[no-untyped-def]
    text = path.read_bytes()
    assert text.startswith(b"#:schema ../schemas/host-state.schema.json\n")
    host, notes = load_with_notes(str(path), text)
    assert host.pfs
    assert not notes


def test_the_example_hosts_show_every_method() -> None:
    for name in ("lab.toml", "r620-x520.toml"):
        host = load(name, (STATES / name).read_bytes())
        methods = {nic.method for domain in host.domains.values() for nic in domain.nics.values()}
        assert methods == {"interface", "hostdev", "pool"}


def test_the_error_has_the_exit_code_and_the_path() -> None:
    with pytest.raises(StateFileError) as caught:
        load("states/a.toml", b"schema = 1\nx = 1\n")
    assert caught.value.code == 65
    assert [error.path for error in caught.value.diagnostics] == ["states/a.toml"]
    assert all(error.severity == "error" for error in caught.value.diagnostics)


WHOLE = """#:schema ../schemas/host-state.schema.json
schema = 1
[host]
name = "r620-01"
[policy]
disruption = "vf-reset"
max_vfs_per_domain = 32
[kernel]
cmdline = ["intel_iommu=on", "iommu=pt"]
[modules]
blacklist = ["ixgbevf"]
load = ["vfio-pci"]
[services]
irqbalance = "running"
[hugepages]
2M = 4096
[pf.int]
match = { name = "p1p1" }
link = "up"
mtu = 9000
vfs = 63
vf_driver = "none"
optional = false
host_network = "ignore"
[pf.int.vf_defaults]
spoofchk = true
trust = false
[pf.int.vf.0]
mac = "52:54:00:6d:90:00"
vlan = 100
max_tx_rate = 100
[pf.int.vf."4-7"]
max_tx_rate = 1000
[pool.sriov-int]
vfs = ["int/8-62"]
autostart = true
[domain.web1.nic.data]
pool = "sriov-int"
mac = "52:54:00:6d:90:02"
vlan = 100
max_tx_rate = 1000
[domain.web1.nic.mgmt]
vf = "int/3"
mac = "52:54:00:6d:90:03"
[domain.db1.nic.fast]
pf = "int"
method = "hostdev"
mac = "52:54:00:6d:90:04"
"""


def test_a_whole_file() -> None:
    """Every key of the language."""
    assert errors(WHOLE) == []
