"""The rules that follow from what the drivers do, and what planning makes of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.diagnostics import Diagnostic
from reconciler.drivers.cards import card_name
from reconciler.drivers.facts import PLAIN
from reconciler.drivers.readback import matches
from reconciler.drivers.rules import Situation, refusal
from reconciler.drivers.table import DRIVERS, facts
from reconciler.host.model import Applied, Nic, Snapshot
from reconciler.plan.inventory import take_inventory
from reconciler.plan.planner import make_plan
from reconciler.report.diagnostics_text import diagnostic_lines
from reconciler.report.style import Style
from reconciler.state.desired import ZERO_MAC
from tests.hosts import desired, guest, host, igb

UP = Situation(up=True, carrier=True, speed=10000, vf=dict(PLAIN))
MIN_RATES = {"ice", "mlx5_core", "bnxt_en", "qede", "nfp", "netdevsim", "hinic", "qlcnic", "fm10k"}


def diagnostics(vf: str, driver: str, *, pf: str = 'link = "up"\nvfs = 2', **card: Any) -> list[Diagnostic]:
    """What planning says of one VF's table on a card of this driver."""
    card = {"up": True, "carrier": True, "speed": 10000, "total_vfs": 64, "device_id": "ffff", **card}
    snapshot = host(igb(1, card.pop("there", 2), driver=driver, **card), domains=[guest("web")])
    text = f'[pf.int]\nmatch = {{ name = "enp1s0" }}\n{pf}\n' + (f"[pf.int.vf.0]\n{vf}\n" if vf else "")
    return make_plan(desired(text), snapshot).diagnostics


def codes(vf: str, driver: str, **given: Any) -> list[tuple[str, str]]:
    return [(item.severity, item.code) for item in diagnostics(vf, driver, **given)]


def test_rule_1_ixgbe_has_no_link_state_enable() -> None:
    [item] = diagnostics('link_state = "enable"', "ixgbe")
    assert (item.severity, item.code, item.address) == ("error", "driver-alters", "pf.int.vf.0")
    assert item.detail.startswith("ixgbe accepts link_state = enable and ignores it")


@pytest.mark.parametrize("driver", ["bnx2x", "sfc", "rvu_nicpf", "enic", "virtio-pci"])
def test_rule_1_no_rates(driver: str) -> None:
    assert refusal(DRIVERS[driver], {"min_tx_rate": 0, "max_tx_rate": 100}, UP) is not None
    assert ("error", "driver-refuses") in codes("max_tx_rate = 100", driver)


def test_rule_1_no_rates_on_i350() -> None:
    assert codes("max_tx_rate = 100", "igb", device_id="1521", speed=1000) == [("error", "driver-refuses")]
    assert codes("max_tx_rate = 100", "igb", device_id="10c9", speed=1000) == []


@pytest.mark.parametrize("driver", sorted(set(DRIVERS) - MIN_RATES))
def test_rule_1_no_min_tx_rate(driver: str) -> None:
    assert refusal(DRIVERS[driver], {"min_tx_rate": 100, "max_tx_rate": 200}, UP) is not None


def test_rule_1_the_rates_of_ixgbe() -> None:
    [item] = diagnostics("max_tx_rate = 5", "ixgbe")
    assert (item.severity, item.code) == ("error", "driver-refuses")
    assert "ixgbe accepts 0 or 11..10000 Mbit/s; max_tx_rate = 5." in item.detail
    assert codes("max_tx_rate = 100", "ixgbe", speed=1000) == [("error", "driver-refuses")]
    assert codes("max_tx_rate = 100", "ixgbe") == []


def test_rule_1_the_rates_of_i40e() -> None:
    assert codes("max_tx_rate = 49", "i40e") == [("error", "driver-refuses")]
    [item] = diagnostics("max_tx_rate = 120", "i40e")
    assert (item.severity, item.code) == ("warning", "driver-alters")
    assert item.detail.startswith("i40e rounds 120 down to 100 Mbit/s")
    assert codes("max_tx_rate = 150", "i40e") == []


def test_rule_1_be2net_from_100() -> None:
    assert codes("max_tx_rate = 99", "be2net") == [("error", "driver-refuses")]
    assert codes("max_tx_rate = 100", "be2net") == []


@pytest.mark.parametrize("driver", ["sfc", "cxgb4", "fm10k", "rvu_nicpf", "bnx2x", "qede"])
def test_rule_1_no_qos(driver: str) -> None:
    assert "error" in [severity for severity, _ in codes("vlan = 5\nqos = 3", driver)]


