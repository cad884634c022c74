"""VF attributes as requests: bytes as include/uapi/linux/if_link.h lays them out."""

from __future__ import annotations

import errno
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.host.local import rtnl, vf_requests
from reconciler.host.local.rtnl import Answer, Request
from reconciler.host.local.vf_reports import decode
from reconciler.host.protocol import VfSet
from reconciler.state.desired import Attributes
from tests.unit.host.recorded import ACK_MTU, ACK_OK

HEADER = bytes.fromhex("00000000 07000000 00000000 00000000")
"""struct ifinfomsg: family, padding, type; index 7; flags; change."""


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        # IFLA_VF_MAC 1: struct ifla_vf_mac, 4 + 32 bytes
        ({"mac": "52:54:00:6D:90:02"}, "2800 0100 05000000 5254006d9002" + "00" * 26),
        # IFLA_VF_VLAN 2: struct ifla_vf_vlan, 12 bytes
        (
            {"vlan": 100, "qos": 3, "vlan_proto": "802.1Q"},
            "1000 0200 05000000 64000000 03000000",
        ),
        ({"vlan": 0}, "1000 0200 05000000 00000000 00000000"),
        # IFLA_VF_VLAN_LIST 12 with one IFLA_VF_VLAN_INFO 1: struct ifla_vf_vlan_info, 14 bytes padded to 16
        (
            {"vlan": 100, "qos": 3, "vlan_proto": "802.1ad"},
            "1800 0c00 1400 0100 05000000 64000000 03000000 88a8 0000",
        ),
        # IFLA_VF_RATE 6: struct ifla_vf_rate, 12 bytes
        ({"min_tx_rate": 10, "max_tx_rate": 1000}, "1000 0600 05000000 0a000000 e8030000"),
        # IFLA_VF_SPOOFCHK 4, IFLA_VF_LINK_STATE 5, IFLA_VF_RSS_QUERY_EN 7, IFLA_VF_TRUST 9: 8 bytes
        ({"spoofchk": True}, "0c00 0400 05000000 01000000"),
        ({"link_state": "disable"}, "0c00 0500 05000000 02000000"),
        ({"query_rss": False}, "0c00 0700 05000000 00000000"),
        ({"trust": True}, "0c00 0900 05000000 01000000"),
    ],
)
def test_the_bytes_of_each_attribute(attributes: Attributes, expected: str) -> None:
    value = bytes.fromhex(expected)
    # IFLA_VFINFO_LIST 22 holds one IFLA_VF_INFO 1, which holds the value
    nested = struct.pack("=HHHH", 8 + len(value), 22, 4 + len(value), 1) + value
    assert vf_requests.request(7, VfSet(5, attributes)) == Request(HEADER + nested, group=5)


@pytest.mark.parametrize("attributes", [{}, {"mac": "52:54:00:00:00:01", "vlan": 1}, {"vlan": 1, "max_tx_rate": 1}])
def test_what_does_not_go_together(attributes: Attributes) -> None:
    with pytest.raises(ValueError, match="one request"):
        vf_requests.request(7, VfSet(5, attributes))


def pyroute2_decodes(body: bytes) -> Any:
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

    message = ifinfmsg(rtnl.message(body, 1))
    message.decode()
    return message.get_attr("IFLA_VFINFO_LIST").get_attr("IFLA_VF_INFO")


@settings(deadline=None)  # the first example pays for an import
@given(st.integers(0, 4095), st.integers(0, 7), st.sampled_from([("802.1Q", 0x8100), ("802.1ad", 0x88A8)]))
def test_a_library_reads_our_vlans(vlan: int, qos: int, protocol: tuple[str, int]) -> None:
    wanted = VfSet(3, {"vlan": vlan, "qos": qos, "vlan_proto": protocol[0]})
    entry = pyroute2_decodes(vf_requests.request(7, wanted).body)
    if protocol[0] == "802.1Q":
        found = entry.get_attr("IFLA_VF_VLAN")
    else:
        found = entry.get_attr("IFLA_VF_VLAN_LIST").get_attr("IFLA_VF_VLAN_INFO")
        assert found["proto"] == protocol[1]
    assert (found["vf"], found["vlan"], found["qos"]) == (3, vlan, qos)


