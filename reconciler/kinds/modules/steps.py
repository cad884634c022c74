"""Steps that keep a VF driver away: the file first, then the module goes, in place, so that the VFs stay. And those
that load a module, now and at boot."""

from __future__ import annotations

from reconciler.drivers.table import facts
from reconciler.host.model import Pf, Vf
from reconciler.kinds.action import Step
from reconciler.kinds.builder import Builder
from reconciler.kinds.impact import impact_on_vfs
from reconciler.kinds.modules.compare import ADDRESS, LOAD, compare, compare_load, own_list, own_load
from reconciler.kinds.modules.operations import kernel_name


def plan(builder: Builder) -> None:
    """Blacklists, then unloads, then makes an initramfs without the modules."""
    desired = builder.resolution.desired
    rebuild = _rebuild(builder)
    for state in compare(builder.resolution, builder.host):
        if not state.differs or desired.blacklist is None:
            continue
        if state.field == "entries":
            builder.add(
                "modules.set_blacklist",
                ADDRESS,
                {"modules": own_list(desired.blacklist, builder.host)},
                makes="blacklist",
                undo=[Step("modules.set_blacklist", ADDRESS, {"modules": builder.host.modules.own}), *rebuild],
            )
        elif state.field == "loaded":
            for module in state.observed:
                _unload(builder, module)
    if rebuild and not set(rebuild[0].args["modules"]).isdisjoint(builder.host.modules.initramfs_old):
        builder.add("modules.rebuild_initramfs", ADDRESS, rebuild[0].args, needs=["blacklist"], makes="initramfs")
    _plan_load(builder)


def _rebuild(builder: Builder) -> list[Step]:
    """What makes the initramfs anew, where that has one of the modules: nothing else is worth the time. To take a
    blacklist back, it is made once more when the list is as before: so this is a part of the list's undo."""
    names = {kernel_name(module) for module in builder.resolution.desired.blacklist or ()}
    has = sorted(names & set(builder.host.modules.initramfs or ()))
    return [Step("modules.rebuild_initramfs", ADDRESS, {"modules": has})] if has else []


def _plan_load(builder: Builder) -> None:
    """Loads what the kernel has, and has it loaded at boot."""
    declared, modules = builder.resolution.desired.load, builder.host.modules
    for state in compare_load(builder.resolution, builder.host):
        if not state.differs or declared is None:
            continue
        if state.field == "entries":
            wanted = own_load(
                tuple(name for name in declared if kernel_name(name) not in modules.missing), builder.host
            )
            if wanted != modules.own_load:
                undo = [Step("modules.set_load", LOAD, {"modules": modules.own_load})]
                builder.add("modules.set_load", LOAD, {"modules": wanted}, undo=undo)
        else:
            for module in sorted(set(state.declared) - set(state.observed) - set(modules.missing)):
                undo = [Step("modules.unload", LOAD, {"module": module})]
                builder.add("modules.load", LOAD, {"module": module}, undo=undo)


def served(builder: Builder, module: str) -> list[tuple[Pf, Vf]]:
    """The VFs that a module drives, on any PF of the host."""
    return [
        (pf, vf)
        for pf in builder.host.pfs.values()
        for vf in pf.vfs
        if vf.driver is not None and kernel_name(vf.driver) == module
    ]


def _free(builder: Builder, module: str) -> list[tuple[Pf, Vf]]:
    """The VFs without a driver that a module takes when it is loaded (driver_attach in drivers/base/dd.c), except where
    autoprobe keeps it off."""
    return [
        (pf, vf)
        for pf in builder.host.pfs.values()
        for vf in pf.vfs
        if vf.driver is None
        and pf.autoprobe is not False
        and kernel_name(facts(pf.driver, pf.device_id).vf_driver) == module
    ]


def _unload(builder: Builder, module: str) -> None:
    vfs = served(builder, module)
    undo = [Step("modules.load", ADDRESS, {"module": module})]
    undo += [Step("vf.bind", ADDRESS, {"pf": pf.id, "vf": vf.index, "driver": "kernel"}) for pf, vf in vfs]
    undo += [
        Step("vf.bind", ADDRESS, {"pf": pf.id, "vf": vf.index, "driver": "none"}) for pf, vf in _free(builder, module)
    ]
    impact = impact_on_vfs(builder.resolution.holders, [(pf.id, vf.index) for pf, vf in vfs])
    others = _others(builder, module)
    if others:
        impact.disruption = "management"
        impact.host += [f"{address}, which {module} drives too and which is no VF of a PF here" for address in others]
    builder.add(
        "modules.unload",
        ADDRESS,
        {"module": module},
        needs=["blacklist"],
        makes="unloaded",
        impact=impact,
        undo=undo,
    )


def _others(builder: Builder, module: str) -> list[str]:
    """Devices of a module that are no VFs of this host's PFs: in a virtual machine, its own network card."""
    known = {vf.address for pf in builder.host.pfs.values() for vf in pf.vfs}
    return [item for item in (builder.observed.modules.devices or {}).get(module, []) if item not in known]


def reason(builder: Builder, fields: list[str]) -> str:
    """Why the module has to go, and whose VFs lose their driver."""
    states = {state.field: state for state in compare(builder.resolution, builder.observed)}
    if "loaded" not in fields:
        return "a module that is blacklisted is not loaded when its VFs appear" + (
            ", nor before that from an initramfs that knows of it" if "initramfs" in fields else ""
        )
    loaded = states["loaded"].observed
    parts = []
    for module in loaded:
        by_pf: dict[str, int] = {}
        for pf in builder.observed.pfs.values():
            count = sum(vf.driver is not None and kernel_name(vf.driver) == module for vf in pf.vfs)
            if count:
                by_pf[pf.netdev] = count
        whose = ", ".join(f"{count} VFs of {name}" for name, count in by_pf.items()) or "no VF"
        parts.append(f"{module} is loaded and drives {whose}")
    return "; ".join(parts) + ": it is unloaded in place, and the VFs stay"
