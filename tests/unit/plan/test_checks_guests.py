"""What guests make impossible or doubtful."""

from __future__ import annotations

import pytest

from reconciler.diagnostics import Diagnostic
from reconciler.host.model import Domain, GuestHardware, Nic, PciBus
from reconciler.plan.planner import make_plan
from tests.hosts import desired, guest, host, igb

PF = '[pf.int]\nmatch.name = "enp1s0"\n'
MAC = "52:54:00:00:02:01"
GIB = 1024 * 1024


def found(text: str, *domains: Domain, vfs: int = 4) -> dict[str, Diagnostic]:
    plan = make_plan(desired(PF + text), host(igb(1, vfs, up=True, carrier=True), domains=domains))
    return {item.code: item for item in plan.diagnostics}


def web(running: bool = True, **hardware: object) -> Domain:
    domain = guest("web", running=running)
    domain.hardware = GuestHardware(GIB, machine="pc-q35-10.0", free_root_ports=1)
    for name, value in hardware.items():
        setattr(domain.hardware, name, value)
    return domain


TWO = f'[domain.web.nic]\na = {{ pf = "int", mac = "{MAC}" }}\nb = {{ pf = "int" }}\n'


def test_a_running_guest_needs_a_slot_for_each_new_nic() -> None:
    error = found(TWO, web())["no-free-root-port"]
    assert (error.severity, error.address) == ("error", "domain.web")
    assert "1 free PCIe root ports, and is to be given 2 more NICs: domain.web.nic.a, domain.web.nic.b" in error.detail
    assert "no-free-root-port" not in found(TWO, web(free_root_ports=2))
    assert "no-free-root-port" not in found(TWO, web(free_root_ports=None, machine="pc-i440fx-9.0"))
    assert "no-free-root-port" not in found(TWO, web(running=False))
    assert "declare root_ports = 2 for web and apply that" in error.detail
    restarted = web()
    restarted.buses = [PciBus(1, free=True), PciBus(2, free=True)]
    assert "shut it down and start it, then apply" in found(TWO, restarted)["no-free-root-port"].detail
    transient = web()
    transient.persistent = False
    assert "It is transient" in found(TWO, transient)["no-free-root-port"].detail


def test_a_nic_that_leaves_makes_room() -> None:
    domain = web()
    leaving = Nic("interface", "ua-rec-old", "52:54:00:00:00:09", igb(1, 4).vfs[3].address)
    domain.live, domain.config = [leaving], [leaving]
    text = TWO + 'old = { vf = "int/3", state = "absent" }\n'
    assert "no-free-root-port" not in found(text, domain)


def test_a_microvm_takes_no_card_while_it_runs() -> None:
    assert found(TWO, web(machine="microvm", free_root_ports=None))["no-hot-plug"].severity == "error"


def test_a_memory_limit_without_room() -> None:
    assert found(TWO, web(free_root_ports=9, hard_limit_kib=GIB + 5))["hard-limit-too-low"].severity == "warning"
    assert "hard-limit-too-low" not in found(TWO, web(free_root_ports=9, hard_limit_kib=2 * GIB))


@pytest.mark.parametrize(
    ("nic", "code"),
    [
        ('vf = "int/0"\nmethod = "hostdev"', "guest-chooses-mac"),
        ('vf = "int/0"\nmethod = "hostdev"\nmac = "none"', "guest-chooses-mac"),
        (f'vf = "int/0"\nmethod = "hostdev"\nmac = "{MAC}"', None),
        ('vf = "int/0"', None),
        (f'vf = "int/0"\nmac = "{MAC}"\ntrust = true', "trusted-guest"),
        ('vf = "int/0"\ntrust = false', None),
    ],
)
def test_who_chooses_the_mac(nic: str, code: str | None) -> None:
    assert found(f"[domain.web.nic.a]\n{nic}\n", web()).keys() == ({code} if code else set())


def test_what_is_there_already_is_not_told_again() -> None:
    domain = web()
    device = Nic("hostdev", "ua-rec-a", None, igb(1, 4).vfs[0].address)
    domain.live, domain.config = [device], [device]
    assert found('[domain.web.nic.a]\nvf = "int/0"\nmethod = "hostdev"\n', domain) == {}


def test_a_mac_that_somebody_else_has() -> None:
    bridge = Nic("other", "net0", MAC)
    text = f'[domain.web.nic.a]\npf = "int"\nmac = "{MAC}"\n'
    other = found(text, web(), guest("db", running=True, live=[bridge]))["mac-used-twice"]
    assert "guest db (net0)" in other.detail
    assert "guest db" in found(text, web(), guest("db", config=[bridge]))["mac-used-twice"].detail

    card = igb(1, 4, up=True, mac=MAC)
    (warning,) = make_plan(desired(PF + text), host(card, domains=[web()])).diagnostics
    assert "the PF enp1s0" in warning.detail


def test_a_mac_left_on_another_vf_is_told_and_that_of_its_own_is_not() -> None:
    text = f'[domain.web.nic.a]\nvf = "int/0"\nmac = "{MAC}"\n'
    card = igb(1, 4, up=True, carrier=True)
    card.vfs[0].attributes["mac"] = MAC  # type: ignore[index]
    assert make_plan(desired(PF + text), host(card, domains=[web()])).diagnostics == []
    card.vfs[2].attributes["mac"] = MAC  # type: ignore[index]
    (warning,) = make_plan(desired(PF + text), host(card, domains=[web()])).diagnostics
    assert "VF 2 of enp1s0" in warning.detail
