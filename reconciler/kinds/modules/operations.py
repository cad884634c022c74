"""Operations on kernel modules."""

from __future__ import annotations

from reconciler.host.model import BlacklistEntry, Snapshot
from reconciler.host.protocol import Scope
from reconciler.kinds.operation import Args, Operation, modules_scope
from reconciler.state.checks import MODULE, each, flag, nothing_or, table


def kernel_name(module: str) -> str:
    """``vfio-pci`` as the kernel spells it: ``vfio_pci``."""
    return module.replace("-", "_")


UNTIL_REBOOT = "/run/modprobe.d/reconciler-unconfirmed.conf"
"""Holds the blacklist of an apply that is not confirmed yet; a reboot takes it away."""


def _blacklist_set(host: Snapshot, args: Args) -> bool:
    if args.get("until_reboot"):
        listed = {entry.module for entry in host.modules.blacklist or [] if entry.file == UNTIL_REBOOT}
        return listed == {kernel_name(module) for module in args["modules"] or []}
    return bool(host.modules.own == args["modules"])


def _set_blacklist(host: Snapshot, args: Args) -> None:
    modules = args["modules"]
    if args.get("until_reboot"):
        others = [entry for entry in host.modules.blacklist or [] if entry.file != UNTIL_REBOOT]
        ours = [BlacklistEntry(kernel_name(module), UNTIL_REBOOT) for module in modules or []]
        host.modules.blacklist = others + ours
    else:
        host.modules.own = None if modules is None else list(modules)
        host.modules.initramfs_old = list(host.modules.initramfs or [])


def _rebuilt(host: Snapshot, args: Args) -> bool:
    return host.modules.initramfs is not None and set(args["modules"]).isdisjoint(host.modules.initramfs_old)


def _rebuild(host: Snapshot, args: Args) -> None:
    host.modules.initramfs_old = [name for name in host.modules.initramfs_old if name not in args["modules"]]


def _load_is_set(host: Snapshot, args: Args) -> bool:
    return bool(host.modules.own_load == args["modules"])


def _set_load(host: Snapshot, args: Args) -> None:
    modules = args["modules"]
    host.modules.own_load = None if modules is None else list(modules)


def _unloaded(host: Snapshot, args: Args) -> bool:
    return host.modules.loaded is not None and kernel_name(args["module"]) not in host.modules.loaded


def _unload(host: Snapshot, args: Args) -> None:
    name = kernel_name(args["module"])
    if host.modules.loaded is not None:
        host.modules.loaded = [module for module in host.modules.loaded if module != name]
    for pf in host.pfs.values():
        for vf in pf.vfs:
            if vf.driver is not None and kernel_name(vf.driver) == name:
                vf.driver, vf.netdev, vf.uses = None, None, []


def _loaded(host: Snapshot, args: Args) -> bool:
    return host.modules.loaded is not None and kernel_name(args["module"]) in host.modules.loaded


def _load(host: Snapshot, args: Args) -> None:
    name = kernel_name(args["module"])
    if host.modules.loaded is not None and name not in host.modules.loaded:
        host.modules.loaded = sorted([*host.modules.loaded, name])


_ONE = table({"module": MODULE})

OPERATIONS = (
    Operation(
        "modules.set_blacklist",
        table({"modules": nothing_or(each(MODULE))}, {"until_reboot": flag}),
        modules_scope,
        _blacklist_set,
        _set_blacklist,
    ),
    # Room for several kernels, with every module, on a host that packs them with xz.
    Operation(
        "modules.rebuild_initramfs",
        table({"modules": each(MODULE)}),
        lambda args: Scope("modules", " ".join(args["modules"])),
        _rebuilt,
        _rebuild,
        deadline=lambda args: 1200.0,
    ),
    Operation("modules.set_load", table({"modules": nothing_or(each(MODULE))}), modules_scope, _load_is_set, _set_load),
    Operation("modules.unload", _ONE, modules_scope, _unloaded, _unload, deadline=lambda args: 60.0),
    Operation("modules.load", _ONE, modules_scope, _loaded, _load, deadline=lambda args: 60.0),
)
