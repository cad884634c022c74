"""The driver table against ``answers.toml``: what each driver takes, refuses, alters and reads back."""

from __future__ import annotations

import errno
import struct
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.drivers.facts import PLAIN, DriverFacts
from reconciler.drivers.readback import GROUPS, complete, matches, reported
from reconciler.drivers.rules import Situation, kept, refusal, remarks, unsafe
from reconciler.drivers.table import DRIVERS, VARIANTS, facts
from reconciler.host.local.vf_reports import decode
from reconciler.state.desired import VF_ATTRIBUTES, ZERO_MAC, Attributes

ANSWERS = tomllib.loads((Path(__file__).parent / "answers.toml").read_text())
EXAMPLES: Attributes = {
    "mac": "52:54:00:00:00:01",
    "vlan": 5,
    "qos": 3,
    "vlan_proto": "802.1ad",
    "spoofchk": True,
    "trust": True,
    "link_state": "disable",
    "min_tx_rate": 10,
    "max_tx_rate": 100,
    "query_rss": True,
}
Row = dict[str, Any]


def rows(kind: str) -> list[Any]:
    found = []
    for driver, answers in ANSWERS.items():
        listed = list(answers.get(kind, []))
        if kind == "refused":
            listed += [{name: EXAMPLES[name], "errno": "EOPNOTSUPP"} for name in answers.get("lacks", [])]
        found += [pytest.param(driver, row, id=f"{driver}-{row}") for row in listed]
    return found


def parts(driver: str, row: Row) -> tuple[DriverFacts, Attributes, Situation]:
    wanted = {name: value for name, value in row.items() if name in VF_ATTRIBUTES}
    situation = Situation(
        up=row.get("up", True),
        carrier=row.get("carrier", True),
        speed=row.get("speed", 10000) or None,
        vf={**PLAIN, **row.get("vf", {})},
        other_min_rates=row.get("others", 0),
    )
    return facts(driver, row.get("device")), wanted, situation


@pytest.mark.parametrize(("driver", "row"), rows("taken"))
def test_is_taken_as_it_is(driver: str, row: Row) -> None:
    known, wanted, situation = parts(driver, row)
    assert refusal(known, wanted, situation) is None
    assert remarks(known, wanted, situation) == []
    assert unsafe(known, wanted) is None


@pytest.mark.parametrize(("driver", "row"), rows("refused"))
def test_is_refused(driver: str, row: Row) -> None:
    known, wanted, situation = parts(driver, row)
    refused = refusal(known, wanted, situation)
    assert refused is not None
    assert refused.errno == getattr(errno, row["errno"])
    assert refused.attribute in refused.why or refused.attribute == "mac" or "min_tx_rate" in refused.why
    assert refused.passing == (row.get("carrier") is False or row.get("up") is False or "link of" in refused.why)


@pytest.mark.parametrize(("driver", "row"), rows("altered"))
def test_is_taken_and_altered(driver: str, row: Row) -> None:
    known, wanted, situation = parts(driver, row)
    assert refusal(known, wanted, situation) is None
    said = remarks(known, wanted, situation)
    assert len(said) == 1
    assert said[0].startswith(driver)


@pytest.mark.parametrize(("driver", "row"), rows("unsafe"))
def test_is_taken_and_does_not_hold(driver: str, row: Row) -> None:
    known, wanted, situation = parts(driver, row)
    assert refusal(known, wanted, situation) is None
    bad = unsafe(known, wanted)
    assert bad is not None
    assert f"max_tx_rate = {row['max_tx_rate']}" in bad.why


@pytest.mark.parametrize(("driver", "row"), rows("reads"))
def test_reads_back(driver: str, row: Row) -> None:
    known, wanted, situation = parts(driver, row)
    name = next(iter(wanted))
    report = reported(known, {**situation.vf, **kept(known, wanted, situation)}, situation.speed)
    assert report.get(name, "none") == row["back"]


def link_message(report: dict[str, int]) -> bytes:
    """The kernel's message of a PF with two VFs, VF 0 with these numbers; ``missing``: without it."""

    def attribute(kind: int, data: bytes) -> bytes:
        return struct.pack("=HH", len(data) + 4, kind) + data + bytes(-len(data) % 4)

    def entry(index: int, got: dict[str, int]) -> bytes:
        tag, proto = struct.pack("=III", index, got.get("vlan", 0), got.get("qos", 0)), got.get("vlan_proto", 0x8100)
        return attribute(
            1,
            attribute(1, struct.pack("=I", index) + got.get("mac", 0).to_bytes(6, "big") + bytes(26))
            + attribute(2, tag)
            + attribute(6, struct.pack("=III", index, got.get("min_tx_rate", 0), got.get("max_tx_rate", 0)))
            + attribute(4, struct.pack("=II", index, got.get("spoofchk", 0)))
            + attribute(5, struct.pack("=II", index, got.get("link_state", 0)))
            + attribute(12, attribute(1, tag + struct.pack(">Hxx", proto))),
        )

    entries = entry(1, {}) if report.get("missing") else entry(0, report) + entry(1, {})
    return bytes(16) + attribute(21, struct.pack("=I", 2)) + attribute(22, entries)


