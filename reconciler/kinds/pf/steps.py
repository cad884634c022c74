"""Steps on a PF, in the order that the kernel wants: who keeps off its VFs, link, MTU, autoprobe, count through 0, wait
for the link."""

from __future__ import annotations

from reconciler.drivers.readback import GROUPS
from reconciler.drivers.table import facts
from reconciler.host.model import Pf, Vf
from reconciler.kinds.action import Action, Impact, Step
from reconciler.kinds.builder import Builder, copy_pf
from reconciler.kinds.impact import impact_on_pf, impact_on_vfs
from reconciler.kinds.pf.compare import autoprobe
from reconciler.kinds.pf.host_network import OP as SET_HOST_NETWORK
from reconciler.kinds.pf.host_network import compare_host_network, managed
from reconciler.kinds.resolution import vf_count
from reconciler.state.address import address
from reconciler.state.desired import ZERO_MAC, Attributes, DesiredPf


def plan(builder: Builder) -> None:
    """All steps of all PFs up to the existence of their VFs."""
    for name, identity in builder.resolution.pfs.items():
        desired = builder.resolution.desired.pfs[name]
        where = address("pf", name)
        _host_network(builder, desired, builder.host.pfs[identity], where)
        _link_and_mtu(builder, desired, builder.host.pfs[identity], where)
        _autoprobe(builder, desired, builder.host.pfs[identity], where)
        _count(builder, desired, builder.host.pfs[identity], where)


def _host_network(builder: Builder, desired: DesiredPf, pf: Pf, where: str) -> None:
    """Before VFs are made: they appear to nobody then. What they are managed for now is lost to the host."""
    if not any(state.differs for state in compare_host_network(where, desired, pf, builder.host)):
        return
    before = "ignore" if pf.id in (builder.host.host_network.ignored or []) else None
    builder.add(
        SET_HOST_NETWORK,
        where,
        {"pf": pf.id, "host_network": desired.host_network},
        impact=impact_on_vfs(builder.resolution.holders, [(pf.id, index) for index in managed(builder.host, pf)]),
        undo=[Step(SET_HOST_NETWORK, where, {"pf": pf.id, "host_network": before})],
    )


def _link_and_mtu(builder: Builder, desired: DesiredPf, pf: Pf, where: str) -> None:
    held = impact_on_vfs(builder.resolution.holders, [(pf.id, vf.index) for vf in pf.vfs])
    if desired.link is not None and pf.up is not None and pf.up != (desired.link == "up"):
        down = desired.link == "down"
        builder.add(
            "pf.set_link",
            where,
            {"pf": pf.id, "link": desired.link},
            makes=f"link {pf.id}",
            impact=impact_on_pf(pf, bounces=True, otherwise=held) if down else None,
            undo=[Step("pf.set_link", where, {"pf": pf.id, "link": "up" if pf.up else "down"})],
        )
    if desired.mtu is not None and pf.mtu is not None and pf.mtu != desired.mtu:
        bounces = pf.up is not False and facts(pf.driver, pf.device_id).mtu_bounces_pf
        builder.add(
            "pf.set_mtu",
            where,
            {"pf": pf.id, "mtu": desired.mtu},
            makes=f"mtu {pf.id}",
            impact=impact_on_pf(pf, bounces=bounces, otherwise=held if bounces else None),
            undo=[Step("pf.set_mtu", where, {"pf": pf.id, "mtu": pf.mtu})],
        )


def _autoprobe(builder: Builder, desired: DesiredPf, pf: Pf, where: str) -> None:
    """VFs that the host's driver is to have are made with autoprobe on: the kernel binds them one after the other
    inside of that write. Made with it off and bound side by side they are not ready sooner (2 x 7 VFs of igbvf in the
    lab, until all have their names: 6.9 s, against 6.6 s): processors and udev are busy with each netdev either way.
    And a run that dies in between would leave the driver kept away."""
    wanted = autoprobe(desired)
    if wanted is None or pf.autoprobe is None or pf.autoprobe == wanted or not vf_count(desired, pf):
        return
    builder.add(
        "pf.set_autoprobe",
        where,
        {"pf": pf.id, "autoprobe": wanted},
        makes=f"autoprobe {pf.id}",
        undo=[Step("pf.set_autoprobe", where, {"pf": pf.id, "autoprobe": pf.autoprobe})],
    )


def _count(builder: Builder, desired: DesiredPf, pf: Pf, where: str) -> None:
    if desired.vfs is None or pf.num_vfs is None or pf.num_vfs == desired.vfs:
        return
    if pf.num_vfs:
        builder.remade[pf.id] = copy_pf(pf)
        _set_count(builder, pf, where, 0)
    if desired.vfs:
        _set_count(builder, builder.host.pfs[pf.id], where, desired.vfs)