@pytest.mark.parametrize("driver", sorted(DRIVERS))
def test_rule_1_802_1ad_only_where_it_can_be(driver: str) -> None:
    able = {"ice", "mlx4_core", "bnxt_en", "nfp", "netdevsim"}
    refused = refusal(DRIVERS[driver], {"vlan": 5, "qos": 0, "vlan_proto": "802.1ad"}, UP)
    assert (refused is None) == (driver in able)
    assert driver == "netdevsim" or ("802.1ad" in DRIVERS[driver].firmware) == (driver in able)


@pytest.mark.parametrize("driver", ["bnx2x", "qede", "cxgb4", "be2net", "rvu_nicpf"])
def test_rule_1_the_zero_mac(driver: str) -> None:
    refused = refusal(DRIVERS[driver], {"mac": ZERO_MAC}, UP)
    assert refused is not None
    assert refused.attribute == "mac"


@pytest.mark.parametrize("driver", ["mlx4_core", "enic"])
def test_rule_1_a_count_that_sysfs_does_not_take(driver: str) -> None:
    [item] = diagnostics("", driver, there=0)
    assert (item.severity, item.code, item.address) == ("error", "count-not-writable", "pf.int")
    assert DRIVERS[driver].count.how in item.detail
    assert diagnostics("", driver, there=2) == []


def test_rule_1_a_limit_is_not_taken_away_on_qede() -> None:
    limited = igb(1, 2, driver="qede", up=True, carrier=True, speed=10000)
    (limited.vfs[0].attributes or {})["max_tx_rate"] = 500
    (limited.vfs[1].attributes or {})["max_tx_rate"] = 10000
    text = '[pf.int]\nmatch = { name = "enp1s0" }\n[pf.int.vf_defaults]\nmax_tx_rate = 0\n'
    plan = make_plan(desired(text), host(limited))
    assert [(d.severity, d.code, d.address) for d in plan.diagnostics] == [("error", "driver-alters", "pf.int.vf.0")]
    assert "can't take one away" in plan.diagnostics[0].detail


@pytest.mark.parametrize("driver", ["bnxt_en", "bnx2x"])
def test_rule_2_the_pf_is_up_before_vfs_are_made(driver: str) -> None:
    down = {"there": 0, "up": False, "carrier": None, "speed": None}
    assert codes("", driver, pf="vfs = 2", **down) == [("error", "count-needs-up")]
    assert codes("", driver, pf='link = "down"\nvfs = 2', **down) == [("error", "count-needs-up")]
    assert codes("", driver, **down) == []
    card = igb(1, 0, driver=driver, up=False, total_vfs=8)
    text = '[pf.int]\nmatch = { name = "enp1s0" }\nlink = "up"\nvfs = 2\n'
    assert [action.op for action in make_plan(desired(text), host(card)).actions] == ["pf.set_link", "pf.set_numvfs"]


@pytest.mark.parametrize("driver", ["ixgbe", "igb", "be2net", "cxgb4", "ice", "hinic"])
def test_rule_2_the_pf_is_up_before_a_rate(driver: str) -> None:
    down = {"up": False, "carrier": None, "speed": None}
    assert codes("max_tx_rate = 100", driver, pf="", **down) == [("error", "rate-needs-link")]
    assert codes("max_tx_rate = 100", driver, pf='link = "down"') == [("error", "rate-needs-link")]
    assert codes("max_tx_rate = 100", driver, **down) == []


def test_rule_2_rvu_nicpf_sets_nothing_while_it_is_down() -> None:
    assert codes("vlan = 5", "rvu_nicpf", pf="", up=False, carrier=None) == [("error", "driver-needs-up")]


def test_rule_3_spoofchk_is_off_before_the_mac_and_on_after_it() -> None:
    card = igb(1, 2, up=True, carrier=True)
    (card.vfs[1].attributes or {})["spoofchk"] = False
    text = (
        '[pf.int]\nmatch = { name = "enp1s0" }\n'
        '[pf.int.vf.0]\nmac = "52:54:00:00:00:51"\nspoofchk = false\ntrust = true\nvlan = 3\n'
        '[pf.int.vf.1]\nmac = "52:54:00:00:00:52"\nspoofchk = true\ntrust = true\nvlan = 3\n'
    )
    actions = make_plan(desired(text), host(card)).actions
    order = [[next(iter(a.args["set"])) for a in actions if a.args["vf"] == index] for index in (0, 1)]
    assert order == [["spoofchk", "mac", "vlan", "trust"], ["mac", "vlan", "spoofchk", "trust"]]


