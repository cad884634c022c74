"""Guests' NICs, compared with the live and the persistent XML of their domains."""

from __future__ import annotations

from typing import Any

from reconciler.host.model import Nic, Snapshot
from reconciler.kinds.field_state import FieldState, Status
from reconciler.kinds.nic.intent import NicIntent
from reconciler.kinds.nic.operations import nic_address, same_device
from reconciler.kinds.nic.pair import goes_too, of_another_mac, pair_bridge
from reconciler.kinds.operation import Args
from reconciler.kinds.resolution import Resolution, references
from reconciler.kinds.vf.compare import LIBVIRT_OWNS
from reconciler.state.address import address


def wanted(intent: NicIntent) -> Args:
    """The argument ``nic`` of the operations: the device as it is to stand in the XML."""
    nic: Args = {"method": intent.nic.method, "alias": intent.alias}
    if intent.nic.method != "hostdev":
        nic["mac"] = intent.mac
        if intent.vlan is not None:
            nic["vlan"] = intent.vlan
    if intent.vf is not None:
        nic["vf"] = [intent.vf[0], intent.vf[1]]
    if intent.pool is not None:
        nic["pool"] = intent.pool
    if intent.bridge is not None:
        nic["standby"] = intent.standby
    return nic


def compare(resolution: Resolution, host: Snapshot) -> list[FieldState]:
    """Fields ``live`` (it is in the running guest), ``persistent`` (it is in its definition), ``method``, ``vf`` or
    ``pool``, ``mac`` and ``vlan``; and the attributes of a pool's NIC that has no VF yet."""
    if not host.libvirt.available:
        return [
            FieldState(address("domain", d.name, "nic", key), "persistent", "", True, None, "unknown")
            for d in resolution.desired.domains.values()
            for key in d.nics
        ]
    names = references(resolution, host)
    return [state for intent in resolution.nics for state in _compare(names, host, intent)]


def _compare(names: dict[str | None, str], host: Snapshot, intent: NicIntent) -> list[FieldState]:
    domain = intent.on(host)
    live, config = intent.find(host)

    def state(field: str, declared: Any, observed: Any, status: Status | None = None) -> FieldState:
        told: Status = status or ("same" if declared == observed else "different")
        return FieldState(intent.address, field, intent.identity, declared, observed, told)

    if intent.nic.state == "absent":
        gone = live is None and config is None and not any(goes_too(host, intent))
        return [state("state", "absent", "absent" if gone else "present")]
    states = []
    if domain.running:
        states.append(state("live", True, live is not None))
    if domain.persistent:
        states.append(state("persistent", True, config is not None))
    device = live if domain.running and live is not None else config
    if device is None:
        return [*states, *_of_a_new_one(names, host, intent, state)]
    if intent.mac is not None and intent.nic.method != "hostdev":
        states.append(_both("mac", intent.mac, live, config, lambda nic: nic.mac, state))
    states.append(_both("method", intent.nic.method, live, config, lambda nic: nic.method, state))
    if intent.bridge is not None:
        states.append(_failover(host, intent, state))
    if intent.pool is not None:
        states.append(_both("pool", intent.pool, live, config, lambda nic: nic.pool, state))
        if not domain.running:
            states += [
                state(name, value, None, "deferred")
                for name, value in intent.nic.attributes.items()
                if name not in ("mac", "vlan")
            ]
    else:
        expected = nic_address(host, wanted(intent))
        found = _both("vf", expected, live, config, lambda nic: nic.vf_address, state)
        found.declared = names.get(found.declared, found.declared)
        found.observed = names.get(found.observed, found.observed)
        states.append(found)
    if intent.vlan is not None and config is not None and intent.nic.method != "hostdev":
        states.append(state("vlan", intent.vlan, config.vlan))
    return states


def _of_a_new_one(names: dict[str | None, str], host: Snapshot, intent: NicIntent, state: Any) -> list[FieldState]:
    """What a NIC that isn't there yet will have, for whoever reads the plan."""
    nic = wanted(intent)
    fields: dict[str, Any] = {"method": intent.nic.method}
    if intent.pool is not None:
        fields["pool"] = intent.pool
    else:
        where = nic_address(host, nic)
        fields["vf"] = names.get(where, where)
    if intent.bridge is not None:
        fields["failover"] = intent.bridge
    fields |= {name: nic[name] for name in ("mac", "vlan") if nic.get(name) is not None}
    return [state(name, value, None, "parent-missing") for name, value in fields.items()]


def _both(field: str, declared: Any, live: Nic | None, config: Nic | None, get: Any, state: Any) -> FieldState:
    """A field that has to be right in both XMLs: the first that is wrong is what was observed."""
    values = [get(nic) for nic in (live, config) if nic is not None]
    wrong = [value for value in values if value != declared]
    return state(field, declared, wrong[0] if wrong else declared)  # type: ignore[no-any-return]


def _failover(host: Snapshot, intent: NicIntent, state: Any) -> FieldState:
    """The bridge, if the pair is whole: both halves are there, the VF names the other one, the MACs are the same."""
    pairs = zip(intent.find(host), intent.find_standby(host), strict=True)
    found = [pair_bridge(intent, device, standby) for device, standby in pairs if device is not None]
    wrong = [bridge for bridge in found if bridge != intent.bridge]
    return state("failover", intent.bridge, wrong[0] if wrong else intent.bridge)  # type: ignore[no-any-return]


def must_move(host: Snapshot, intent: NicIntent, live: Nic | None) -> bool:
    """Whether the running guest's NIC can only be put right by detaching and attaching it. A plain hostdev also when
    its stand-in is to have another MAC: a guest that doesn't answer is left with a pair of one MAC."""
    if live is None:
        return False
    return not same_device(host, live, wanted(intent), vlan=False) or of_another_mac(host, intent)[0] is not None


def kernel_attributes(intent: NicIntent) -> dict[str, Any]:
    """What a NIC declares that its VF gets through the kernel and not by its XML."""
    if intent.nic.method == "hostdev":
        return dict(intent.nic.attributes)
    return {name: value for name, value in intent.nic.attributes.items() if name not in LIBVIRT_OWNS}
