"""Who is told to lose a VF, and who would without being told."""

from __future__ import annotations

import pytest

from reconciler.apply import taken
from reconciler.apply.taken import appearing, may_take, needs_a_new_look
from reconciler.host.model import Network, NetworkPort, Nic, Process, Snapshot, Use
from reconciler.kinds.action import Action, Impact
from tests.hosts import guest, host, igb

PF = "pci/0000:01:00.0"
GUEST = Impact("guest", ["web"], ["web: ua-x on VF 1 of 0000:01:00.0"])
HOST = Impact("guest", host=["VF 1 of 0000:01:00.0: the host (eth5: address 192.0.2.9/24)"])


def action(op: str, impact: Impact | None = None, **args: object) -> Action:
    return Action(f"{op} x", op, "x", dict(args), impact=impact or Impact())


def held_by_guest() -> Snapshot:
    pf = igb(1, 2, up=True)
    pf.vfs[1].driver = "vfio-pci"
    nic = Nic("interface", "ua-x", "52:54:00:00:00:01", pf.vfs[1].address)
    return host(pf, domains=[guest("web", running=True, live=[nic])])


def held_by_host() -> Snapshot:
    pf = igb(1, 2, up=True)
    pf.vfs[1].driver, pf.vfs[1].netdev = "igbvf", "eth5"
    pf.vfs[1].uses = [Use("address", "192.0.2.9/24")]
    return host(pf)


def held_by_process() -> Snapshot:
    pf = igb(1, 2, up=True)
    pf.vfs[1].driver = "vfio-pci"
    snapshot = host(pf)
    snapshot.vfio_open = {101: [Process(7, "qemu")]}
    return snapshot


def unnamed(snapshot: Snapshot, one: Action) -> list[str]:
    return taken.unnamed(snapshot, [one]).get(one.id, [])


TOUCHING = [
    ("pf.set_numvfs", {"pf": PF, "vfs": 0}),
    ("pf.set_link", {"pf": PF, "link": "down"}),
    ("vf.bind", {"pf": PF, "vf": 1, "driver": "none"}),
    ("vf.set", {"pf": PF, "vf": 1, "set": {"link_state": "disable"}}),
]


@pytest.mark.parametrize(("op", "args"), TOUCHING)
def test_whoever_has_a_vf_has_to_be_named(op: str, args: dict[str, object]) -> None:
    for snapshot in (held_by_guest(), held_by_host(), held_by_process()):
        found = unnamed(snapshot, action(op, **args))
        assert len(found) == 1
        assert found[0].startswith("VF 1 of 0000:01:00.0: ")
    assert may_take(action(op, **args))


@pytest.mark.parametrize(("op", "args"), TOUCHING[1:])
def test_whoever_is_named_was_approved(op: str, args: dict[str, object]) -> None:
    process = Impact("guest", host=["VF 1 of 0000:01:00.0: process qemu (pid 7)"])
    named = ((held_by_guest(), GUEST), (held_by_host(), HOST), (held_by_process(), process))
    assert [unnamed(snapshot, action(op, impact, **args)) for snapshot, impact in named] == [[], [], []]
    assert unnamed(held_by_process(), action(op, HOST, **args))


def test_vfs_are_destroyed_under_the_host_if_it_is_named_and_under_nobody_else() -> None:
    assert unnamed(held_by_host(), action("pf.set_numvfs", HOST, pf=PF, vfs=0)) == []
    assert unnamed(held_by_guest(), action("pf.set_numvfs", GUEST, pf=PF, vfs=0))


def test_a_vf_elsewhere_is_not_meant() -> None:
    other = Impact("guest", ["web"], ["web: ua-x on VF 0 of 0000:01:00.0"])
    assert unnamed(held_by_guest(), action("vf.bind", other, pf=PF, vf=1, driver="none"))
    assert not unnamed(held_by_guest(), action("vf.bind", pf=PF, vf=0, driver="none"))


def test_a_module_takes_all_its_vfs() -> None:
    assert unnamed(held_by_host(), action("modules.unload", module="igbvf"))
    assert not unnamed(held_by_host(), action("modules.unload", module="ixgbevf"))
    assert not unnamed(held_by_host(), action("modules.unload", HOST, module="igbvf"))


def test_the_mtu_matters_where_the_driver_takes_the_link_down() -> None:
    snapshot, change = held_by_guest(), action("pf.set_mtu", pf=PF, mtu=9000)
    assert unnamed(snapshot, change) == ["VF 1 of 0000:01:00.0: guest web (ua-x)"]
    snapshot.pfs[PF].up = False
    assert unnamed(snapshot, change) == []
    snapshot.pfs[PF].up, snapshot.pfs[PF].driver = True, "netdevsim"
    assert unnamed(snapshot, change) == []


def test_guests_of_a_pool() -> None:
    pool = Network("p", "u", active=True, mode="hostdev", ports=[NetworkPort("web")])
    assert unnamed(host(networks=[pool]), action("pool.stop", pool="p")) == ["guest web"]
    assert unnamed(host(networks=[pool]), action("pool.stop", Impact("guest", ["web"]), pool="p")) == []
    assert unnamed(host(), action("pool.stop", pool="p")) == []


def test_a_detach_is_about_its_own_guest() -> None:
    args = {"domain": "web", "match": {"alias": "ua-x"}, "live": True, "config": False}
    assert unnamed(held_by_guest(), action("nic.detach", GUEST, **args)) == []
    assert unnamed(held_by_guest(), action("nic.detach", **args)) == ["guest web"]


@pytest.mark.parametrize(
    ("op", "args"),
    [
        ("pf.set_link", {"pf": PF, "link": "up"}),
        ("pf.set_numvfs", {"pf": PF, "vfs": 2}),
        ("vf.set", {"pf": PF, "vf": 1, "set": {"vlan": 5}}),
        ("pool.start", {"pool": "p"}),
    ],
)
def test_what_takes_nothing_away_is_not_held_up(op: str, args: dict[str, object]) -> None:
    assert not may_take(action(op, **args))
    assert not needs_a_new_look(action(op, **args))


def test_the_host_is_read_as_a_whole_when_it_matters() -> None:
    assert needs_a_new_look(action("pf.set_numvfs", pf=PF, vfs=0))
    assert needs_a_new_look(action("pool.stop", pool="p"))
    assert needs_a_new_look(action("vf.bind", GUEST, pf=PF, vf=1, driver="none"))
    assert not needs_a_new_look(action("vf.bind", pf=PF, vf=1, driver="none"))


def test_on_a_card_that_was_pulled_nothing_is_appearing() -> None:
    bind = action("vf.bind", pf=PF, vf=1, driver="vfio-pci")
    assert not appearing(host(igb(2)), bind)
    assert unnamed(host(igb(2)), bind) == []


def test_who_keeps_a_vf_from_the_hosts_network_takes_it_from_those_who_manage_it_alone() -> None:
    snapshot = held_by_host()
    leave = action("pf.set_host_network", pf=PF, host_network="ignore")
    assert unnamed(snapshot, leave) == []  # Somebody's own address is not what NetworkManager or networkd made.
    snapshot.host_network.managed = {snapshot.pfs[PF].vfs[1].address or "": "systemd-networkd"}
    assert len(unnamed(snapshot, leave)) == 1
    assert unnamed(snapshot, action("pf.set_host_network", HOST, pf=PF, host_network="ignore")) == []
    assert unnamed(held_by_guest(), leave) == []