def test_rule_4_what_reads_back_differently() -> None:
    assert matches(facts("mlx5_core"), "vlan_proto", "802.1ad", {"vlan": 0, "qos": 0, "vlan_proto": "802.1Q"}) is True
    assert matches(facts("bnxt_en"), "vlan_proto", "802.1ad", {"vlan": 5, "vlan_proto": "802.1Q"}) is None
    assert matches(facts("bnx2x"), "max_tx_rate", 0, {"max_tx_rate": 10000}) is None
    assert matches(facts("qede"), "max_tx_rate", 0, {"max_tx_rate": 25000}, 25000) is True
    assert matches(facts("qede"), "max_tx_rate", 0, {"max_tx_rate": 500}, 25000) is False
    assert matches(facts("mlx4_core"), "max_tx_rate", 500, {"max_tx_rate": 0}) is None
    assert matches(facts("sfc"), "spoofchk", True, {}) is None


def test_rule_5_what_cannot_be_read_is_written_once() -> None:
    card = igb(1, 1, driver="bnxt_en", up=True, carrier=True, speed=10000)
    text = '[pf.int]\nmatch = { name = "enp1s0" }\n[pf.int.vf.0]\nvlan = 5\nvlan_proto = "802.1ad"\n'
    plan = make_plan(desired(text), host(card))
    assert [action.args["set"] for action in plan.actions] == [{"vlan": 5, "vlan_proto": "802.1ad"}]
    assert [(d.severity, d.code) for d in plan.diagnostics] == [("note", "driver-depends")]


def test_a_driver_that_is_not_in_the_table_and_one_that_is_not_the_kernels() -> None:
    assert codes("vlan = 5", "somebody") == [("note", "driver-unknown")]
    [item] = diagnostics("vlan = 5", "ixgbe", out_of_tree=True, driver_version="5.19.6")
    assert (item.severity, item.code) == ("note", "driver-out-of-tree")
    assert item.detail.startswith("ixgbe 5.19.6 (enp1s0) was built outside of the kernel.")


def test_what_a_pools_nic_asks_for_is_checked_before_it_has_a_vf() -> None:
    text = (
        '[pf.int]\nmatch = { name = "enp1s0" }\nlink = "up"\nvfs = 2\n[pool.p]\npf = "int"\n'
        '[domain.web.nic.a]\npool = "p"\nmax_tx_rate = 5\n'
    )
    card = igb(1, 2, driver="ixgbe", up=True, carrier=True, speed=10000)
    found = make_plan(desired(text), host(card, domains=[guest("web")])).diagnostics
    assert [(d.code, d.address) for d in found] == [("driver-refuses", "domain.web.nic.a")]


def test_the_same_of_many_vfs_is_one_line_for_people() -> None:
    text = '[pf.int]\nmatch = { name = "enp1s0" }\nlink = "up"\nvfs = 7\n[pf.int.vf_defaults]\nmax_tx_rate = 5\n'
    card = igb(1, 7, driver="ixgbe", up=True, carrier=True, speed=10000)
    found = make_plan(desired(text), host(card)).diagnostics
    assert len(found) == 7
    documents = [
        {"severity": d.severity, "code": d.code, "summary": d.summary, "detail": d.detail, "address": d.address}
        for d in found
    ]
    lines = diagnostic_lines([{**d, "line": 7} for d in documents], path="host.toml", style=Style(False))
    assert sum("max_tx_rate = 5" in line for line in lines) == 1
    assert any("pf.int.vf.[0-6]" in line for line in lines)


def test_cards_have_names() -> None:
    assert card_name("8086", "10fb") == "Intel X520 (82599)"
    assert card_name("8086", "ffff") is None
    assert card_name(None, None) is None
    [pf] = take_inventory(host(igb(1))).pfs
    assert (pf.card, pf.queues_per_vf) == ("Intel 82576", "1")


def rates_host(*pairs: tuple[int, int], driver: str = "ice", speed: int = 10000, **card: Any) -> Snapshot:
    """A card with a link whose VFs have these (min_tx_rate, max_tx_rate)."""
    pf = igb(1, len(pairs), driver=driver, device_id="ffff", up=True, carrier=True, speed=speed, total_vfs=64, **card)
    for vf, (least, most) in zip(pf.vfs, pairs, strict=True):
        (vf.attributes or {}).update(min_tx_rate=least, max_tx_rate=most)
    return host(pf)


