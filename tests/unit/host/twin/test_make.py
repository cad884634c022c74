"""Twins of hosts that were observed, and of profiles."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.diagnostics import ReconcilerError
from reconciler.host.model import Nic, Process
from reconciler.host.twin.host import TwinHost
from reconciler.host.twin.make import from_snapshot
from reconciler.host.twin.profiles import make_from, packaged, parse_profile
from tests import hosts
from tests.unit.host.twin.twins import INT, MAC, attach, lab


def test_a_twin_of_a_twin_looks_like_it() -> None:
    host = lab(vfs=3, driver=True)
    attach(host)
    observed = host.observe()
    again = TwinHost(from_snapshot(observed)).observe()
    again.taken_at = observed.taken_at
    assert again == observed


def test_a_snapshot_with_gaps_is_filled_with_what_is_usual() -> None:
    pf = hosts.igb(1, 2, up=True)
    pf.vfs[0].attributes = None
    host = TwinHost(from_snapshot(hosts.host(pf, hosts.igb(2), domains=[hosts.guest("web1", running=True)])))
    seen = host.observe().pfs[INT]
    assert seen.vfs[0].attributes == seen.vfs[1].attributes
    attach(host)
    assert host.observe().libvirt.domains["web1"].live[0].mac == MAC


def test_a_process_that_is_no_guest_still_holds_its_group() -> None:
    snapshot = hosts.host(
        hosts.igb(1, 2, up=True),
        domains=[hosts.guest("web1", running=True, live=[Nic("interface", vf_address="0000:01:10.0", mac=MAC)])],
    )
    for vf in snapshot.pfs[INT].vfs:
        vf.driver = "vfio-pci"
    snapshot.vfio_open = {100: [Process(1, "qemu-system-x86")], 101: [Process(7, "dpdk")]}
    seen = TwinHost(from_snapshot(snapshot)).observe().vfio_open or {}
    assert [process.command for process in seen[100]] == ["qemu-system-x86"]
    assert seen[101] == [Process(7, "dpdk")]


@pytest.mark.parametrize("name", sorted(packaged()))
def test_every_profile_makes_a_host_that_makes_vfs(name: str) -> None:
    host = TwinHost(make_from(name))
    for identity, pf in host.observe().pfs.items():
        host.set_link(identity, True)
        host.sleep(5)
        host.set_numvfs(identity, 2, 30)
        host.sleep(10)
        seen = host.observe().pfs[identity]
        assert len(seen.vfs) == 2
        assert (seen.carrier, pf.num_vfs) == (True, 0)
        assert len({vf.address for item in host.observe().pfs.values() for vf in item.vfs}) == sum(
            len(item.vfs) for item in host.observe().pfs.values()
        )


def test_the_lab_profile_is_the_lab() -> None:
    observed = TwinHost(make_from("igb-lab")).observe()
    assert list(observed.pfs) == [f"pci/0000:0{number}:00.0" for number in (1, 2, 3)]
    pf = observed.pfs[INT]
    assert (pf.netdev, pf.vendor, pf.device_id, pf.total_vfs, pf.offset, pf.stride) == (
        "enp1s0",
        "8086",
        "10c9",
        7,
        128,
        2,
    )
    assert {name: domain.running for name, domain in observed.libvirt.domains.items()} == {
        "web1": True,
        "db1": False,
        "idle1": False,
    }
    assert observed.libvirt.version == 11003000


def test_no_such_profile() -> None:
    with pytest.raises(ReconcilerError) as refused:
        make_from("nosuch")
    assert refused.value.code == 64
    assert "igb-lab" in refused.value.detail
    with pytest.raises(ReconcilerError) as missing:
        make_from("./nosuch.toml")
    assert missing.value.code == 64


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x =", "Invalid value"),
        ("title = 3", "title"),
        ('title = "x"\nhost = { name = "h", colour = "red" }', "colour"),
        ('title = "x"\nhost.name = "h"\nport.p = { card = "c", device = "0000:01:00.0", mac = "" }', "no card.c"),
        (
            'title = "x"\nhost.name = "h"\ncard.c.driver = "igb"\nport.p = { card = "c", device = "x", mac = "" }',
            "no PCI",
        ),
        (
            'title = "x"\nhost.name = "h"\ncard.c = { driver = "igb", total_vfs = 7 }\n'
            'port.p = { card = "c", device = "0000:01:00.0", mac = "", vfs = 8 }',
            "doesn't make 8 VFs",
        ),
    ],
)
def test_profiles_that_are_none(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(ReconcilerError) as refused:
        make_from(str(path))
    assert refused.value.code == 65
    assert says in refused.value.detail
    with pytest.raises(ReconcilerError):
        parse_profile(b"\xff", "x")


GOOD = """title = "x"
host = { name = "h", memory_gib = 4 }
card.c = { driver = "igb", total_vfs = 7, speed = 1000 }
port.p = { card = "c", device = "0000:01:00.0", mac = "52:54:00:00:00:01", offset = 128 }
domain.d = { running = true, slots = 6, memory_mib = 512 }
"""


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("52:54:00:00:00:01", "zz", "port.p: 'zz' is no MAC"),
        ("52:54:00:00:00:01", "01:00:5e:00:00:01", "is no MAC of a port"),
        ("52:54:00:00:00:01", "00:00:00:00:00:00", "is no MAC of a port"),
        ("speed = 1000", "speed = -5", "card.c.speed = -5: it is at least 1"),
        ("memory_gib = 4", "memory_gib = -4", "host.memory_gib = -4"),
        ("memory_mib = 512", "memory_mib = -1", "domain.d.memory_mib = -1"),
        ("slots = 6", "slots = -1", "domain.d.slots = -1"),
        (", offset = 128", "", "port.p: offset = 0, and VF 0 would be at the port's own address"),
    ],
)
def test_values_that_no_host_has(old: str, new: str, says: str) -> None:
    parse_profile(GOOD.encode(), "own.toml")
    assert old in GOOD
    with pytest.raises(ReconcilerError) as refused:
        parse_profile(GOOD.replace(old, new).encode(), "own.toml")
    assert (refused.value.code, refused.value.summary) == (65, "The profile is not valid.")
    assert says in refused.value.detail
