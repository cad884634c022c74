"""From an action to a call of the writer: names and PCI addresses are looked up here, at the last moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from reconciler.drivers.readback import complete
from reconciler.host.model import Snapshot
from reconciler.host.protocol import HostError, NicMatch, NicSpec, PoolSpec, VfSet, Writer
from reconciler.kinds.action import Action
from reconciler.kinds.nic.operations import nic_address
from reconciler.kinds.operation import Args
from reconciler.kinds.operations import OPERATIONS
from reconciler.kinds.pf.host_network import ignored_after
from reconciler.kinds.pool.operations import pool_addresses
from reconciler.kinds.services.operations import find as find_service
from reconciler.kinds.vf.operations import find_vf, target

Begin = Callable[[], Writer]
"""Gives the writer. Until it is called, the host has been asked for nothing."""


def perform(begin: Begin, host: Snapshot, op: str, args: Args, deadline: float) -> None:
    """Asks the host for one thing. ``host`` is what was read just before."""
    if (gone := gone_from(host, op, args)) is not None:
        raise gone
    _CALLS[op](begin, host, args, deadline)


def vf_request(host: Snapshot, args: Args) -> tuple[str, VfSet]:
    """PF and request of a ``vf.set``, completed from what was read so that the other half of a struct stays. Without a
    reading there is no request: a half from nowhere would overwrite what the VF has."""
    where = target(host, args)
    vf = find_vf(host, where)
    if where is None or vf is None:
        raise HostError("The VF is not there.", f"No VF was found for {_say(args)}.")
    if vf.attributes is None:
        raise HostError(
            "The VF's attributes could not be read.",
            f"VF {where[1]} of {where[0]}: its driver doesn't list it at present. Nothing was written.",
        )
    return where[0], VfSet(where[1], complete(args["set"], vf.attributes))


def _say(args: Args) -> str:
    return ", ".join(f"{key} {value}" for key, value in args.items() if key != "set")


def _set_vf(begin: Begin, host: Snapshot, args: Args, deadline: float) -> None:
    pf, request = vf_request(host, args)
    error = begin().set_vfs(pf, [request])[0]
    if error is not None:
        raise error


def _set_service(begin: Begin, host: Snapshot, args: Args, deadline: float) -> None:
    service = find_service(host, args["service"])
    if service is None or service.load == "not-found":
        raise HostError("The service is not there.", f"systemd knows no {args['service']}.service.")
    if "boot" in args:
        begin().set_service_at_boot(service.unit, args["boot"] == "enabled")
    else:
        begin().set_service(service.unit, args["now"] == "running", deadline)


def _set_huge_pages(begin: Begin, host: Snapshot, args: Args, deadline: float) -> None:
    if "now" in args:
        begin().set_huge_pages(args["size"], args["now"], deadline)
        return
    own = {**(host.hugepages.own or {}), args["size"]: args["boot"]}
    begin().set_huge_pages_at_boot({size: pages for size, pages in own.items() if pages is not None} or None)


def _set_host_network(begin: Begin, host: Snapshot, args: Args, deadline: float) -> None:
    if host.host_network.ignored is None:
        raise HostError("Our own files could not be read.", "Which VFs the host's network leaves alone is not known.")
    begin().set_host_network(ignored_after(host, args), deadline)


def _define_pool(begin: Begin, host: Snapshot, args: Args, deadline: float) -> None:
    pool = _pool_spec(host, args)
    begin().define_pool(pool)


def _create_pool(begin: Begin, host: Snapshot, args: Args, deadline: float) -> None:
    pool = _pool_spec(host, args)
    begin().create_pool(pool)


def _pool_spec(host: Snapshot, args: Args) -> PoolSpec:
    known = host.libvirt.networks.get(args["pool"])
    uuid = known.uuid if known is not None else None
    if "pf" in args:
        pf = host.pfs.get(args["pf"])
        if pf is None:
            raise _gone(args["pf"])
        return PoolSpec(args["pool"], uuid, pf_dev=pf.netdev)
    addresses = pool_addresses(host, args)
    if len(addresses) != len(args["vfs"]):
        raise HostError("A VF of the pool is not there.", f"{len(addresses)} of {len(args['vfs'])} were found.")
    return PoolSpec(args["pool"], uuid, addresses=addresses)


def gone_from(host: Snapshot, op: str, args: Args) -> HostError | None:
    """The error of a step on a PF, or on one of its VFs, whose card is no longer there."""
    if op.startswith(("pf.", "vf.")) and "pf" in args and args["pf"] not in host.pfs:
        return _gone(args["pf"])
    return None


def _gone(pf: str) -> HostError:
    return HostError("The PF is gone.", f"{pf} was there when the plan was made and is not there now.")


def _attach_nic(begin: Begin, host: Snapshot, args: Args, deadline: float) -> None:
    nic = _nic_spec(host, args["nic"])
    begin().attach_nic(args["domain"], nic, live=args["live"], config=args["config"])


def _update_nic(begin: Begin, host: Snapshot, args: Args, deadline: float) -> None:
    nic = _nic_spec(host, args["nic"])
    begin().update_nic(args["domain"], _nic_match(args["match"]), nic)


def _nic_spec(host: Snapshot, nic: Args) -> NicSpec:
    if nic.get("vf") is not None:
        vf = find_vf(host, (nic["vf"][0], nic["vf"][1]))
        if vf is None and nic_address(host, nic) is None:
            raise HostError("The VF is not there.", f"VF {nic['vf'][1]} of {nic['vf'][0]}.")
    return NicSpec(
        method=nic["method"],
        alias=nic["alias"],
        mac=nic.get("mac"),
        vlan=nic.get("vlan"),
        vf_address=nic_address(host, nic),
        pool=nic.get("pool"),
        standby=(nic["standby"] or "") if "standby" in nic else None,
    )


def _attach_standby(begin: Begin, host: Snapshot, args: Args, deadline: float) -> None:
    nic = NicSpec("bridge", args["standby"]["alias"], args["standby"]["mac"], bridge=args["standby"]["bridge"])
    begin().attach_nic(args["domain"], nic, live=args["live"], config=args["config"])


def _nic_match(match: Args) -> NicMatch:
    return NicMatch(match.get("alias"), match.get("mac"), match.get("vf"))


_IN_BOTH = ("nic.detach", "nic.attach", "nic.detach_standby", "nic.attach_standby", "nic.move_standby")
"""Operations on a running guest and on its definition."""


def parts_of(action: Action, host: Snapshot) -> list[Action]:
    """A NIC leaves the running guest first, and the definition when it is gone there: a guest that doesn't answer keeps
    both. It is attached at once, but only where it lacks: libvirt refuses it twice."""
    if not (action.op in _IN_BOTH and action.args["live"] and action.args["config"]):
        return [action]
    halves = [replace(action, args={**action.args, **which}) for which in ({"config": False}, {"live": False})]
    if action.op.startswith("nic.detach"):
        return halves
    lacking = [half for half in halves if not OPERATIONS[half.op].satisfied(host, half.args)]
    return lacking if len(lacking) == 1 else [action]


def not_seen(action: Action, deadline: float) -> HostError:
    hint = ""
    if action.op.startswith("nic.detach") and action.args["live"]:
        hint = " The guest has not answered the unplug request: is it up, and does its kernel support hot-plug?"
    elif action.op == "pf.wait_link":
        hint = " There is no carrier: check the cable and the switch port."
    return HostError("The effect was not seen.", f"It was still not there {deadline:.0f} s after the request.{hint}")


_CALLS: dict[str, Callable[[Begin, Snapshot, Args, float], None]] = {
    "kernel.set_cmdline": lambda w, h, a, d: w().set_kernel_arguments(a["arguments"], d),
    "modules.set_blacklist": lambda w, h, a, d: w().set_blacklist(
        a["modules"], until_reboot=a.get("until_reboot", False)
    ),
    "modules.rebuild_initramfs": lambda w, h, a, d: w().rebuild_initramfs(a["modules"], d),
    "modules.set_load": lambda w, h, a, d: w().set_loaded_at_boot(a["modules"]),
    "modules.unload": lambda w, h, a, d: w().unload_module(a["module"], d),
    "modules.load": lambda w, h, a, d: w().load_module(a["module"], d),
    "service.set": _set_service,
    "hugepages.set": _set_huge_pages,
    "pf.set_host_network": _set_host_network,
    "pf.set_link": lambda w, h, a, d: w().set_link(a["pf"], a["link"] == "up"),
    "pf.wait_link": lambda w, h, a, d: None,
    "pf.set_mtu": lambda w, h, a, d: w().set_mtu(a["pf"], a["mtu"]),
    "pf.set_autoprobe": lambda w, h, a, d: w().set_autoprobe(a["pf"], a["autoprobe"]),
    "pf.set_numvfs": lambda w, h, a, d: w().set_numvfs(a["pf"], a["vfs"], d),
    "vf.bind": lambda w, h, a, d: w().bind_vf(a["pf"], a["vf"], a["driver"], d),
    "vf.set": _set_vf,
    "pool.define": _define_pool,
    "pool.create": _create_pool,
    "pool.start": lambda w, h, a, d: w().start_pool(a["pool"]),
    "pool.stop": lambda w, h, a, d: w().stop_pool(a["pool"]),
    "pool.set_autostart": lambda w, h, a, d: w().set_pool_autostart(a["pool"], a["autostart"]),
    "pool.undefine": lambda w, h, a, d: w().undefine_pool(a["pool"]),
    "nic.attach": _attach_nic,
    "nic.detach": lambda w, h, a, d: w().detach_nic(
        a["domain"], _nic_match(a["match"]), live=a["live"], config=a["config"]
    ),
    "nic.update": _update_nic,
    "nic.attach_standby": _attach_standby,
    "nic.detach_standby": lambda w, h, a, d: w().detach_nic(
        a["domain"], NicMatch(a["alias"]), live=a["live"], config=a["config"]
    ),
    "nic.move_standby": lambda w, h, a, d: w().set_bridge(
        a["domain"], a["alias"], a["bridge"], live=a["live"], config=a["config"]
    ),
    "domain.set_root_ports": lambda w, h, a, d: w().add_root_ports(a["domain"], a["free"]),
    "domain.drop_root_ports": lambda w, h, a, d: w().drop_root_ports(a["domain"], a["keep"]),
}
