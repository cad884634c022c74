"""The twin does what the real host did, in every case and after every step."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reconciler.drivers.facts import DriverFacts
from reconciler.host.model import Nic, Pf, Vf
from reconciler.host.twin import attributes, kernel, libvirt, modules, networks
from reconciler.host.twin.state import Twin
from reconciler.state.desired import Attributes
from tests.conformance.cases import CASES, Case, load_case, load_cases
from tests.conformance.recording import RECORDED, differences, load
from tests.conformance.twin import play_on_twin

ALL = load_cases()


@pytest.mark.parametrize("case", ALL, ids=[case.name for case in ALL])
def test_the_twin_does_what_the_kernel_did(case: Case) -> None:
    found = differences(load(case), play_on_twin(case))
    assert not found, f"{case.title}:\n" + "\n".join(found)


def test_every_recording_has_its_case() -> None:
    assert {path.stem for path in RECORDED.glob("*.json")} == {case.name for case in ALL}


def any_count_at_any_time(patch: pytest.MonkeyPatch) -> None:
    """From N to M VFs without 0 in between."""
    right = kernel.set_numvfs

    def wrong(twin: Twin, identity: str, count: int) -> float:
        pf = kernel.pf_of(twin, identity)
        if pf.vfs and 0 < count <= (pf.total_vfs or 0) and count != len(pf.vfs):
            kernel.remove_vfs(twin, pf)
        return right(twin, identity, count)

    patch.setattr(kernel, "set_numvfs", wrong)


def new_vfs_are_not_checked(patch: pytest.MonkeyPatch) -> None:
    """spoofchk is off on a new VF."""
    right = kernel.fresh

    def wrong(pf: Pf, driver: DriverFacts, index: int) -> Attributes:
        return {**right(pf, driver, index), "spoofchk": False}

    patch.setattr(kernel, "fresh", wrong)


def everything_is_taken(patch: pytest.MonkeyPatch) -> None:
    """No driver refuses an attribute."""
    patch.setattr(attributes, "refusal", lambda *_: None)


def pools_know_who_has_a_vf(patch: pytest.MonkeyPatch) -> None:
    """An allocation that skips VFs that a guest has."""
    right = networks.allocate

    def wrong(twin: Twin, domain: str, nic: Nic) -> str | None:
        network = twin.libvirt.networks[nic.pool or ""]
        listed = network.live_addresses
        network.live_addresses = [address for address in listed if not modules.guests_of(twin, address)]
        try:
            return right(twin, domain, nic)
        finally:
            network.live_addresses = listed

    patch.setattr(networks, "allocate", wrong)


def nothing_is_put_back(patch: pytest.MonkeyPatch) -> None:
    """MAC and VLAN stay as the guest had them."""
    right = libvirt._release

    def wrong(twin: Twin, pf: Pf, vf: Vf, *, restore: bool) -> None:
        right(twin, pf, vf, restore=False)

    patch.setattr(libvirt, "_release", wrong)


def autoprobe_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """New VFs get their driver whatever autoprobe says."""
    right = modules.probe

    def wrong(twin: Twin, pf: Pf, vf: Vf) -> None:
        before, pf.autoprobe = pf.autoprobe, True
        right(twin, pf, vf)
        pf.autoprobe = before

    patch.setattr(modules, "probe", wrong)


def a_blacklist_stops_nobody(patch: pytest.MonkeyPatch) -> None:
    """udev loads the driver all the same."""
    patch.setattr(modules, "blacklisted", lambda *_: False)


@pytest.mark.parametrize(
    ("break_it", "case"),
    [
        (any_count_at_any_time, "vf-count"),
        (new_vfs_are_not_checked, "vf-count"),
        (everything_is_taken, "attributes"),
        (pools_know_who_has_a_vf, "pool"),
        (nothing_is_put_back, "start-and-stop"),
        (autoprobe_is_ignored, "bind"),
        (a_blacklist_stops_nobody, "driver-of-new-vfs"),
    ],
)
def test_a_broken_rule_is_found(
    monkeypatch: pytest.MonkeyPatch, break_it: Callable[[pytest.MonkeyPatch], None], case: str
) -> None:
    played = load_case(CASES / f"{case}.toml")
    assert not differences(load(played), play_on_twin(played)), "the twin is wrong before anything is broken"
    break_it(monkeypatch)
    assert differences(load(played), play_on_twin(played)), f"{case} passes although: {break_it.__doc__}"
