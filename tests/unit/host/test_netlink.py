"""Links, addresses, routes and VF attributes."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.host.local import netlink
from reconciler.host.local.operator import Link, Links
from reconciler.host.local.rtnl import attribute, ifinfo
from reconciler.host.local.sysfs import Sysfs
from reconciler.host.local.vf_reports import VfReport, decode
from reconciler.host.model import Pf, Use, Vf
from tests.unit.host.recorded import IGB, NETDEVSIM
from tests.unit.host.tree import Tree

PLAIN = {
    "mac": "00:00:00:00:00:00",
    "vlan": 0,
    "qos": 0,
    "vlan_proto": "802.1Q",
    "spoofchk": False,
    "trust": False,
    "query_rss": False,
    "link_state": "auto",
    "min_tx_rate": 0,
    "max_tx_rate": 0,
}


def test_recorded_netdevsim() -> None:
    report = decode(NETDEVSIM)
    assert (report.count, report.listed) == (2, True)
    assert report.entries == {
        0: PLAIN,
        1: {
            "mac": "52:54:00:6d:90:01",
            "vlan": 100,
            "qos": 3,
            "vlan_proto": "802.1ad",
            "spoofchk": True,
            "trust": True,
            "query_rss": True,
            "link_state": "enable",
            "min_tx_rate": 10,
            "max_tx_rate": 20,
        },
    }


def test_recorded_igb_reports_no_query_rss() -> None:
    report = decode(IGB)
    assert sorted(report.entries) == [0, 1]
    assert "query_rss" not in report.entries[0]
    # igbvf on the host has given the VF a random MAC, which the PF reports as its own
    plain = {**PLAIN, "spoofchk": True, "mac": "be:eb:67:96:c1:8f"}
    assert report.entries[0] == {key: value for key, value in plain.items() if key != "query_rss"}


def entry(index: int, *, mac: bool = True) -> bytes:
    """An IFLA_VF_INFO as big as the kernel's (196 bytes)."""
    parts = [attribute(1, struct.pack("=I32s", index, b"\x02" * 6))] if mac else []
    parts.append(attribute(13, b"\0" * 32))
    parts.append(attribute(2, struct.pack("=III", index, index % 4095, 0)))
    parts.append(attribute(6, struct.pack("=III", index, 0, index)))
    parts += [attribute(kind, struct.pack("=II", index, 0xFFFFFFFF)) for kind in (4, 5, 7, 9)]
    info = struct.pack("=IIIHxx", index, 0, 0, 0xA888)
    parts.append(attribute(12, attribute(1, info)))
    return attribute(1, b"".join(parts))


def message(indexes: list[int], count: int, after: bytes = b"") -> bytes:
    """A link message with these VF entries and, as the kernel does it, a list length of 16 bits."""
    entries = b"".join(entry(index) for index in indexes)
    listed = struct.pack("=HH", (4 + len(entries)) & 0xFFFF, 22) + entries
    return ifinfo(7) + attribute(21, struct.pack("=I", count)) + listed + after


@pytest.mark.parametrize("count", [1, 7, 222, 334, 335, 400, 1000])
def test_all_vfs_also_where_the_list_length_has_wrapped(count: int) -> None:
    report = decode(message(list(range(count)), count, after=attribute(43, b"\0" * 8)))
    assert sorted(report.entries) == list(range(count))
    last = report.entries[count - 1]
    assert (last["max_tx_rate"], last["vlan_proto"]) == (count - 1, "802.1ad")
    assert not {"spoofchk", "trust", "query_rss", "link_state"} & set(last)


def test_missing_entries_do_not_shift_the_others() -> None:
    report = decode(message([0, 2, 3], 4, after=attribute(1, b"\x02" * 6)))
    assert sorted(report.entries) == [0, 2, 3]
    assert report.entries[2]["max_tx_rate"] == 2


