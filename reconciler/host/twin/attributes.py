"""What drivers make of VF attributes: by the driver table they take, alter, ignore or refuse them."""

from __future__ import annotations

import errno
from dataclasses import replace

from reconciler.drivers.readback import reported
from reconciler.drivers.rules import Situation, kept, refusal
from reconciler.host.model import Pf, Vf
from reconciler.host.twin import macs, modules
from reconciler.host.twin.errors import kernel_error
from reconciler.host.twin.kernel import known, pf_of
from reconciler.host.twin.state import Twin
from reconciler.state.desired import ZERO_MAC, Attributes

_RESET = 0.5
"""Seconds until a VF works again that its driver has reset."""


def set_attributes(twin: Twin, identity: str, index: int, wanted: Attributes, *, patient: bool = False) -> None:
    """One request for one VF. Raises OSError as the kernel answers. ``patient``: it comes when the reset that the one
    before began is over, as libvirt's do: each waits in the kernel up to 0.3 s (i40e_check_vf_init_timeout)."""
    pf = pf_of(twin, identity)
    vf = pf.vf(index)
    if vf is None or vf.attributes is None:
        raise kernel_error(errno.EINVAL)
    driver, situation = known(pf), replace(situation_of(pf, vf), held=bool(modules.guests_of(twin, vf.address)))
    if not _sane(wanted):
        raise kernel_error(errno.EINVAL)
    if driver.resetting and index in twin.cards[pf.id].resetting and not patient:
        raise kernel_error(driver.resetting)
    refused = refusal(driver, wanted, situation)
    if refused is not None:
        raise kernel_error(refused.errno)
    done = kept(driver, wanted, situation)
    changed = {name for name, value in done.items() if vf.attributes.get(name) != value}
    vf.attributes.update(done)
    if not vf.attributes.get("vlan") and not vf.attributes.get("qos") and "vlan_proto" in vf.attributes:
        vf.attributes["vlan_proto"] = "802.1Q"
    if "mac" in done:
        macs.given(twin, pf, vf)
    if "max_tx_rate" in done:
        twin.cards[pf.id].rates_set_at = pf.speed
    if changed & driver.resets_vf:
        _reset(twin, pf, vf)


def _sane(wanted: Attributes) -> bool:
    """What every driver checks first, and no state file says: is_valid_ether_addr (or zero), a VLAN that fits into 12
    bits and a priority that fits into 3 (igb_ndo_set_vf_vlan, nsim_set_vf_vlan, …)."""
    multicast = int(str(wanted.get("mac", ZERO_MAC))[:2], 16) & 1
    return not multicast and int(wanted.get("vlan", 0)) <= 4095 and int(wanted.get("qos", 0)) <= 7


def situation_of(pf: Pf, vf: Vf) -> Situation:
    """What the driver's answer depends on."""
    others = (other.attributes or {} for other in pf.vfs if other is not vf)
    return Situation(
        up=pf.up,
        carrier=bool(pf.carrier),
        speed=pf.speed,
        vf=dict(vf.attributes or {}),
        other_min_rates=sum(int(item.get("min_tx_rate", 0)) for item in others),
    )


def seen(pf: Pf, vf: Vf) -> Attributes:
    """What RTM_GETLINK says of a VF, as the local reader takes it: VLAN 4095 is none."""
    found = reported(known(pf), dict(vf.attributes or {}), pf.speed)
    if found.get("vlan") == 4095:
        found["vlan"] = 0
    return found


def _reset(twin: Twin, pf: Pf, vf: Vf) -> None:
    resetting = twin.cards[pf.id].resetting
    if vf.index not in resetting:
        resetting.append(vf.index)
    twin.forget({"vf-ready"}, pf.id, vf.index)
    twin.later(_RESET, "vf-ready", pf.id, vf.index)
