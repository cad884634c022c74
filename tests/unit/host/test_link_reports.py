"""Links, addresses and routes: recorded messages, and messages that a library has encoded."""

from __future__ import annotations

import socket
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from reconciler.host.local import link_reports
from reconciler.host.local.link_reports import decode_addresses, decode_link, decode_routes, decode_way, route_request
from reconciler.host.local.operator import Link
from tests.unit.host.recorded import IGB, NETDEVSIM


def body(message: Any, fields: dict[str, Any], attributes: list[tuple[str, Any]]) -> bytes:
    """As a library encodes it, without the header of the message."""
    for key, value in fields.items():
        message[key] = value
    message["attrs"] = attributes
    message.encode()
    return bytes(message.data[16:])


def test_recorded_links() -> None:
    assert decode_link(IGB) == Link(
        *(5, "enp3s0", True, 1500, True, "52:54:00:1a:b0:02"),
        altnames=["enx5254001ab002"],
        parent="0000:03:00.0",
    )
    assert decode_link(NETDEVSIM) == Link(*(24, "eni1np1", False, 1500, None, "fe:c2:0a:53:39:94"), parent="netdevsim1")


def test_links() -> None:
    attributes = [("IFLA_IFNAME", "bond0.100"), ("IFLA_LINK", 5), ("IFLA_MASTER", 7), ("IFLA_MTU", 9000)]
    attributes += [("IFLA_CARRIER", 1), ("IFLA_ADDRESS", "02:00:00:00:00:0A")]
    attributes += [("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "vlan")]})]
    attributes += [("IFLA_PROP_LIST", {"attrs": [("IFLA_ALT_IFNAME", "p2"), ("IFLA_ALT_IFNAME", "p1")]})]
    of = {"index": 6, "flags": 0x1003}
    found = decode_link(body(ifinfmsg(), of, attributes))
    assert found == Link(6, "bond0.100", True, 9000, True, "02:00:00:00:00:0a", ["p1", "p2"], 7, None, 5, "vlan")
    permanent = link_reports.attribute(54, bytes.fromhex("525400aa0001"))
    elsewhere = [("IFLA_LINK_NETNSID", 0), *attributes]
    found = decode_link(body(ifinfmsg(), of | {"flags": 0}, elsewhere) + permanent)
    assert (found.mac, found.up, found.carrier) == ("52:54:00:aa:00:01", False, None)
    assert found.lower is None, "it is in another network namespace"


def address(index: int, scope: int, length: int, **attributes: str) -> bytes:
    family = socket.AF_INET6 if ":" in attributes["IFA_ADDRESS"] else socket.AF_INET
    fields = {"index": index, "scope": scope, "prefixlen": length, "family": family}
    return body(ifaddrmsg(), fields, list(attributes.items()))


def test_addresses_of_global_scope_alone() -> None:
    found = decode_addresses(
        [
            address(4, 0, 24, IFA_ADDRESS="192.0.2.1", IFA_LOCAL="192.0.2.1"),
            address(4, 0, 32, IFA_ADDRESS="198.51.100.9", IFA_LOCAL="198.51.100.1"),
            address(4, 0, 64, IFA_ADDRESS="2001:db8::1"),
            address(5, 200, 64, IFA_ADDRESS="fec0::1"),
            address(4, 253, 64, IFA_ADDRESS="fe80::1"),
            address(1, 254, 8, IFA_ADDRESS="127.0.0.1"),
        ]
    )
    assert found == {4: ["192.0.2.1/24", "198.51.100.1/32", "2001:db8::1/64"], 5: ["fec0::1/64"]}


def route(table: int = 254, kind: int = 1, flags: int = 0, length: int = 0, **attributes: Any) -> bytes:
    """Of IPv6 where the target says so."""
    family = socket.AF_INET6 if ":" in attributes.get("RTA_DST", "") else socket.AF_INET
    fields = {"family": family, "table": table, "type": kind, "flags": flags, "dst_len": length}
    return body(rtmsg(), fields, list(attributes.items()))


def test_routes_that_count() -> None:
    hops = [
        {"oif": 5, "hops": 0, "attrs": [("RTA_GATEWAY", "192.0.2.2")]},
        {"oif": 4, "hops": 0, "attrs": []},
    ]
    found = decode_routes(
        [
            route(RTA_OIF=4, RTA_GATEWAY="192.0.2.254", RTA_TABLE=254),
            route(RTA_OIF=4, RTA_DST="192.0.2.0", length=24),
            route(RTA_OIF=4, RTA_DST="fe80::", length=64),
            route(RTA_OIF=4, RTA_DST="febf::", length=64),
            route(RTA_OIF=4, RTA_DST="fec0::", length=64),
            route(RTA_OIF=4, RTA_DST="ff00::", length=8),
            route(RTA_OIF=4, RTA_DST="224.0.0.0", length=4),
            route(RTA_OIF=4, RTA_DST="239.1.0.0", length=16),
            route(RTA_OIF=4, RTA_DST="ff00::", length=8, kind=5),
            route(RTA_OIF=4, RTA_DST="192.0.2.1", length=32, table=255, kind=2),
            route(RTA_OIF=4, RTA_DST="192.0.2.3", length=32, table=252, RTA_TABLE=255),
            route(RTA_OIF=4, RTA_DST="192.0.2.4", length=32, table=252, RTA_TABLE=1000),
            route(RTA_OIF=4, RTA_DST="2001:db8::", length=64, flags=0x200),
            route(RTA_DST="198.51.100.0", length=24, kind=6),
            route(RTA_DST="203.0.113.0", length=24, RTA_MULTIPATH=hops),
        ]
    )
    assert found == {
        4: ["default via 192.0.2.254", "192.0.2.0/24", "fec0::/64", "192.0.2.4/32", "203.0.113.0/24"],
        5: ["203.0.113.0/24 via 192.0.2.2"],
    }


@pytest.mark.parametrize("packed", ["00064100", "e0064100"])
def test_a_route_of_another_family_is_one_all_the_same(packed: str) -> None:
    """MPLS: the target is a label (struct mpls_label), whatever its bytes would be of an IPv4 address."""
    label = bytes.fromhex(packed)
    header = bytes((28, 20, 0, 0, 254, 0, 0, 1)) + bytes(4)
    assert decode_routes([header + link_reports.attribute(1, label) + link_reports.attribute(4, b"\4\0\0\0")]) == {
        4: [f"{label.hex(':')}/20"]
    }


@pytest.mark.parametrize(
    ("target", "source"), [("192.0.2.7", "192.0.2.1"), ("2001:db8::7", ""), ("fe80::7", "fe80::1")]
)
def test_a_library_reads_our_question_for_a_route(target: str, source: str) -> None:
    asked = route_request(target, source)
    message = rtmsg((16 + len(asked)).to_bytes(4, sys.byteorder) + bytes(12) + asked)
    message.decode()
    assert (message.get_attr("RTA_DST"), message.get_attr("RTA_SRC") or "") == (target, source)
    bits = 128 if ":" in target else 32
    assert (message["family"], message["dst_len"], message["src_len"]) == (
        socket.AF_INET6 if bits == 128 else socket.AF_INET,
        bits,
        bits if source else 0,
    )


def test_what_is_no_address_is_not_asked_for() -> None:
    for target, source in (("host", ""), ("192.0.2.7", "2001:db8::1"), ("fe80::1%eth0", "")):
        with pytest.raises(ValueError, match="no address"):
            route_request(target, source)


def test_the_way_to_a_target() -> None:
    assert decode_way(route(RTA_OIF=4, RTA_DST="192.0.2.7", length=32)) == 4
    assert decode_way(route(RTA_DST="192.0.2.7", length=32)) == 0


@given(st.binary(max_size=120))
def test_any_attributes_are_no_crash(data: bytes) -> None:
    decode_link(bytes(16) + data)
    decode_addresses([bytes(8) + data])
    decode_routes([bytes((2, 24, 0, 0, 254, 0, 0, 1)) + bytes(4) + data])
    decode_way(bytes(12) + data)


@pytest.mark.parametrize("decode", [decode_link, lambda body: decode_addresses([body]), lambda b: decode_routes([b])])
def test_less_than_a_header_is_refused(decode: Any) -> None:
    with pytest.raises(ValueError, match="shorter than its header"):
        decode(bytes(7))
