"""Ten guests on two PFs by every method, on a twin: who got which VF stays so, whatever happens to the host."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.host.model import Nic, Snapshot
from reconciler.host.twin.clock import settle
from reconciler.host.twin.hands import run
from reconciler.host.twin.host import TwinHost
from reconciler.host.twin.profiles import from_profile, parse_profile, read_profile
from reconciler.host.twin.state import Twin
from reconciler.plan.document import Plan
from tests.faults.scenarios import desired
from tests.faults.world import apply, fresh

FILE = """
[pf.int]
match = { address = "0000:01:00.0" }
link = "up"
vfs = 7
vf_driver = "none"
[pf.ext]
match = { mac = "52:54:00:1a:b0:01" }
link = "up"
vfs = 7
vf_driver = "none"
[pool.shared]
vfs = ["ext/5-6"]
[domain.web1.nic]
fixed = { vf = "int/0", mac = "52:54:00:6d:a0:01", vlan = 100 }
data = { pool = "shared", mac = "52:54:00:6d:a0:02", max_tx_rate = 100 }
[domain.idle1.nic]
any = { pf = "int", mac = "52:54:00:6d:a0:03" }
[domain.db1.nic]
one = { pf = ["int", "ext"], spread = true }
two = { pf = ["int", "ext"], spread = true }
[domain.g4.nic]
raw = { vf = "ext/0", method = "hostdev", mac = "52:54:00:6d:a0:04" }
[domain.g5.nic]
raw = { pf = "ext", method = "hostdev", mac = "52:54:00:6d:a0:05" }
[domain.g6.nic]
any = { pf = "ext" }
[domain.g7.nic]
any = { pf = ["ext", "int"] }
[domain.g8.nic]
data = { pool = "shared", mac = "52:54:00:6d:a0:08" }
[domain.g9.nic]
raw = { pf = "int", method = "hostdev", mac = "52:54:00:6d:a0:09" }
"""
"""Of the tenth guest, byhand, nothing is declared."""

BY_HAND = [Nic("interface", None, "52:54:00:6d:a0:0a", "0000:01:10.2"), Nic("hostdev", None, None, "0000:02:10.2")]
"""VF 1 of each PF."""

MORE = '[domain.byhand.nic]\nx = { pf = "int", mac = "52:54:00:6d:a0:0a" }\n'
DEFINED = ["db1", *(f"g{number}" for number in range(4, 10)), "byhand"]
Where = dict[tuple[str, str], str | None]


@pytest.fixture
def twin() -> Twin:
    """The lab with ten guests, of whom web1 and idle1 run, and one has NICs that the file doesn't declare."""
    profile = read_profile("igb-lab")
    text = "".join(f"[domain.{name}]\nrunning = {str(name == 'idle1').lower()}\n" for name in ["idle1", *DEFINED[1:]])
    more = parse_profile(f'title = ""\n[host]\nname = "x"\n{text}'.encode(), "more")
    profile.domain |= more.domain
    made = from_profile(profile, "ten")
    assert len(made.libvirt.domains) == 10
    made.libvirt.domains["byhand"].config = list(BY_HAND)
    return made


def nics(twin: Twin, *, live: bool = False) -> Where:
    """The VF's PCI address by guest and alias, of the definitions or of the guests that run."""
    return {
        (domain.name, nic.alias or nic.mac or "plain"): nic.vf_address
        for domain in twin.libvirt.domains.values()
        for nic in (domain.live if live else domain.config)
    }


def planned(twin: Twin, folder: Path, text: str = FILE) -> tuple[Snapshot, Plan]:
    settle(twin)
    return fresh(TwinHost(twin), desired(text), folder)


def given_once(twin: Twin) -> None:
    """Asserts that no VF is in two definitions, or in one and in the pool, or in use by two."""
    pool = twin.libvirt.networks["shared"].addresses
    named = [address for address in nics(twin).values() if address is not None]
    assert len(named) == len(set(named)) == 11
    assert not {*named} & {*pool}
    used = [address for address in nics(twin, live=True).values() if address is not None]
    assert len(used) == len(set(used))


def do(twin: Twin, *commands: str) -> None:
    for command in commands:
        done = run(TwinHost(twin), command)
        assert done.ok, (command, done.message)
    settle(twin)


