"""What a VF goes back to."""

import pytest

from reconciler.drivers.defaults import defaults
from reconciler.drivers.readback import GROUPS
from reconciler.drivers.rules import Situation, refusal
from reconciler.drivers.table import DRIVERS, facts
from reconciler.state.desired import ZERO_MAC


@pytest.mark.parametrize("name", sorted(DRIVERS))
def test_every_driver_takes_its_own_defaults(name: str) -> None:
    known = DRIVERS[name]
    found = defaults(known)
    assert not set(found) & set(known.lacks)
    situation = Situation(up=True, carrier=True, vf=found)
    for group in GROUPS:
        wanted = {key: found[key] for key in group if key in found}
        assert not wanted or refusal(known, wanted, situation) is None, wanted


def test_a_new_igb_vf_has_no_mac_and_checks_the_source() -> None:
    found = defaults(facts("igb", "10c9"))
    assert (found["mac"], found["spoofchk"], found["trust"], found["max_tx_rate"]) == (ZERO_MAC, True, False, 0)
    assert "link_state" not in found  # igb has none.


def test_of_an_unknown_driver_nothing_is_guessed_that_could_lock_a_guest_out() -> None:
    found = defaults(facts("brandnew", "0000"))
    assert found["max_tx_rate"] == 0
    assert "mac" not in found
    assert "spoofchk" not in found
