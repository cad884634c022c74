"""What blocks a plan, or is worth a warning, before anything is written."""

from __future__ import annotations

from reconciler.host.model import Network, Nic, Pf, Snapshot, Use, Vf
from reconciler.plan.document import Plan
from reconciler.plan.planner import make_plan
from tests.hosts import desired, guest, host, igb

PF = '[pf.int]\nmatch = { name = "enp1s0" }\nlink = "up"\nvfs = 4\n'


def found(text: str, snapshot: Snapshot) -> dict[str, str]:
    """Severity by code and address."""
    return {f"{d.code} {d.address}": d.severity for d in make_plan(desired(text), snapshot).diagnostics}


def up(vfs: int = 4) -> Pf:
    return igb(1, vfs, up=True, carrier=True)


def pool(*indices: int) -> Network:
    addresses = [igb(1, 7).vfs[index].address or "" for index in indices]
    return Network("p", "u", active=True, mode="hostdev", addresses=addresses, live_addresses=list(addresses))


def test_the_driver_of_a_pf_is_never_taken_away() -> None:
    for loaded in ([], ["igb"]):
        text = '[modules]\nblacklist = ["igb"]\n'
        assert found(text, host(up(), loaded=loaded)) == {"not-a-vf-driver modules.blacklist": "error"}


def test_a_module_that_drives_something_else_is_not_unloaded() -> None:
    text = '[modules]\nblacklist = ["nouveau"]\n'
    assert found(text, host(up(), loaded=["nouveau"])) == {"not-a-vf-driver modules.blacklist": "error"}
    assert found(text, host(up())) == {}


def test_a_vf_driver_that_is_asked_for_and_kept_away() -> None:
    text = '[modules]\nblacklist = ["igbvf"]\n' + PF + '[pf.int.vf.2]\ndriver = "kernel"\n'
    assert found(text, host(up())) == {"driver-blacklisted pf.int.vf.2": "error"}


def test_a_pool_that_has_not_enough_vfs() -> None:
    nics = "".join(f'[domain.web.nic.{key}]\npool = "p"\n' for key in "ab")
    text = PF + '[pool.p]\nvfs = ["int/1"]\n' + nics
    assert found(text, host(up(), domains=[guest("web")])) == {"pool-oversubscribed pool.p": "error"}


def test_a_guest_that_is_off_is_only_a_warning_for_a_pool() -> None:
    text = PF + '[pool.p]\nvfs = ["int/1"]\n[domain.web.nic.a]\npool = "p"\n'
    other = guest("other", config=[Nic("pool", None, "52:54:00:00:00:77", pool="p")])
    assert found(text, host(up(), domains=[guest("web"), other])) == {"pool-oversubscribed pool.p": "warning"}
    other.running, other.live = True, [Nic("pool", "hostdev0", "52:54:00:00:00:77", "0000:01:10.2", "p")]
    assert found(text, host(up(), domains=[guest("web"), other]))["pool-oversubscribed pool.p"] == "error"


def test_a_network_that_is_no_pool_is_left_alone_with_its_nics() -> None:
    text = PF + '[pool.default]\nvfs = ["int/1"]\n[domain.web.nic.a]\npool = "default"\n'
    snapshot = host(up(), domains=[guest("web", running=True)], networks=[Network("default", "u", True, mode="nat")])
    assert found(text, snapshot) == {"pool-name-taken pool.default": "error"}
    plan = make_plan(desired(text), snapshot, partial=True)
    assert plan.actions == []
    assert plan.dropped == ["domain.web.nic.a", "pool.default"]


def test_vfs_that_are_no_pci_devices_are_not_for_guests() -> None:
    sim = Pf("netdevsim", "netdevsim1", "eni1np1", driver="netdevsim", num_vfs=2, up=True, mtu=1500)
    sim.vfs = [Vf(index, attributes={}) for index in range(2)]
    text = '[pf.s]\nmatch = { name = "eni1np1" }\nvfs = 2\n[pool.p]\nvfs = ["s/0"]\n[domain.web.nic.a]\nvf = "s/1"\n'
    assert found(text, host(sim, domains=[guest("web")])) == {
        "not-a-pci-device pool.p": "error",
        "not-a-pci-device domain.web.nic.a": "error",
    }