def test_a_library_reads_our_mac_and_rate() -> None:
    mac = pyroute2_decodes(vf_requests.request(7, VfSet(3, {"mac": "52:54:00:6d:90:02"})).body)
    assert mac.get_attr("IFLA_VF_MAC") == {"vf": 3, "mac": "52:54:00:6d:90:02"}
    rate = pyroute2_decodes(vf_requests.request(7, VfSet(3, {"min_tx_rate": 1, "max_tx_rate": 2})).body)
    assert rate.get_attr("IFLA_VF_RATE") == {"vf": 3, "min_tx_rate": 1, "max_tx_rate": 2}


def test_our_own_decoder_needs_the_mac_to_know_the_index() -> None:
    """A request is shaped like a report, but reports always carry the MAC."""
    body = vf_requests.request(7, VfSet(3, {"mac": "52:54:00:6d:90:02"})).body
    assert decode(body).entries == {3: {"mac": "52:54:00:6d:90:02"}}
    assert decode(vf_requests.request(7, VfSet(3, {"trust": True})).body).entries == {}


def test_recorded_acknowledgements() -> None:
    assert rtnl.decode_answers(ACK_MTU + ACK_OK) == {
        77: Answer(errno.EINVAL, "mtu greater than device maximum"),
        78: Answer(0),
    }


def test_plain_acknowledgements_are_told_by_themselves() -> None:
    assert rtnl.taken(ACK_OK) == 78
    assert rtnl.taken(ACK_MTU) is None
    assert rtnl.taken(ACK_OK + ACK_OK) is None
    refused = ACK_OK[:16] + struct.pack("=i", -errno.EPERM) + ACK_OK[20:]
    warned = ACK_OK[:6] + struct.pack("=H", 0x300) + ACK_OK[8:]
    assert (rtnl.taken(refused), rtnl.taken(warned)) == (None, None)


@given(st.binary(max_size=120))
def test_any_bytes_are_no_crash(data: bytes) -> None:
    rtnl.decode_answers(data)
    rtnl.decode_answers(ACK_MTU[: len(data)] + data)


def test_an_acknowledgement_that_repeats_the_request() -> None:
    request = rtnl.message(HEADER + b"\0" * 5, 9)
    payload = struct.pack("=i", -errno.EPERM) + request + b"\0" * (-len(request) % 4)
    text = rtnl.attribute(1, b"no\0")
    data = struct.pack("=LHHLL", 16 + len(payload) + len(text), 2, 0x200, 9, 0) + payload + text
    assert rtnl.decode_answers(data) == {9: Answer(errno.EPERM, "no")}


def test_a_retry_takes_later_requests_of_the_same_vf_along() -> None:
    requests = [Request(b"", group) for group in (0, 0, 1, 0, 1)]
    answers = [Answer(0), Answer(errno.EAGAIN), Answer(0), Answer(0), Answer(errno.EINVAL)]
    assert rtnl.again(requests, answers, range(5)) == [1, 3]
    answers[1], answers[2] = Answer(0), Answer(errno.ENOBUFS)
    assert rtnl.again(requests, answers, range(5)) == [2, 4]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errno.EOPNOTSUPP, "igb does not implement link_state"),
        (524, "Operation not supported by the driver. igb does not implement link_state"),
        (errno.EINVAL, "does not accept this value"),
        (errno.EBUSY, "stayed so for 5 s"),
        (errno.ETIMEDOUT, "has to be read back"),
        (errno.EXDEV, "kernel log"),
    ],
)
def test_refusals_in_words(code: int, says: str) -> None:
    wanted = [VfSet(1, {"link_state": "enable"}), VfSet(2, {"trust": True})]
    first, second = vf_requests.refusals("enp1s0", "igb", wanted, [Answer(code, "hint"), Answer(0)])
    assert second is None
    assert first is not None
    assert first.errno == code
    assert 'enp1s0 vf 1: link_state = "enable": ' in first.detail
    assert says in first.detail.replace(" (hint)", "")
    assert "(hint)" in first.detail


def test_a_full_table_of_mac_filters_is_told_with_what_empties_it() -> None:
    (refused,) = vf_requests.refusals("p1p1", "ixgbe", [VfSet(3, {"mac": "52:54:00:00:00:01"})], [Answer(errno.ENOMEM)])
    assert refused is not None
    assert "Cannot allocate memory" in refused.detail
    assert "table of MAC filters" in refused.detail
    assert "vfs = 0" in refused.detail
