"""NICs of guests: found again, moved, handed over, taken away."""

from __future__ import annotations

import pytest

from reconciler.host.model import Domain, Network, NetworkPort, Nic, Snapshot
from reconciler.host.twin.host import TwinHost
from reconciler.host.twin.profiles import make_from
from reconciler.kinds.nic.identity import alias_of, find_nic, generated_mac
from reconciler.kinds.operations import OPERATIONS
from reconciler.plan.document import Plan
from reconciler.plan.planner import make_plan
from tests.hosts import desired, guest, host, igb

PF = '[pf.int]\nmatch = { name = "enp1s0" }\nlink = "up"\nvfs = 4\n'
MAC = "52:54:00:00:01:01"


def vf(index: int) -> str:
    return igb(1, 7).vfs[index].address or ""


def interface(key: str | None, index: int, mac: str = MAC) -> Nic:
    return Nic("interface", f"ua-rec-{key}" if key else None, mac, vf(index))


def on(*nics: Nic, name: str = "web", running: bool = True) -> Domain:
    return guest(name, running=running, live=nics if running else (), config=[Nic(**_fields(nic)) for nic in nics])


def _fields(nic: Nic) -> dict[str, object]:
    return {name: getattr(nic, name) for name in ("method", "alias", "mac", "vf_address", "pool", "vlan")}


def snapshot(*domains: Domain) -> Snapshot:
    pf = igb(1, 4, up=True, carrier=True)
    for domain in domains:
        for nic in domain.live:
            item = next(item for item in pf.vfs if item.address == nic.vf_address)
            item.driver = "vfio-pci"
            assert item.attributes is not None
            item.attributes["mac"] = nic.mac or item.attributes["mac"]
    return host(pf, domains=domains)


def plan(text: str, *domains: Domain) -> Plan:
    return make_plan(desired(PF + text), snapshot(*domains))


def steps(found: Plan) -> list[tuple[str, str]]:
    assert found.verdict != "blocked", found.diagnostics
    return [(action.op, action.address) for action in found.actions]


@pytest.mark.parametrize(
    ("key", "alias"),
    [("data", "ua-rec-data"), ("a_b-9", "ua-rec-a_b-9"), ("a b", "ua-rec-a-b-"), ("ä", "ua-rec---")],
)
def test_the_alias_of_a_key(key: str, alias: str) -> None:
    assert alias_of(key).startswith(alias)
    assert (alias_of(key) == alias) is (not alias.endswith("-"))


def test_different_keys_have_different_aliases() -> None:
    assert len({alias_of(key) for key in ("a b", "a.b", "a-b", "a/b")}) == 4


def test_a_generated_mac_is_always_the_same_and_unicast() -> None:
    mac = generated_mac("machine", "uuid", "key")
    assert mac == generated_mac("machine", "uuid", "key")
    assert mac.startswith("52:54:00:")
    assert mac != generated_mac("machine", "uuid", "other")


def test_a_nic_is_found_by_alias_then_mac_then_vf() -> None:
    nics = [interface("b", 0), interface(None, 1, "52:54:00:00:00:02"), Nic("other", "net0", MAC)]
    none: frozenset[str] = frozenset()
    assert find_nic(nics, "ua-rec-b", none, "52:54:00:00:00:02", None) is nics[0]
    assert find_nic(nics, "ua-rec-x", none, MAC, None) is nics[0]
    assert find_nic(nics, "ua-rec-x", frozenset({"ua-rec-b"}), MAC, None) is None
    assert find_nic(nics, "ua-rec-x", none, None, vf(1)) is nics[1]
    assert find_nic(nics, "ua-rec-x", none, None, vf(3)) is None


def test_a_renamed_key_is_the_same_nic() -> None:
    for where in ('vf = "int/3"', 'pf = "int"'):
        found = plan(f'[domain.web.nic.b]\n{where}\nmac = "{MAC}"\n', on(interface("a", 3)))
        assert found.verdict == "in-sync", found.actions


