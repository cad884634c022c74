"""Who would lose a VF by an action and is not named by it: somebody may have taken one since the plan was made."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.disruption import severity
from reconciler.drivers.table import facts
from reconciler.host.model import Snapshot
from reconciler.kinds.action import Action
from reconciler.kinds.holders import Holder, Holders, VfId, find_holders
from reconciler.kinds.modules.operations import kernel_name
from reconciler.kinds.pf.host_network import OP as SET_HOST_NETWORK
from reconciler.kinds.pf.host_network import managed
from reconciler.kinds.pool.compare import in_use
from reconciler.kinds.vf.operations import find_vf


def may_take(action: Action) -> bool:
    """Whether an action can take a VF, or its traffic, away from somebody, even if nobody had it in the plan."""
    args = action.args
    match action.op:
        case "modules.unload" | "pool.stop" | "vf.bind" | "pf.set_mtu":
            return True
        case "pf.set_numvfs":
            return bool(args["vfs"] == 0)
        case "pf.set_link":
            return bool(args["link"] == "down")
        case "vf.set":
            return "pf" in args and args["set"].get("link_state") == "disable"
        case "nic.detach":
            return bool(args["live"])
        case _:
            return severity(action.disruption) >= severity("vf-reset")


def needs_a_new_look(action: Action) -> bool:
    """Whether the whole host has to be read again before it. A VF that nobody had is told by what is read before each
    action anyway: its PF with the open VFIO groups."""
    if action.op in ("modules.unload", "pool.stop", "pf.set_numvfs"):
        return may_take(action)
    return may_take(action) and severity(action.disruption) >= severity("vf-reset")


def unnamed(host: Snapshot, actions: Sequence[Action]) -> dict[str, list[str]]:
    """Holders of what an action touches that its impact doesn't name, in words, by the action's id."""
    holders = find_holders(host)
    return {action.id: held for action in actions if (held := _unnamed(host, holders, action))}


def _unnamed(host: Snapshot, holders: Holders, action: Action) -> list[str]:
    args, impact = action.args, action.impact
    if action.op == "nic.detach":
        domain = host.libvirt.domains.get(args["domain"])
        running = domain is not None and domain.running and args["live"]
        return [f"guest {args['domain']}"] if running and args["domain"] not in impact.domains else []
    if action.op == "pool.stop":
        network = host.libvirt.networks.get(args["pool"])
        return [f"guest {guest}" for guest in (in_use(host, network) if network else []) if guest not in impact.domains]
    return [
        f"VF {vf[1]} of {vf[0].partition('/')[2]}: {holder}"
        for vf in _touched(host, action)
        for holder in holders.get(vf, [])
        if not _named(action, vf, holder)
    ]


def appearing(host: Snapshot, action: Action) -> bool:
    """Whether a VF that it touches has a driver that has not made its netdev yet: until then it can't be told who uses
    that."""
    found = (find_vf(host, vf) for vf in _touched(host, action))
    return any(vf is not None and any(use.kind == "unknown" for use in vf.uses) for vf in found)


def _touched(host: Snapshot, action: Action) -> list[VfId]:
    args = action.args
    if action.op == "modules.unload":
        module = kernel_name(args["module"])
        return [
            (pf.id, vf.index) for pf in host.pfs.values() for vf in pf.vfs if kernel_name(vf.driver or "") == module
        ]
    if action.op in ("vf.bind", "vf.set"):
        return [(args["pf"], args["vf"])] if "pf" in args else []
    pf = host.pfs.get(args.get("pf", ""))
    if pf is not None and action.op == SET_HOST_NETWORK:
        return [(pf.id, index) for index in managed(host, pf)]
    if pf is None or (
        action.op == "pf.set_mtu" and not (pf.up is not False and facts(pf.driver, pf.device_id).mtu_bounces_pf)
    ):
        return []
    return [(pf.id, vf.index) for vf in pf.vfs]


def _named(action: Action, vf: VfId, holder: Holder) -> bool:
    """Whether the impact names who has this VF. VFs are not destroyed under a guest or a process, whoever allowed what:
    the kernel would hang, and the guest lose its NIC for good; its NICs have to be off by then."""
    impact, place = action.impact, f"VF {vf[1]} of {vf[0].partition('/')[2]}"
    if action.op == "pf.set_numvfs" and holder.kind != "host":
        return False
    if holder.kind == "guest":
        return any(text.startswith(f"{holder.who}: ") and text.endswith(f" on {place}") for text in impact.nics)
    if holder.kind == "process":
        return f"{place}: {holder}" in impact.host
    start = "the host (" if holder.kind == "host" else "unknown ("
    return any(text.startswith(f"{place}: {start}") for text in impact.host)
