"""Rates of VFs' traffic, and the table of `inspect --watch`."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.drivers.facts import DROPS, RX_TX
from reconciler.host.counters import Counters, PfCounters, choose, per_vf
from reconciler.host.model import Nic
from reconciler.plan.inventory import build_inventory
from reconciler.plan.rates import Meter, build_rates
from reconciler.report.rates_text import per_second, render_rates
from tests.hosts import guest, host, igb

PF = "pci/0000:01:00.0"
ZERO: Counters = dict.fromkeys(sorted(RX_TX | DROPS), 0)


def counted(taken: float, **values: int) -> PfCounters:
    """VF 1, counted so far."""
    return PfCounters(taken, "rtnetlink", {1: {**ZERO, **values}})


def rate(meter: Meter, now: PfCounters, name: str = "rx_bytes") -> float | None:
    return meter.read(PF, now)[1][name]


def test_a_rate_is_the_difference_by_the_time_between() -> None:
    meter = Meter()
    assert rate(meter, counted(10, rx_bytes=1000)) is None
    assert rate(meter, counted(12, rx_bytes=5000)) == 2000
    assert rate(meter, counted(13, rx_bytes=5000)) == 0


def test_a_counter_that_begins_anew_gives_no_rate_and_never_a_negative_one() -> None:
    meter = Meter()
    rate(meter, counted(1, rx_bytes=1000, rx_packets=10))
    assert rate(meter, counted(2, rx_bytes=300, rx_packets=2)) is None
    assert rate(meter, counted(3, rx_bytes=500, rx_packets=4)) == 200


def test_a_moment_without_an_answer_makes_no_spike() -> None:
    meter = Meter()
    rate(meter, counted(1, rx_bytes=10**9))
    assert rate(meter, counted(2)) is None
    assert rate(meter, counted(3, rx_bytes=10**9 + 500)) == 250


def test_what_stays_at_zero_was_reset() -> None:
    meter = Meter()
    rate(meter, counted(1, rx_bytes=10**9))
    assert rate(meter, counted(2)) is None
    assert rate(meter, counted(3)) is None
    assert rate(meter, counted(4, rx_bytes=700)) == 700


def test_a_vf_that_is_made_again_begins_anew_and_one_that_was_not_answered_for_goes_on() -> None:
    meter = Meter()
    rate(meter, counted(1, rx_bytes=100))
    meter.read(PF, PfCounters(2, "rtnetlink", {}))
    assert rate(meter, counted(3, rx_bytes=900)) is None
    meter.read(PF, PfCounters(4, "unknown", problem="No such device"))
    assert rate(meter, counted(5, rx_bytes=1100)) == 100


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.floats(0.001, 10)), min_size=2, max_size=20))
def test_whatever_a_counter_does_no_rate_is_negative(steps: list[tuple[int, float]]) -> None:
    meter, now = Meter(), 0.0
    for value, seconds in steps:
        now += seconds
        found = rate(meter, counted(now, rx_bytes=value))
        assert found is None or found >= 0


def not_asked() -> dict[int, Counters]:
    raise AssertionError("ethtool is only asked where rtnetlink has nothing")


def test_what_a_driver_does_not_fill_in_is_no_zero() -> None:
    reported = {0: {**ZERO, "rx_bytes": 7}}
    ixgbe = choose(igb(1, driver="ixgbe", device_id="154d"), 1.0, reported, not_asked)
    assert (ixgbe.source, set(ixgbe.vfs[0])) == ("rtnetlink", set(RX_TX))
    i40e = choose(igb(1, driver="i40e"), 1.0, reported, not_asked)
    assert set(i40e.vfs[0]) == RX_TX | DROPS


def test_a_quiet_card_of_a_driver_that_counts_is_quiet_and_an_old_build_may_have_names() -> None:
    assert choose(igb(1, driver="ixgbe", device_id="154d"), 1.0, {0: ZERO}, dict).source == "rtnetlink"
    named = choose(igb(1, driver="ixgbe", device_id="154d"), 1.0, {0: ZERO}, lambda: {0: {"rx_bytes": 5}})
    assert (named.source, named.vfs) == ("ethtool", {0: {"rx_bytes": 5}})


def test_zeros_of_a_driver_that_counts_nothing_are_none() -> None:
    assert choose(igb(1), 1.0, {0: ZERO}, dict).source == "none"


def test_out_of_tree_the_statistics_by_name_count() -> None:
    pf = igb(1, driver="ixgbe", device_id="154d", out_of_tree=True)
    names = ["rx_packets", "VF 0 Rx Packets", "VF 0 Rx Bytes", "VF 0 Tx Packets", "VF 0 Tx Bytes", "VF 0 MC Packets"]
    found = choose(pf, 1.0, {0: ZERO}, lambda: per_vf(names, [1, 2, 3, 4, 5, 6]))
    assert found.source == "ethtool"
    assert found.vfs == {0: {"rx_packets": 2, "rx_bytes": 3, "tx_packets": 4, "tx_bytes": 5}}


@pytest.mark.parametrize(("value", "source"), [(0, "none"), (3, "rtnetlink")])
def test_of_a_driver_that_is_not_known_what_is_not_0_is_believed(value: int, source: str) -> None:
    assert choose(igb(1, driver="newnic"), 1.0, {0: {**ZERO, "tx_bytes": value}}, dict).source == source


def test_names_of_statistics_that_are_no_vfs() -> None:
    assert per_vf(["rx_vf_packets", "VF x Rx Packets", "VF 1 Rx Packets per second", ""], [1, 2, 3, 4]) == {}


def document(*steps: PfCounters, driver: str = "ixgbe", name: str = "web1") -> dict[str, Any]:
    nic = Nic("interface", "ua-rec-data", None, "0000:01:10.2")
    inventory = build_inventory(host(igb(1, 7, driver=driver), domains=[guest(name, running=True, live=[nic])]))
    meter = Meter()
    for step in steps:
        found = build_rates(inventory, {PF: step}, meter)
    return found


def shown(built: dict[str, Any], height: int = 0) -> list[str]:
    return render_rates(built, seconds=1, at="12:00:00", color=False, height=height).splitlines()


def all_vfs(taken: float, value: int) -> PfCounters:
    return PfCounters(taken, "rtnetlink", {vf: {"rx_packets": value * vf, "rx_bytes": 0} for vf in range(7)})


def test_the_table_has_guests_and_traffic_and_folds_the_rest() -> None:
    lines = shown(document(counted(1), counted(2, rx_packets=1500, rx_bytes=2_000_000, rx_dropped=3)))
    assert lines[0] == "lab  12:00:00  per second, over 1 s"
    assert lines[2].split("  ")[0] == "PF"
    assert lines[3].split() == ["enp1s0", "1", "web1", "1.5", "k", "2", "M", "3", "0", "0", "0"]
    assert lines[4] == "6 VFs that nobody has, without traffic"
    everything = shown(document(all_vfs(1, 0), all_vfs(2, 10)))
    assert [line.split()[1] for line in everything[3:9]] == ["1", "2", "3", "4", "5", "6"]
    assert everything[3].split()[5:] == ["-", "-", "-", "-"]


def test_a_low_terminal_has_the_busiest() -> None:
    lines = shown(document(all_vfs(1, 0), all_vfs(2, 10)), height=8)
    assert [line.split()[1] for line in lines if line.startswith("enp1s0")] == ["4", "5", "6"]
    assert "and 3 VFs with less traffic: a higher terminal shows them" in lines
    assert len(lines) <= 8


def test_no_figures_are_said_to_be_none_and_why() -> None:
    none = shown(document(PfCounters(1, "none"), driver="igb"))
    assert none[1:] == ["enp1s0 (igb): this driver reports none (7 VFs, 1 in use)"]
    gone = shown(document(PfCounters(1, "unknown", problem="No such device")))
    assert gone[1:] == ["enp1s0 (ixgbe): the counters can't be read: No such device"]


def test_before_the_second_counting_nothing_is_known() -> None:
    assert shown(document(counted(1)))[3].split() == ["enp1s0", "1", "web1", *["?"] * 6]


def test_a_guests_name_moves_no_cursor() -> None:
    assert "\x1b" not in "\n".join(shown(document(counted(1), counted(2), name="a\x1b[2J\nb")))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((None, "?"), (0, "0"), (0.5, "0.5"), (9.999, "10"), (99.96, "100"), (812.4, "812"), (999.6, "1 k")),
        *((1250, "1.25 k"), (48_300_000, "48.3 M"), (1.25e9, "1.25 G"), (4e12, "4000 G")),
    ],
)
def test_figures_are_short(value: float | None, text: str) -> None:
    assert per_second(value) == text