def test_a_vf_of_another_guest() -> None:
    nic = Nic("interface", "ua-x", "52:54:00:00:00:99", "0000:01:10.2")
    text = PF + '[domain.web.nic.a]\nvf = "int/1"\n'
    running = host(up(), domains=[guest("web"), guest("other", running=True, live=[nic])])
    assert found(text, running) == {"vf-in-use domain.web.nic.a": "error"}
    off = host(up(), domains=[guest("web"), guest("other", config=[nic])])
    assert found(text, off) == {"vf-promised-twice domain.web.nic.a": "warning"}


def test_a_declared_nic_that_stays_on_its_vf_keeps_it() -> None:
    """A pool that shrinks under its guest: the VF isn't free for the next one."""
    held = Nic("pool", "ua-rec-a", "52:54:00:00:00:01", "0000:01:10.2", "p")
    web = guest("web", running=True, live=[held], config=[Nic("pool", "ua-rec-a", "52:54:00:00:00:01", pool="p")])
    text = PF + '[pool.p]\nvfs = ["int/0"]\n[domain.web.nic.a]\npool = "p"\n[domain.db.nic.b]\nvf = "int/1"\n'
    snapshot = host(up(), domains=[web, guest("db", running=True)], networks=[pool(0, 1)])
    assert found(text, snapshot)["vf-in-use domain.db.nic.b"] == "error"


def test_the_limit_of_vfs_in_a_guest_counts_those_that_are_not_declared() -> None:
    foreign = [Nic("hostdev", None, None, f"0000:05:10.{index}") for index in range(2)]
    text = "[policy]\nmax_vfs_per_domain = 2\n" + PF + '[domain.web.nic.a]\nvf = "int/1"\n'
    assert found(text, host(up(), domains=[guest("web", config=foreign)])) == {
        "too-many-vfs-in-guest domain.web": "error"
    }


def test_a_pf_that_stays_down_cannot_give_vfs_to_guests() -> None:
    text = PF.replace('link = "up"\n', "") + '[domain.web.nic.a]\nvf = "int/1"\n'
    assert found(text, host(igb(1, 4), domains=[guest("web", running=True)])) == {"pf-down domain.web.nic.a": "error"}
    assert found(text, host(igb(1, 4), domains=[guest("web")])) == {"pf-down pf.int": "warning"}


def test_links_that_could_not_be_read_are_unknown_and_not_guessed() -> None:
    pf = igb(1, 4)
    pf.up, pf.mtu = None, None
    plan: Plan = make_plan(desired(PF + "mtu = 9000\n"), host(pf))
    assert plan.actions == []
    assert plan.unobserved == ["pf.int"]
    assert plan.verdict == "blocked"


def test_a_vf_entry_that_is_missing_is_unknown() -> None:
    pf = up()
    del pf.vfs[1]
    plan = make_plan(desired(PF + '[pf.int.vf."0-3"]\nspoofchk = true\n'), host(pf))
    assert plan.unobserved == ["pf.int.vf.1"]


def test_a_vf_that_the_host_uses_is_only_given_away_when_that_is_allowed() -> None:
    pf = up()
    pf.vfs[1].uses = [Use("address", "192.0.2.7/24")]
    snapshot = host(pf, domains=[guest("web", running=True)])
    for text in (
        PF + '[domain.web.nic.a]\nvf = "int/1"\n',
        PF + '[pool.p]\npf = "int"\n[domain.web.nic.a]\npool = "p"\n',
    ):
        attach = next(a for a in make_plan(desired(text), snapshot).actions if a.op == "nic.attach")
        assert attach.disruption == "guest"
        assert "192.0.2.7/24" in attach.impact.host[0]