def minimums(*rates: int, vfs: str = "") -> str:
    text = f'[pf.int]\nmatch = {{ name = "enp1s0" }}\n{vfs}\n'
    return text + "".join(f"[pf.int.vf.{index}]\nmin_tx_rate = {rate}\n" for index, rate in enumerate(rates))


@pytest.mark.parametrize("driver", ["ice", "qede"])
def test_a_minimum_goes_down_before_another_goes_up(driver: str) -> None:
    plan = make_plan(desired(minimums(6000, 1000)), rates_host((1000, 0), (6000, 0), driver=driver))
    assert plan.verdict == "changes"
    assert [(a.args["vf"], a.args["set"]["min_tx_rate"]) for a in plan.actions] == [(1, 1000), (0, 6000)]
    lower, raises = plan.actions
    assert raises.needs == [lower.id]
    only = make_plan(desired(minimums(6000, 1000)), rates_host((1000, 0), (6000, 0)), targets=["pf.int.vf.0"])
    assert [a.args["vf"] for a in only.actions] == [1, 0]


def test_minimums_that_nobody_declares_count_too() -> None:
    plan = make_plan(desired(minimums(6000)), rates_host((0, 0), (6000, 0)))
    assert [(d.severity, d.code, d.address) for d in plan.diagnostics] == [("error", "driver-refuses", "pf.int.vf.0")]
    assert "they would be 12000" in plan.diagnostics[0].detail
    assert make_plan(desired(minimums(4000)), rates_host((0, 0), (6000, 0))).verdict == "changes"


def test_a_minimum_that_no_longer_fits_is_not_given_back_to_new_vfs() -> None:
    plan = make_plan(desired(minimums(6000, vfs="vfs = 3")), rates_host((0, 0), (6000, 0)))
    assert plan.verdict == "changes"
    rates = [(a.args["vf"], a.args["set"]["min_tx_rate"]) for a in plan.actions if a.op == "vf.set"]
    assert rates == [(0, 6000)]


@pytest.mark.parametrize(("driver", "restored"), [("cxgb4", False), ("sfc", False), ("be2net", False), ("i40e", True)])
def test_a_generated_mac_is_not_made_the_administrators(driver: str, restored: bool) -> None:
    card = igb(1, 2, driver=driver, device_id="ffff", up=True, carrier=True, speed=10000, total_vfs=64)
    for vf in card.vfs:
        (vf.attributes or {})["mac"] = f"02:00:00:00:01:0{vf.index}"
    there = host(card)
    there.ledger[f"{card.id}/1"] = {"mac": Applied("02:00:00:00:01:01", "boot-1", "run-1")}
    actions = make_plan(desired('[pf.int]\nmatch = { name = "enp1s0" }\nvfs = 3\n'), there).actions
    given = [(a.args["vf"], a.args["set"]["mac"]) for a in actions if a.op == "vf.set" and "mac" in a.args["set"]]
    ours = (1, "02:00:00:00:01:01")
    assert given == ([(0, "02:00:00:00:01:00"), ours] if restored else [ours])
    undone = [step.args["set"]["mac"] for step in actions[0].undo.steps if "mac" in step.args.get("set", {})]
    assert undone == [mac for _, mac in given]


def test_a_mac_that_a_vfs_driver_chose_is_not_made_the_administrators() -> None:
    card = igb(1, 1, driver="i40e", up=True, carrier=True, speed=10000)
    card.vfs[0].driver = "iavf"
    (card.vfs[0].attributes or {})["mac"] = "02:00:00:00:01:00"
    actions = make_plan(desired('[pf.int]\nmatch = { name = "enp1s0" }\nvfs = 3\n'), host(card)).actions
    assert [a.op for a in actions] == ["pf.set_numvfs", "pf.set_numvfs"]


def keeps(driver: str, method: str = "hostdev") -> Snapshot:
    """A guest that runs and has the card's VF 0."""
    card = igb(1, 1, driver=driver, device_id="ffff", up=True, carrier=True, speed=10000)
    card.vfs[0].driver = "vfio-pci"
    nic = Nic(method, "ua-rec-a", vf_address=card.vfs[0].address)  # type: ignore[arg-type]
    nic.mac = None if method == "hostdev" else "52:54:00:00:00:99"
    return host(card, domains=[guest("web", running=True, live=[nic], config=[nic])])


NEW_MAC = '[pf.int]\nmatch = { name = "enp1s0" }\n[pf.int.vf.0]\nmac = "52:54:00:00:00:51"\n'