def test_mlx4_reports_a_vlan_for_none() -> None:
    tagged = attribute(1, struct.pack("=I32s", 0, b"\x02" * 6)) + attribute(2, struct.pack("=III", 0, 4095, 0))
    listed = attribute(22, attribute(1, tagged))
    report = decode(ifinfo(7) + attribute(21, struct.pack("=I", 1)) + listed)
    assert (report.entries[0]["vlan"], report.entries[0]["qos"]) == (0, 0)


def test_infiniband_has_no_mac_of_its_own() -> None:
    body = bytearray(message([0], 1))
    struct.pack_into("=H", body, 2, 32)
    assert "mac" not in decode(bytes(body)).entries[0]


def test_no_list_at_all() -> None:
    report = decode(ifinfo(7) + attribute(21, struct.pack("=I", 3)))
    assert report == VfReport(3, False, {})
    pf = Pf("pci", "0000:01:00.0", "enp1s0", vfs=[Vf(0), Vf(1)])
    notes: list[str] = []
    netlink.assign(pf, report, notes)
    assert [vf.attributes for vf in pf.vfs] == [{}, {}]
    assert notes == []


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    for body in (data, ifinfo(7) + data, NETDEVSIM[: len(data)], message([0], 1, data)):
        try:
            decode(body)
        except ValueError:
            continue


def test_a_number_of_vfs_that_is_cut_short_is_refused() -> None:
    with pytest.raises(ValueError, match="cut short"):
        decode(ifinfo(7) + struct.pack("=HH", 8, 21))


def test_an_answer_that_is_cut_short_is_an_error_of_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netlink.RtnlSocket, "dump", lambda self, kind, body: [b"\0\0"])
    with pytest.raises(OSError, match="shorter than its header"):
        netlink.read_links()


def test_missing_and_stray_vfs_are_noted() -> None:
    pf = Pf("pci", "0000:01:00.0", "enp1s0", vfs=[Vf(0), Vf(1)])
    notes: list[str] = []
    netlink.assign(pf, VfReport(3, True, {0: {"trust": True}, 2: {}}), notes)
    assert [vf.attributes for vf in pf.vfs] == [{"trust": True}, None]
    assert "the attributes of VF 1 are unknown." in notes[0]
    assert "2 VFs in sysfs and 3 in its link message" in notes[1]


def test_uses_of_pf_and_vf(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    path = tree.pf()
    tree.link(f"{path}/net/enp1s0/upper_br0", path)
    tree.link(f"{path}/net/enp1s0/upper_vlan5", path)
    sysfs = Sysfs(tmp_path, [])
    (pf,) = sysfs.pfs().values()
    pf.vfs = [Vf(0, "0000:01:10.0", netdev="eth0"), Vf(1, netdev="gone"), Vf(2)]
    links = Links(
        {
            pf.ifindex: Link(pf.ifindex, "enp1s0", True, 1500, True, "02:00:00:00:00:01", master=9),
            9: Link(9, "br0", True, 1500, True, None),
            12: Link(12, "enp1s0v0", True, 1500, True, None, parent="0000:01:10.0"),
        },
        {12: ["192.0.2.1/24"]},
        {12: ["default via 192.0.2.2"]},
    )
    netlink.fill_links([pf], links, sysfs)
    assert pf.uses == [Use("master", "br0"), Use("upper", "vlan5")]
    assert pf.vfs[0].netdev == "enp1s0v0"  # renamed by udev between the two readings
    assert pf.vfs[0].uses == [Use("address", "192.0.2.1/24"), Use("route", "default via 192.0.2.2")]
    assert pf.vfs[1].uses == [Use("unknown", "gone is not among the links")]
    assert pf.vfs[2].uses == []


def test_a_pf_without_a_link_is_in_unknown_use(tmp_path: Path) -> None:
    Tree(tmp_path).pf()
    sysfs = Sysfs(tmp_path, [])
    (pf,) = sysfs.pfs().values()
    netlink.fill_links([pf], Links({}), sysfs)
    assert [use.kind for use in pf.uses] == ["unknown"]
