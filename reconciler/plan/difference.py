"""How two observations of one host differ, in sentences: what a rollback has to answer for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from reconciler.host.model import Snapshot
from reconciler.kinds.action import Action
from reconciler.kinds.hugepages.operations import there
from reconciler.kinds.modules.operations import kernel_name
from reconciler.kinds.services.operations import find, now_of, starts_at_boot

Facts = dict[str, Any]

_OF_THE_MOMENT = ("carrier", "speed", "uses", "ifindex", "vfs", "offset", "stride", "vf_device_id")
"""Of a PF: what comes and goes by itself, or follows from the rest."""
_OF_THE_VF = ("driver_override", "iommu_group", "saved", "netdev", "uses", "index")
"""Of a VF: names and groups are the kernel's to give, and another one when a VF was made again."""


def differences(before: Snapshot, after: Snapshot, actions: Collection[Action]) -> list[str]:
    """What is otherwise than it was, in the things that these actions touch; empty when all is as before."""
    return list(_compare(facts_of(before, actions), facts_of(after, actions), ""))


def facts_of(host: Snapshot, actions: Collection[Action]) -> Facts:
    """What a rollback has to bring back of the things that these actions touch."""
    touched = {key: {a.args[key] for a in actions if key in a.args} for key in ("pf", "pool", "domain")}
    touched["pf"] |= {a.args["nic"]["vf"][0] for a in actions if a.args.get("nic", {}).get("vf")}
    facts: Facts = {name: _pf(asdict(pf)) for name in sorted(touched["pf"]) if (pf := host.pfs.get(name)) is not None}
    if any(action.op == "kernel.set_cmdline" for action in actions):
        facts["kernel.cmdline"] = {"entries": host.boot.own}
    if any(action.op == "modules.set_blacklist" for action in actions):
        facts["modules.blacklist"] = {"entries": host.modules.own}
    if any(action.op == "modules.set_load" for action in actions):
        facts["modules.load"] = {"entries": host.modules.own_load}
    if any(action.op == "pf.set_host_network" for action in actions):
        facts["host_network"] = {"ignore": host.host_network.ignored}
    for name in sorted({kernel_name(action.args["module"]) for action in actions if "module" in action.args}):
        facts[f"module {name}"] = {"loaded": name in (host.modules.loaded or [])}
    for name in sorted({action.args["service"] for action in actions if "service" in action.args}):
        service = find(host, name)
        if service is not None:
            facts[f"service {name}"] = {"now": now_of(service) == "running", "boot": starts_at_boot(service)}
    for size in sorted({action.args["size"] for action in actions if "size" in action.args}):
        pages = (host.hugepages.sizes or {}).get(size)
        if pages is not None:
            nodes = {node: there(found) for node, found in pages.nodes.items()}
            facts[f"huge pages of {size}"] = {
                "now": there(pages),
                **nodes,
                "boot": str((host.hugepages.own or {}).get(size)),
            }
    for name in sorted(touched["pool"]):
        network = host.libvirt.networks.get(name)
        if network is not None:
            facts[f"pool {name}"] = {k: v for k, v in asdict(network).items() if k not in ("uuid", "ports")}
    for name in sorted(touched["domain"]):
        domain = host.libvirt.domains.get(name)
        if domain is not None:
            facts[f"guest {name}"] = {
                side: {str(nic.alias or nic.mac or nic.vf_address): asdict(nic) for nic in nics}
                for side, nics in (("live", domain.live), ("config", domain.config))
            }
    for name in sorted({action.args["domain"] for action in actions if action.op.startswith("domain.")}):
        domain = host.libvirt.domains.get(name)
        if domain is not None:
            facts[f"guest {name}"]["PCI controllers"] = [bus.index for bus in domain.buses or []]
    return facts


def _pf(pf: Facts) -> Facts:
    facts = {key: value for key, value in pf.items() if key not in _OF_THE_MOMENT}
    for vf in pf["vfs"]:
        facts[f"vf {vf['index']}"] = {key: value for key, value in vf.items() if key not in _OF_THE_VF}
    return facts


def _compare(before: Facts, after: Facts, where: str) -> list[str]:
    found = []
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            found += _compare(old, new, f"{where}{key} ")
        elif isinstance(old, dict):
            found.append(f"{where}{key} is gone")
        elif isinstance(new, dict):
            found.append(f"{where}{key} is there, and was not")
        else:
            found.append(f"{where}{key} is {new!r}, and was {old!r}")
    return found