@pytest.mark.parametrize("driver", ["igb", "ixgbe", "mlx4_core", "nfp"])
def test_a_running_guest_keeps_its_old_mac_until_it_reloads_its_driver(driver: str) -> None:
    plan = make_plan(desired(NEW_MAC), keeps(driver))
    warnings = [d for d in plan.diagnostics if d.severity == "warning"]
    assert [(d.code, d.address) for d in warnings] == [("mac-needs-reload", "pf.int.vf.0")]
    assert warnings[0].detail.startswith("web has VF 0 of enp1s0 (0000:01:00.0) and runs")
    [action] = plan.actions
    assert (action.disruption, action.impact.domains) == ("vf-traffic", ["web"])


def test_a_new_mac_that_arrives_at_once_is_no_trouble() -> None:
    plan = make_plan(desired(NEW_MAC), keeps("bnxt_en"))
    assert plan.diagnostics == []
    assert [action.disruption for action in plan.actions] == ["none"]


def test_sfc_changes_no_mac_under_a_guest() -> None:
    [item] = make_plan(desired(NEW_MAC), keeps("sfc")).diagnostics
    assert (item.severity, item.code, item.address) == ("error", "driver-refuses", "pf.int.vf.0")
    assert "the kernel would answer EBUSY. Detach the NIC, or shut its guest down" in item.detail
    refused = refusal(DRIVERS["sfc"], {"vlan": 5}, replace(UP, held=True))
    assert refused is not None
    assert refused.attribute == "vlan"
    assert refusal(DRIVERS["sfc"], {"spoofchk": True}, replace(UP, held=True)) is None


@pytest.mark.parametrize("driver", ["bnx2x", "sfc", "enic"])
def test_the_refused_attribute_is_the_declared_one(driver: str) -> None:
    [item] = diagnostics("max_tx_rate = 100", driver)
    assert item.detail.startswith(f"{driver} has no max_tx_rate.")


def test_what_has_to_change_is_the_link_where_it_takes_no_value() -> None:
    [item] = diagnostics("max_tx_rate = 100", "ixgbe", speed=1000)
    assert item.detail.endswith("Give the port a link of 10000 Mbit/s: with this one no value is taken.")
    assert "Declare a value" not in item.detail


def test_what_depends_on_the_cards_mode() -> None:
    assert codes("vlan = 5\ntrust = true", "mlx5_core") == [("note", "driver-depends")] * 2
    assert codes("trust = true", "bnxt_en") == [("note", "driver-depends")]


def test_more_cards_have_names() -> None:
    assert [card_name("14e4", device) for device in ("1761", "1762", "1763", "168d")] == [
        "Broadcom BCM57604",
        "Broadcom BCM57602",
        "Broadcom BCM57601",
        "QLogic 57840",
    ]
    assert card_name("8086", "15ab") == "Intel X552"


def test_what_a_new_vf_would_not_keep_is_not_given_back_to_it() -> None:
    there = rates_host((0, 20000), (0, 500), driver="qede")
    plan = make_plan(desired('[pf.int]\nmatch = { name = "enp1s0" }\nvfs = 3\n'), there)
    rates = [(a.args["vf"], a.args["set"]) for a in plan.actions if "max_tx_rate" in a.args.get("set", {})]
    assert rates == [(1, {"max_tx_rate": 500})]


@pytest.mark.parametrize(("count", "severity"), [(2, "warning"), (3, "error")])
def test_a_port_that_goes_down_gives_nobody_his_vf_again(count: int, severity: str) -> None:
    """A NIC that stays is left alone; one on a VF that is made again would have to be attached without a link."""
    card = igb(1, 2, up=True, carrier=True)
    card.vfs[0].driver = "vfio-pci"
    (card.vfs[0].attributes or {})["mac"] = "52:54:00:00:00:99"
    nic = Nic("interface", "ua-rec-a", mac="52:54:00:00:00:99", vf_address=card.vfs[0].address)
    text = (
        f'[pf.int]\nmatch = {{ name = "enp1s0" }}\nlink = "down"\nvfs = {count}\n'
        '[domain.web.nic.a]\nvf = "int/0"\nmac = "52:54:00:00:00:99"\n'
    )
    there = host(card, domains=[guest("web", running=True, live=[nic], config=[nic])])
    assert [(d.severity, d.code) for d in make_plan(desired(text), there).diagnostics] == [(severity, "pf-down")]