def test_an_absent_nic_declares_nothing_of_its_vf() -> None:
    text = '[domain.web.nic.a]\nstate = "absent"\nvf = "int/1"\nvlan = 100\nspoofchk = false\n'
    assert plan(text, on()).verdict == "in-sync"


def test_an_absent_nic_is_not_somebody_elses_on_its_vf() -> None:
    text = '[domain.web.nic.a]\nstate = "absent"\nvf = "int/1"\n'
    assert plan(text, on(interface(None, 1), running=False)).verdict == "in-sync"
    assert steps(plan(text + f'mac = "{MAC}"\n', on(interface(None, 1), running=False))) == [
        ("nic.detach", "domain.web.nic.a")
    ]


def test_a_vf_that_is_handed_over_is_given_after_it_was_taken() -> None:
    text = (
        '[domain.web.nic.a]\nstate = "absent"\n'
        '[domain.db.nic.n]\nvf = "int/3"\nmac = "52:54:00:00:02:01"\nmax_tx_rate = 5\n'
    )
    found = make_plan(
        desired(PF + text), snapshot(on(interface("a", 3)), guest("db", running=True)), targets=["domain.db.nic.n"]
    )
    assert [action.op for action in found.actions] == ["nic.detach", "vf.set", "nic.attach"]
    detach, rate, attach = found.actions
    assert detach.id in rate.needs
    assert detach.id in attach.needs


def test_two_nics_of_a_guest_that_is_off_swap_their_vfs() -> None:
    text = "".join(
        f'[domain.web.nic.{key}]\nvf = "int/{index}"\nmac = "52:54:00:00:01:0{index}"\n'
        for key, index in (("a", 1), ("b", 0))
    )
    domain = on(interface("a", 0, "52:54:00:00:01:01"), interface("b", 1, "52:54:00:00:01:00"), running=False)
    assert steps(plan(text, domain)) == [
        ("nic.detach", "domain.web.nic.a"),
        ("nic.update", "domain.web.nic.b"),
        ("nic.attach", "domain.web.nic.a"),
    ]


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("state", ["present", "absent"])
def test_a_graphics_card_with_our_alias_is_left_alone(state: str, running: bool) -> None:
    twin = make_from("igb-lab")
    guest = twin.libvirt.domains["web1" if running else "db1"]
    card = Nic("hostdev", "ua-rec-gpu", vf_address="0000:65:00.0")
    guest.live, guest.config = [card] if running else [], [card]
    text = f'[pf.int]\nmatch.name = "enp1s0"\nvfs = 2\n[domain.{guest.name}.nic.gpu]\nvf = "int/1"\nstate = "{state}"\n'
    for devices, left_alone in (({}, False), ({"vfio_pci": ["0000:65:00.0"]}, True)):
        twin.modules.devices = devices
        found = make_plan(desired(text), TwinHost(twin).observe())
        touched = any(action.op.startswith("nic.") for action in found.actions)
        blocked = "alias-taken" in [d.code for d in found.diagnostics]
        assert touched is not left_alone
        assert blocked is (left_alone and state == "present")


@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize("device", ["virtio", "disk"])
def test_a_device_that_is_not_ours_and_has_our_alias_is_left_alone(device: str, state: str) -> None:
    domain = on(running=False)
    if device == "disk":
        domain.other_aliases = ["ua-rec-a"]
    else:
        domain.config = [Nic("other", "ua-rec-a", "52:54:00:00:00:09")]
    found = plan(f'[domain.web.nic.a]\nvf = "int/1"\nstate = "{state}"\n', domain)
    assert found.actions == []
    if state == "absent":
        assert found.verdict == "in-sync"
        return
    (error,) = found.diagnostics
    assert (found.verdict, error.code, error.address) == ("blocked", "alias-taken", "domain.web.nic.a")
    what = "a device that is no NIC" if device == "disk" else "an interface without a VF (MAC 52:54:00:00:00:09)"
    assert f"In web, ua-rec-a is the alias of {what}, which is left alone" in error.detail


