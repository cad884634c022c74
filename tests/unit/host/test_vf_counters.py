"""Counters of VFs as the kernel reports them: rtnetlink's, and ethtool's by name."""

from __future__ import annotations

import errno
import struct
import subprocess
import time
from pathlib import Path

import pytest

from reconciler.host.local import ethtool, vf_counters
from reconciler.host.local.rtnl import attribute, ifinfo
from reconciler.host.local.vf_counters import CounterReader
from reconciler.host.local.vf_reports import WITH_STATISTICS, decode
from tests.hosts import igb

KINDS = {"rx_packets": 0, "tx_packets": 1, "rx_bytes": 2, "tx_bytes": 3, "rx_dropped": 7, "tx_dropped": 8}


def entry(index: int) -> bytes:
    """An IFLA_VF_INFO of 296 bytes, with counters that are 1000 times the index and more."""
    mac = attribute(1, struct.pack("=I32s", index, b"\x02" * 6))
    # Between them the kernel pads (IFLA_VF_STATS_PAD, 6) and reports broadcasts and multicasts (4, 5).
    stats = [attribute(kind, struct.pack("=Q", 1000 * index + kind)) for kind in (0, 1, 2, 3, 4, 5, 7, 8)]
    nest = attribute(8, b"".join([*stats[:1], attribute(6, b""), *stats[1:]]))
    return attribute(1, mac + attribute(13, b"\0" * 144) + nest)


def message(count: int) -> bytes:
    entries = b"".join(entry(index) for index in range(count))
    listed = struct.pack("=HH", (4 + len(entries)) & 0xFFFF, 22) + entries
    return ifinfo(7) + attribute(21, struct.pack("=I", count)) + listed + attribute(43, b"\0" * 8)


@pytest.mark.parametrize("count", [1, 63, 221, 222, 400])
def test_counters_of_all_vfs_also_where_the_list_length_has_wrapped(count: int) -> None:
    counters = decode(message(count)).counters
    assert sorted(counters) == list(range(count))
    for index in (0, count - 1):
        assert counters[index] == {name: 1000 * index + kind for name, kind in KINDS.items()}


def test_without_statistics_there_are_no_counters() -> None:
    listed = attribute(22, attribute(1, attribute(1, struct.pack("=I32s", 0, b"\x02" * 6))))
    assert decode(ifinfo(7) + attribute(21, struct.pack("=I", 1)) + listed).counters == {}
    assert WITH_STATISTICS & 8 == 0, "RTEXT_FILTER_SKIP_STATS"


def test_this_machines_kernel_answers() -> None:
    """Names and values of whatever interfaces there are: as many of the one as of the other."""
    for netdev in (path.name for path in Path("/sys/class/net").iterdir() if len(path.name) <= 15):
        names, values = ethtool.statistics(netdev)
        assert len(names) == len(values)
        assert all(names)


@pytest.mark.parametrize("name", ["none0", "longer-than-any-name", ""])
def test_an_interface_that_is_not_there(name: str) -> None:
    with pytest.raises(OSError, match=r".") as caught:
        ethtool.statistics(name)
    assert caught.value.errno == errno.ENODEV


def test_a_pf_that_is_gone_is_told_and_not_raised() -> None:
    found = CounterReader().read([igb(1, 2, ifindex=999_999)])["pci/0000:01:00.0"]
    assert found.source == "unknown"
    assert found.problem == "No such device"


def test_a_kernel_that_hangs_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child that waits is not joined by another; when it has ended, it is asked again."""
    monkeypatch.setattr(vf_counters, "_read", lambda pf: time.sleep(3))
    reader, pf = CounterReader(0.3), igb(1, 2, ifindex=999_999)
    began = time.monotonic()
    assert "did not answer within 0.3 s" in reader.read([pf])[pf.id].problem
    assert "the kernel does not answer, and process" in reader.read([pf])[pf.id].problem
    assert time.monotonic() - began < 2
    waiting = reader._waiting
    subprocess.run(["kill", "-9", str(waiting)], check=True)
    monkeypatch.undo()
    until = time.monotonic() + 10
    while "does not answer" in reader.read([pf])[pf.id].problem and time.monotonic() < until:
        time.sleep(0.05)
    assert reader.read([pf])[pf.id].problem == "No such device"
