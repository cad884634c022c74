"""MACs that nobody gave: a VF's driver makes one up, on the host or in a guest, and the PF reports it.

Seen on igb and igbvf: igbvf takes a random MAC when the PF has none for it and asks the PF for it, which works while
the PF is up (igbvf_probe, igb_set_vf_mac_addr); a reset of the VF takes it away again (igb_vf_reset).
"""

from __future__ import annotations

import hashlib

from reconciler.drivers.table import facts
from reconciler.host.model import Pf, Vf
from reconciler.host.twin.state import Twin
from reconciler.state.desired import ZERO_MAC


def generated_mac(seed: str) -> str:
    """A locally administered MAC that is always the same for the same seed."""
    return "02:" + hashlib.sha256(seed.encode()).digest()[:5].hex(":")


def made_up(twin: Twin, pf: Pf, vf: Vf) -> None:
    """A driver begins to work on the VF."""
    own = facts(pf.driver, pf.device_id).reports_own_mac
    if own and pf.up and vf.attributes and vf.attributes.get("mac") == ZERO_MAC:
        vf.attributes["mac"] = generated_mac(f"netdev {vf.address}")
        twin.cards[pf.id].own_macs.append(vf.index)


def given(twin: Twin, pf: Pf, vf: Vf) -> None:
    """The PF gives the VF a MAC, and a reset doesn't take that away."""
    own = twin.cards[pf.id].own_macs
    own[:] = [index for index in own if index != vf.index]


def reset(twin: Twin, pf: Pf, vf: Vf) -> None:
    """The VF is reset, as each time that VFIO gives it to somebody or takes it back."""
    if vf.index in twin.cards[pf.id].own_macs and vf.attributes:
        vf.attributes["mac"] = ZERO_MAC
        given(twin, pf, vf)
