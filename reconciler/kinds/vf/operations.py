"""Operations on a VF."""

from __future__ import annotations

from reconciler.drivers.readback import assumed, complete, matches, reported
from reconciler.drivers.rules import Situation, kept
from reconciler.drivers.table import facts
from reconciler.host.model import Applied, Pf, Snapshot, Vf
from reconciler.host.protocol import Scope
from reconciler.kinds.holders import VfId, vfs_by_address
from reconciler.kinds.operation import Args, Operation, pf_scope
from reconciler.state.checks import ALIAS, DOMAIN, DRIVER, INDEX, PF, SOME_ATTRIBUTES, either, table


def target(host: Snapshot, args: Args) -> VfId | None:
    """The VF that ``vf.set`` means: by PF and index, or the one that a guest's NIC is on (a pool's NIC gets its VF
    only when it is attached)."""
    if "pf" in args:
        return args["pf"], args["vf"]
    domain = host.libvirt.domains.get(args["domain"])
    nic = next((nic for nic in domain.live if nic.alias == args["alias"]), None) if domain else None
    return vfs_by_address(host).get(nic.vf_address or "") if nic is not None else None


def find_vf(host: Snapshot, vf: VfId | None) -> Vf | None:
    """The VF in a snapshot; ``None`` if it isn't there."""
    pf = host.pfs.get(vf[0]) if vf is not None else None
    return pf.vf(vf[1]) if pf is not None and vf is not None else None


def _set_scope(args: Args) -> Scope:
    return Scope("pf", args["pf"]) if "pf" in args else Scope("domain", args["domain"])


def _is_set(host: Snapshot, args: Args) -> bool | None:
    where = target(host, args)
    pf = host.pfs.get(where[0]) if where is not None else None
    vf = pf.vf(where[1]) if pf is not None and where is not None else None
    if pf is None or vf is None or vf.attributes is None:
        return False
    known = facts(pf.driver, pf.device_id)
    found: bool | None = True
    for name, value in args["set"].items():
        answer = matches(known, name, value, vf.attributes, pf.speed)
        if answer is False:
            return False
        if answer is None:
            found = None
    return found


def _set(host: Snapshot, args: Args) -> None:
    where = target(host, args)
    vf = find_vf(host, where)
    if vf is None or where is None:
        return
    pf = host.pfs[where[0]]
    known = facts(pf.driver, pf.device_id)
    before = vf.attributes if vf.attributes is not None else {}
    values = complete(args["set"], before)
    done = kept(known, values, situation_of(pf, vf))
    report = reported(known, {**assumed(known, before, pf.speed), **done}, pf.speed)
    for name, value in values.items():
        if name in report and (name in before or known.fresh is None or name in known.fresh):
            before[name] = report[name]
        if matches(known, name, value, before, pf.speed) is None:
            applied = host.ledger.setdefault(f"{where[0]}/{where[1]}", {})
            applied[name] = Applied(value, host.host.boot_id)
    vf.attributes = before


def situation_of(pf: Pf, vf: Vf) -> Situation:
    """What a driver's answer depends on, as far as the PF tells; not whether somebody has the VF."""
    known = facts(pf.driver, pf.device_id)
    # Only where they count: to add them up for each of thousands of VFs takes minutes.
    counted = pf.vfs if known.min_sum_within_link else []
    others = (other.attributes or {} for other in counted if other is not vf)
    return Situation(
        up=pf.up,
        carrier=pf.carrier,
        speed=pf.speed,
        vf=assumed(known, vf.attributes or {}, pf.speed),
        other_min_rates=sum(int(item.get("min_tx_rate", 0)) for item in others),
    )


def _bound(host: Snapshot, args: Args) -> bool:
    vf = find_vf(host, (args["pf"], args["vf"]))
    return vf is not None and is_bound(vf, args["driver"])


def is_bound(vf: Vf, driver: str) -> bool:
    """Whether a VF has the driver that ``vf_driver`` or ``driver`` asks for."""
    match driver:
        case "none":
            return vf.driver is None
        case "vfio-pci":
            return vf.driver == "vfio-pci"
        case _:
            return vf.driver is not None and "vfio" not in vf.driver


def _bind(host: Snapshot, args: Args) -> None:
    vf = find_vf(host, (args["pf"], args["vf"]))
    if vf is None:
        return
    match args["driver"]:
        case "none":
            vf.driver, vf.driver_override = None, None
        case "vfio-pci":
            vf.driver, vf.driver_override = "vfio-pci", "vfio-pci"
        case _:
            pf = host.pfs[args["pf"]]
            vf.driver, vf.driver_override = facts(pf.driver, pf.device_id).vf_driver, None
    vf.netdev, vf.uses = None, []


OPERATIONS = (
    Operation(
        "vf.bind",
        table({"pf": PF, "vf": INDEX, "driver": DRIVER}),
        pf_scope,
        _bound,
        _bind,
        deadline=lambda args: 30.0,
    ),
    Operation(
        "vf.set",
        either(
            pf=table({"pf": PF, "vf": INDEX, "set": SOME_ATTRIBUTES}),
            domain=table({"domain": DOMAIN, "alias": ALIAS, "set": SOME_ATTRIBUTES}),
        ),
        _set_scope,
        _is_set,
        _set,
        deadline=lambda args: 5.0,
    ),
)