@pytest.mark.parametrize(("driver", "row"), rows("kernel"))
def test_what_the_kernel_reports_is_understood(driver: str, row: Row) -> None:
    known, wanted, situation = parts(driver, row)
    [(name, value)] = wanted.items()
    found = decode(link_message(row["report"])).entries
    assert 1 in found
    same = matches(known, name, value, found.get(0, {}), situation.speed)
    assert same == {"unknown": None}.get(row["same"], row["same"])


@pytest.mark.parametrize("driver", DRIVERS)
def test_whose_new_vfs_have_a_mac_of_their_own(driver: str) -> None:
    known = DRIVERS[driver]
    generates = known.fresh is not None and "mac" not in {*known.fresh, *known.lacks, *known.unreported}
    assert generates == ANSWERS[driver].get("generates_mac", False)


def limited(known: DriverFacts) -> set[str]:
    """Attributes that exist and of which not every value is taken."""
    rate = known.max_rate
    found = {*known.refuses, *known.only, *known.ignored}
    if rate.lowest > 1 or rate.highest or rate.within_link or rate.link or rate.step > 1:
        found.add("max_tx_rate")
    if known.min_rate is None or known.min_rate.highest or known.min_rate.within_link or known.min_rate.lowest > 1:
        found.add("min_tx_rate")
    if known.zero_mac != "taken":
        found.add("mac")
    return (found | ({"qos"} if known.qos_needs_vlan else set())) - set(known.lacks)


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_limited_attribute_has_rows_of_both_kinds(driver: str) -> None:
    answers = ANSWERS[driver]
    yes = {name for row in answers.get("taken", []) for name in row}
    no = {name for kind in ("refused", "altered", "unsafe") for row in answers.get(kind, []) for name in row}
    assert limited(DRIVERS[driver]) - yes == set()
    assert limited(DRIVERS[driver]) - no == set()
    lacking = set(DRIVERS[driver].lacks) - {"query_rss"}
    assert lacking - set(answers.get("lacks", [])) - no - {"link_state"} == set()
    everything = set(EXAMPLES) - {"query_rss"} <= set(DRIVERS[driver].lacks)
    assert answers.get("reads") or everything


def test_the_rows_are_of_drivers_of_the_table() -> None:
    assert set(ANSWERS) == set(DRIVERS)
    assert all(driver in DRIVERS for driver, _ in VARIANTS)
    assert all(known.name == name and known.hardware for name, known in DRIVERS.items())


VALUES = {
    "mac": st.sampled_from([ZERO_MAC, "52:54:00:00:00:01"]),
    "vlan": st.sampled_from([0, 5]),
    "qos": st.sampled_from([0, 3]),
    "vlan_proto": st.sampled_from(["802.1Q", "802.1ad"]),
    "min_tx_rate": st.integers(0, 200),
    "max_tx_rate": st.integers(0, 200_000),
    "spoofchk": st.booleans(),
    "trust": st.booleans(),
    "link_state": st.sampled_from(["auto", "enable", "disable"]),
    "query_rss": st.booleans(),
}
CARDS = [*((name, None) for name in DRIVERS), *VARIANTS, ("somebody", None)]


@given(st.sampled_from(CARDS), st.data())
def test_what_is_taken_without_a_remark_never_reads_back_as_something_else(
    card: tuple[str, str | None], data: st.DataObject
) -> None:
    known, speed = facts(*card), data.draw(st.sampled_from([None, 1000, 10000, 100_000]))
    before = {**PLAIN, "max_tx_rate": data.draw(st.sampled_from([0, 500]))}
    group = data.draw(st.sampled_from(GROUPS))
    declared = {name: data.draw(VALUES[name]) for name in data.draw(st.sets(st.sampled_from(group), min_size=1))}
    situation = Situation(True, speed is not None, speed, before)
    request = complete(declared, before)
    if refusal(known, request, situation) or unsafe(known, request):
        return
    report = reported(known, {**before, **kept(known, request, situation)}, speed)
    answers = {name: matches(known, name, value, report, speed) for name, value in request.items() if name in declared}
    if not remarks(known, request, situation):
        assert False not in answers.values(), (request, report)