@pytest.mark.parametrize(
    ("name", "nics", "meant"),
    [("web-old", [interface("a", 3)], "web-old"), ("ewb", [], "ewb"), ("other", [], None), ("web2", [], "web2")],
)
def test_a_guest_that_is_not_there_may_have_another_name_now(name: str, nics: list[Nic], meant: str | None) -> None:
    found = plan('[domain.web.nic.a]\nvf = "int/3"\n', on(*nics, name=name, running=False))
    (error,) = [item for item in found.diagnostics if item.severity == "error"]
    told = f"Did you mean {meant!r}? " if meant is not None else ""
    assert error.detail.startswith(f"There is no domain 'web'. {told}Domains here: {name}.")


def test_the_mac_of_a_running_interface_takes_detach_and_attach() -> None:
    text = '[domain.web.nic.a]\nvf = "int/3"\nmac = "52:54:00:00:01:99"\n'
    found = plan(text, on(interface("a", 3)))
    assert steps(found) == [("nic.detach", "domain.web.nic.a"), ("nic.attach", "domain.web.nic.a")]
    assert found.changes[0].op == "replace"


def test_a_vf_that_a_running_nic_moves_to_is_set_only_once_the_guest_has_let_go() -> None:
    text = f'[domain.web.nic.a]\nvf = "int/1"\nmac = "{MAC}"\nmax_tx_rate = 100\n'
    found = plan(text, on(interface("a", 3)))
    (taken,) = [action for action in found.actions if action.op == "nic.detach"]
    (limited,) = [action for action in found.actions if action.op == "vf.set" and "max_tx_rate" in action.args["set"]]
    assert taken.id in limited.needs


def test_the_vlan_of_a_running_interface_is_changed_in_place() -> None:
    text = f'[domain.web.nic.a]\nvf = "int/3"\nmac = "{MAC}"\nvlan = 7\n'
    found = plan(text, on(interface("a", 3)))
    assert steps(found) == [("vf.set", "domain.web.nic.a"), ("nic.update", "domain.web.nic.a")]
    assert found.disruption == "none"


def test_a_running_guest_that_lost_its_nic_is_drift_also_if_it_was_off_before() -> None:
    domain = on(interface("a", 3))
    domain.live = []
    found = plan(f'[domain.web.nic.a]\nvf = "int/3"\nmac = "{MAC}"\n', domain)
    assert [(action.op, action.args["live"], action.args["config"]) for action in found.actions] == [
        ("nic.attach", True, False)
    ]


def test_a_transient_guest_has_no_definition_to_write() -> None:
    domain = guest("web", running=True)
    domain.persistent = False
    found = plan(f'[domain.web.nic.a]\nvf = "int/3"\nmac = "{MAC}"\n', domain)
    assert [(action.args["live"], action.args["config"]) for action in found.actions] == [(True, False)]


def test_a_vf_on_which_the_link_is_cut_is_noticed_by_its_guest() -> None:
    text = f'[domain.web.nic.a]\nvf = "int/3"\nmac = "{MAC}"\nlink_state = "disable"\n'
    found = plan(text, on(interface("a", 3)))
    assert found.disruption == "guest"
    assert found.actions[0].impact.domains == ["web"]


def test_vfs_that_are_made_again_do_not_keep_what_libvirt_had_set() -> None:
    nic = Nic("pool", "ua-rec-a", MAC, vf(3), "p")
    web = guest("web", running=True, live=[nic], config=[Nic("pool", "ua-rec-a", MAC, pool="p")])
    text = PF.replace("vfs = 4", "vfs = 5") + '[pool.p]\nvfs = ["int/2-3"]\n[domain.web.nic.a]\npool = "p"\n'
    found = make_plan(desired(text), snapshot(web))
    assert found.verdict == "changes"
    assert [action for action in found.actions if action.op == "vf.set"] == []


def test_vfs_that_are_made_again_get_back_what_was_set_by_hand() -> None:
    observed = snapshot()
    attributes = observed.pfs["pci/0000:01:00.0"].vfs[2].attributes
    assert attributes is not None
    attributes["vlan"] = 77
    found = make_plan(desired(PF.replace("vfs = 4", "vfs = 5")), observed)
    sets = [(action.address, action.args["set"]) for action in found.actions if action.op == "vf.set"]
    assert sets == [("pf.int.vf.2", {"vlan": 77})]


