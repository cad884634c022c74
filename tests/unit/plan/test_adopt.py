"""A description of any host is a valid file whose plan is empty; what can't be described is told."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.host.model import Domain, Network, Nic, Pf, Snapshot
from reconciler.plan import adopt as adopt_module
from reconciler.plan.adopt import Adopted, adopt
from reconciler.plan.planner import make_plan
from reconciler.state.load import load
from tests.hosts import guest, host, igb, igb_vf


def described(snapshot: Snapshot) -> Adopted:
    adopted = adopt(snapshot)
    plan = make_plan(load("f", adopted.text.encode()), snapshot)
    assert (plan.verdict, plan.actions, adopted.wrong) == ("in-sync", [], [])
    return adopted


def nic(number: int, pf: Pf, vf: int, **changes: Any) -> Nic:
    values = {"method": "interface", "mac": f"52:54:00:00:00:{number:02x}", "vf_address": pf.vfs[vf].address, **changes}
    return Nic(**values)


@pytest.mark.parametrize("method", ["interface", "hostdev"])
def test_a_vf_is_promised_once(method: str) -> None:
    pf = igb(1, 4, up=True)
    mac = {"mac": None} if method == "hostdev" else {}
    guests = [guest(name, config=[nic(n, pf, 1, method=method, **mac)]) for n, name in enumerate(("a", "b"))]
    found = described(host(pf, domains=guests))
    assert list(found.state["domain"]) == ["a"]
    assert "of b: its VF 0000:01:10.2 is in a pool or promised" in found.left_out[0]


def test_no_key_is_given_twice() -> None:
    pf = igb(1, 4, up=True)
    nics = [nic(0, pf, 0), nic(1, pf, 1), nic(2, pf, 2, alias="ua-rec-nic1"), nic(3, pf, 3, alias="ua-rec-" + "k" * 65)]
    found = described(host(pf, domains=[guest("a", config=nics)]))
    assert list(found.state["domain"]["a"]["nic"]) == ["nic0", "nic1x", "nic1", "nic3"]


def test_a_guest_with_more_nics_than_usual() -> None:
    pf = igb(1, up=True, total_vfs=63, num_vfs=40)
    pf.vfs = [igb_vf(1, index) for index in range(40)]
    found = described(host(pf, domains=[guest("a", config=[nic(i, pf, i) for i in range(33)])]))
    assert found.state["policy"] == {"max_vfs_per_domain": 33}
    assert found.left_out == []


def test_the_vlan_that_mlx4_reports_for_none() -> None:
    pf = igb(1, 2)
    pf.vfs[0].attributes["vlan"] = 4095  # type: ignore[index]
    assert "vf" not in described(host(pf)).state["pf"]["enp1s0"]


@pytest.mark.parametrize("mtu", [0, 60, 70000, None])
def test_an_mtu_that_no_file_takes(mtu: int | None) -> None:
    assert any(text.startswith("mtu of enp1s0") for text in described(host(igb(1, mtu=mtu))).left_out)


def test_a_link_that_was_not_read() -> None:
    found = described(host(igb(1, up=None, mtu=None)))
    assert found.left_out == ["link of enp1s0: it could not be read", "mtu of enp1s0: it could not be read"]


def test_names_that_no_file_takes() -> None:
    pf = igb(1, 2, up=True)
    odd = Network("p\x1b[31m", "u", active=True, mode="hostdev", pf_dev="enp1s0")
    snapshot = host(pf, networks=[odd], domains=[guest("w\nx", config=[nic(1, pf, 1)])])
    snapshot.host.name = "a b\n"
    snapshot.modules.own = ["we ird"]
    found = described(snapshot)
    assert {"host", "pool", "domain", "modules"} & set(found.state) == set()
    assert len(found.left_out) == 4


@pytest.mark.parametrize(("mac", "why"), [("ff:ff:ff:ff:ff:ff", "multicast"), ("52:54:00:00:00:01", "twice")])
def test_macs_that_no_file_takes(mac: str, why: str) -> None:
    pf = igb(1, 2)
    for vf in pf.vfs:
        vf.attributes["mac"] = mac  # type: ignore[index]
    assert why in described(host(pf)).left_out[-1]


def test_a_nic_whose_plan_would_not_be_empty_is_left_out() -> None:
    pf = igb(1, 2, up=True, carrier=True)
    pf.vfs[1].driver = "vfio-pci"
    transient = Domain("t", "u", running=True, persistent=False, live=[nic(1, pf, 1, alias="hostdev0")])
    found = described(host(pf, domains=[transient]))
    assert "domain" not in found.state
    assert found.left_out == ["domain.t.nic.nic0: its plan would not be empty, but vf.set"]


def test_what_no_rule_takes_is_left_out_whatever_it_is() -> None:
    pf = igb(1, 3)
    for index, vf in enumerate(pf.vfs):
        vf.attributes.update(vlan=5000 if index else 7)  # type: ignore[union-attr]
    found = described(host(pf))
    assert set(found.state["pf"]["enp1s0"]["vf"]) == {"0"}
    assert found.left_out[0].startswith("pf.enp1s0.vf.1: ")


def test_rates_that_contradict_each_other_are_left_out_and_no_more_than_they() -> None:
    pf = igb(1, 2)
    pf.vfs[1].attributes.update(min_tx_rate=100, max_tx_rate=50, spoofchk=False)  # type: ignore[union-attr]
    found = described(host(pf))
    assert found.state["pf"]["enp1s0"]["vf"] == {"1": {"spoofchk": False}}
    assert found.left_out == ["rates of VF 1 of enp1s0: the lower is above the upper"]


def test_what_can_not_be_left_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = adopt_module._Adopter.all

    def flawed(self: Any) -> Adopted:
        found = real(self)
        found.state["pf"]["enp1s0"]["mtu"] = 9000
        return found

    monkeypatch.setattr(adopt_module._Adopter, "all", flawed)
    assert adopt(host(igb(1))).wrong == ["pf.enp1s0: its plan would not be empty, but pf.set_mtu"]