def test_who_has_which_vf_stays_so(twin: Twin, tmp_path: Path) -> None:
    assert apply(twin, desired(FILE), tmp_path).code == 0
    before = nics(twin)
    given_once(twin)
    assert before["web1", "ua-rec-fixed"] == "0000:01:10.0"
    assert before["byhand", "plain"] == "0000:02:10.2"
    spread = {str(before["db1", f"ua-rec-{key}"])[:7] for key in ("one", "two")}
    assert spread == {"0000:01", "0000:02"}

    def steady(text: str = FILE) -> None:
        assert planned(twin, tmp_path, text)[1].verdict == "in-sync"
        assert nics(twin) == before
        given_once(twin)

    steady()
    do(twin, "systemctl restart libvirtd")
    steady()
    do(twin, "ip link set enp1s0 name lan0", "ip link set enp2s0 name lan1")
    steady()
    head, *guests = FILE.split("[domain.")
    steady(head + "".join(f"[domain.{item}" for item in sorted(guests)))  # Nor does the order of the guests count.


def test_after_a_reboot_everybody_gets_the_same_again(twin: Twin, tmp_path: Path) -> None:
    assert apply(twin, desired(FILE), tmp_path).code == 0
    before = nics(twin)
    do(twin, "reboot")
    assert all(not pf.vfs for pf in twin.pfs.values())
    assert apply(twin, desired(FILE), tmp_path).code == 0
    assert nics(twin) == before
    given_once(twin)
    do(twin, *(f"virsh start {name}" for name in ("web1", "idle1", *DEFINED)))
    assert apply(twin, desired(FILE), tmp_path).code == 0
    given_once(twin)
    assert len(nics(twin, live=True)) == 12


def test_what_a_definition_names_is_not_given_away_while_the_vfs_are_not_there(twin: Twin, tmp_path: Path) -> None:
    """Right after a reboot: the VFs that byhand was promised, and g9 was given, can only be predicted."""
    short = FILE.partition("[domain.idle1.nic]")[0]
    assert apply(twin, desired(short), tmp_path).code == 0
    do(twin, "reboot")
    assert apply(twin, desired(FILE), tmp_path).code == 0
    given_once(twin)


def test_a_guest_that_is_declared_later_keeps_what_it_had_by_hand(twin: Twin, tmp_path: Path) -> None:
    assert apply(twin, desired(FILE), tmp_path).code == 0
    assert planned(twin, tmp_path, FILE + MORE)[1].verdict == "in-sync"


def test_a_definition_that_comes_later_moves_nobody(twin: Twin, tmp_path: Path) -> None:
    """A clone of a guest names its VFs too: who has them keeps them, whether it runs or not, and it is told."""
    assert apply(twin, desired(FILE), tmp_path).code == 0
    domains = twin.libvirt.domains
    domains["byhand"].config = [replace(nic, alias=None) for name in ("idle1", "g6") for nic in domains[name].config]
    plan = planned(twin, tmp_path)[1]
    assert plan.actions == []
    assert [(d.code, d.address) for d in plan.diagnostics if d.code == "vf-promised-twice"] == [
        ("vf-promised-twice", "domain.idle1.nic.any"),
        ("vf-promised-twice", "domain.g6.nic.any"),
    ]


def test_a_nic_without_its_alias_is_given_no_second_vf(twin: Twin, tmp_path: Path) -> None:
    """The alias is gone from a definition that somebody wrote anew; the MAC was generated."""
    assert apply(twin, desired(FILE), tmp_path).code == 0
    (nic,) = twin.libvirt.domains["g6"].config
    nic.alias = None
    assert planned(twin, tmp_path)[1].verdict == "in-sync"


@pytest.mark.parametrize(("nodes", "where"), [([1], "0000:02"), ([0], "0000:01"), ([], "0000:01"), ([5], "0000:01")])
def test_the_numa_node_of_the_guest_is_preferred(twin: Twin, tmp_path: Path, nodes: list[int], where: str) -> None:
    for number, pf in enumerate(twin.pfs.values()):
        pf.numa_node = number
    hardware = twin.libvirt.domains["db1"].hardware
    assert hardware is not None
    hardware.numa_nodes = nodes
    text = FILE.partition("[pool.")[0] + '[domain.db1.nic]\none = { pf = ["int", "ext"] }\n'
    assert apply(twin, desired(text), tmp_path).code == 0
    before = nics(twin)
    assert str(before["db1", "ua-rec-one"])[:7] == where
    hardware.numa_nodes = [1 - (where == "0000:02")]
    assert planned(twin, tmp_path, text)[1].verdict == "in-sync"
    assert nics(twin) == before