def test_a_device_that_the_file_does_not_declare_is_never_turned_into_one_that_it_does() -> None:
    domain = on(interface("a", 0), running=False)
    domain.config.append(Nic("hostdev", None, None, vf(1)))
    found = plan(f'[domain.web.nic.a]\nvf = "int/1"\nmac = "{MAC}"\n', domain)
    assert [(d.code, d.severity) for d in found.diagnostics] == [("vf-in-use", "error")]
    assert found.verdict == "blocked"


def test_a_target_that_moves_to_a_vf_takes_the_one_along_that_leaves_it() -> None:
    text = "".join(
        f'[domain.web.nic.{key}]\nvf = "int/{index}"\nmac = "52:54:00:00:01:0{index}"\n'
        for key, index in (("a", 1), ("b", 2))
    )
    domain = on(interface("a", 0, "52:54:00:00:01:01"), interface("b", 1, "52:54:00:00:01:02"), running=False)
    found = make_plan(desired(PF + text), snapshot(domain), targets=["domain.web.nic.a"])
    assert steps(found) == [
        ("nic.detach", "domain.web.nic.a"),
        ("nic.update", "domain.web.nic.b"),
        ("nic.attach", "domain.web.nic.a"),
    ]
    assert found.actions[1].id in found.actions[2].needs


def test_a_pool_is_stopped_only_when_its_nics_are_off() -> None:
    nic = Nic("pool", "ua-rec-a", MAC, vf(3), "p")
    web = guest("web", running=True, live=[nic], config=[Nic("pool", "ua-rec-a", MAC, pool="p")])
    observed = snapshot(web)
    observed.libvirt.networks["p"] = Network(
        "p",
        "u",
        active=True,
        mode="hostdev",
        addresses=[vf(2), vf(3)],
        live_addresses=[vf(2), vf(3)],
        ports=[NetworkPort("web", MAC, vf(3))],
    )
    text = PF.replace("vfs = 4", "vfs = 5") + '[pool.p]\nvfs = ["int/2-3"]\n[domain.web.nic.a]\npool = "p"\n'
    actions = {action.op: action for action in make_plan(desired(text), observed).actions}
    assert actions["nic.detach"].id in actions["pool.stop"].needs
    assert actions["pool.stop"].disruption == "none"


def test_a_nic_without_alias_in_its_definition_alone_is_taken_off_in_two_steps() -> None:
    domain = on(interface("a", 3))
    domain.config[0].alias = None
    text = f'[domain.web.nic.a]\nstate = "absent"\nmac = "{MAC}"\n'
    found = plan(text, domain)
    assert [(a.args["match"], a.args["live"], a.args["config"]) for a in found.actions] == [
        ({"alias": "ua-rec-a"}, True, False),
        ({"mac": MAC}, False, True),
    ]


@pytest.mark.parametrize("where", ['pool = "p"', 'pf = "int"', 'vf = "int/0"'])
def test_a_nic_without_a_mac_that_lost_its_alias_is_still_the_same(where: str) -> None:
    """Whoever wrote its definition anew: a second one would block the file, since the pool has one VF."""
    card = igb(1, 2, up=True, carrier=True)
    first = card.vfs[0].address or ""
    network = Network("p", "u", True, True, False, "hostdev", None, [first], [first])
    text = '[pf.int]\nmatch = { name = "enp1s0" }\n' + ('[pool.p]\nvfs = ["int/0"]\n' if "pool" in where else "")
    wanted = desired(f"{text}[domain.web.nic.a]\n{where}\n")
    snapshot = host(card, domains=[guest("web")], networks=[network] if "pool" in where else [])
    for action in make_plan(wanted, snapshot).actions:
        OPERATIONS[action.op].simulate(snapshot, action.args)
    (device,) = snapshot.libvirt.domains["web"].config
    assert device.alias == "ua-rec-a"
    device.alias = None
    found = make_plan(wanted, snapshot)
    assert (found.verdict, found.diagnostics) == ("in-sync", [])