def _set_count(builder: Builder, pf: Pf, where: str, count: int) -> Action:
    holders = builder.resolution.holders
    if count == 0:
        impact = impact_on_vfs(holders, [(pf.id, vf.index) for vf in pf.vfs], free="vf-reset")
        undo = [Step("pf.set_numvfs", where, {"pf": pf.id, "vfs": pf.num_vfs}), *restore(builder, pf, where)]
    else:
        impact = Impact()
        undo = [Step("pf.set_numvfs", where, {"pf": pf.id, "vfs": 0})]
    bounces = facts(pf.driver, pf.device_id).count.bounces_pf and pf.up is not False
    return builder.add(
        "pf.set_numvfs",
        where,
        {"pf": pf.id, "vfs": count},
        needs=[
            f"link {pf.id}",
            f"autoprobe {pf.id}",
            f"vfs {pf.id}",
            f"released {pf.id}",
        ],
        makes=f"vfs {pf.id}",
        impact=impact_on_pf(pf, bounces=bounces, otherwise=impact),
        undo=undo,
    )


def wait_link(builder: Builder, identity: str) -> None:
    """Waits for the carrier, once: a rate is refused without."""
    name = builder.resolution.pf_name(identity)
    if builder.has_made(f"carrier {identity}"):
        return
    builder.add(
        "pf.wait_link",
        address("pf", name),
        {"pf": identity},
        needs=[f"link {identity}", f"vfs {identity}"],
        makes=f"carrier {identity}",
    )


_QUIET: Attributes = {
    "mac": ZERO_MAC,
    "vlan": 0,
    "qos": 0,
    "vlan_proto": "802.1Q",
    "trust": False,
    "link_state": "auto",
    "min_tx_rate": 0,
    "max_tx_rate": 0,
    "query_rss": False,
}
"""What hardly any driver reports of a VF that nobody has touched otherwise; spoofchk differs by driver."""


def own_settings(builder: Builder, pf: Pf, vf: Vf, *, back: bool = False) -> list[Attributes]:
    """What a VF has that a new one wouldn't have, in the groups and the order in which it is written. ``back``: to take
    a change back, which gives a VF the MAC again that it may have chosen for itself."""
    usual = facts(pf.driver, pf.device_id).fresh or _QUIET
    attributes = dict(vf.attributes or {})
    if _mac_of_its_own(builder, pf, vf, back):
        del attributes["mac"]
    groups = []
    for group in GROUPS:
        different = {
            name: attributes[name] for name in group if name in attributes and attributes[name] != usual.get(name)
        }
        if "vlan_proto" in different and not attributes.get("vlan") and not attributes.get("qos"):
            del different["vlan_proto"]
        if different:
            groups.append(different)
    return groups


def _mac_of_its_own(builder: Builder, pf: Pf, vf: Vf, back: bool) -> bool:
    """Whether nobody may have given a VF its MAC: the PF's driver made it up, or the VF's own, here or in a guest.
    Written as the administrator's, it would be one that the next user of the VF may not change any more."""
    mac = (vf.attributes or {}).get("mac")
    given = builder.observed.ledger.get(f"{pf.id}/{vf.index}", {}).get("mac")
    if mac is None or (given is not None and given.value == mac):
        return False
    known = facts(pf.driver, pf.device_id)
    generated = known.fresh is not None and "mac" not in known.fresh and "mac" not in known.survives
    driven = vf.driver not in (None, "vfio-pci") or bool(builder.resolution.holders.get((pf.id, vf.index)))
    return generated or (known.reports_own_mac and driven and not back)


def restore(builder: Builder, pf: Pf, where: str) -> list[Step]:
    """Steps that give VFs that were made again what they had. Rates come last, where they need the link after it was
    lost by making the VFs."""
    known = facts(pf.driver, pf.device_id)
    waits = known.max_rate.link and bool(pf.carrier or builder.has_made(f"link {pf.id}"))
    steps: list[Step] = []
    rates: list[Step] = []
    for vf in pf.vfs:
        if vf.driver is not None and vf.driver != "vfio-pci" and pf.autoprobe is False:
            steps.append(Step("vf.bind", where, {"pf": pf.id, "vf": vf.index, "driver": "kernel"}))
        elif vf.driver == "vfio-pci":
            steps.append(Step("vf.bind", where, {"pf": pf.id, "vf": vf.index, "driver": "vfio-pci"}))
        elif vf.driver is None and pf.autoprobe:
            steps.append(Step("vf.bind", where, {"pf": pf.id, "vf": vf.index, "driver": "none"}))
        for values in own_settings(builder, pf, vf, back=True):
            step = Step("vf.set", where, {"pf": pf.id, "vf": vf.index, "set": values})
            rated = "max_tx_rate" in values or "min_tx_rate" in values
            (rates if rated and waits else steps).append(step)
    wait = [Step("pf.wait_link", where, {"pf": pf.id})] if rates else []
    return [*steps, *wait, *rates]
