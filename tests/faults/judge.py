"""What must hold after every fault: no guest without its NIC, a true message, a re-run that arrives, nothing else
touched."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict
from typing import Any

from reconciler.exit_codes import ExitCode
from reconciler.host.model import Nic
from reconciler.host.twin.host import TwinHost
from reconciler.host.twin.losses import nic_key
from reconciler.host.twin.state import Twin
from reconciler.kinds.action import Action
from reconciler.kinds.operations import OPERATIONS
from tests.faults.scenarios import Scenario
from tests.faults.world import Ended

Facts = dict[str, Any]


def facts(twin: Twin) -> Facts:
    """All that a user can see or feel of a host, in an order of its own."""
    found: Facts = {}
    for pf in twin.pfs.values():
        found[pf.id] = {name: getattr(pf, name) for name in ("up", "mtu", "autoprobe", "num_vfs", "carrier")}
        for vf in pf.vfs:
            found[f"{pf.id}/{vf.index}"] = {"driver": vf.driver, **(vf.attributes or {})}
    for domain in twin.libvirt.domains.values():
        found[f"guest {domain.name}"] = {
            "running": domain.running,
            **{f"live {nic_key(nic)}": asdict(nic) for nic in domain.live},
            **{f"config {nic_key(nic)}": asdict(nic) for nic in domain.config},
        }
    for network in twin.libvirt.networks.values():
        ports = sorted(str(port.vf_address) for port in network.ports)
        found[f"pool {network.name}"] = {**asdict(network), "uuid": "", "ports": ports}
    loaded = [name for name in twin.modules.loaded or [] if name != "vfio_pci"]  # libvirt loads it; it does nothing.
    found["modules"] = {"own": twin.modules.own, "loaded": loaded, "others": twin.modules.blacklist}
    return deepcopy(found)


def differences(one: Facts, other: Facts) -> list[str]:
    """Where two hosts differ."""
    return [
        f"{key} {name}: {(one.get(key) or {}).get(name, 'none')!r} -> {(other.get(key) or {}).get(name, 'none')!r}"
        for key in dict.fromkeys([*one, *other])
        for name in dict.fromkeys([*(one.get(key) or {}), *(other.get(key) or {})])
        if (one.get(key) or {}).get(name, "none") != (other.get(key) or {}).get(name, "none")
    ]


def without_nic(scenario: Scenario, before: Twin, after: Twin) -> list[tuple[str, Nic]]:
    """NICs that a running guest had and has no more, although it runs and its card is there."""
    found = []
    for domain in before.libvirt.domains.values():
        now = after.libvirt.domains[domain.name]
        for nic in domain.live if now.running else []:
            alias = nic.alias or ""
            place = before.find(nic.vf_address)
            has = any(item.alias == alias and after.find(item.vf_address) for item in now.live)
            if not has and (domain.name, alias) not in scenario.goes and place and place[0].id in after.pfs:
                found.append((domain.name, nic))
        for nic in domain.config:
            if (domain.name, nic.alias) in scenario.goes or any(item.alias == nic.alias for item in now.config):
                continue
            place = before.find(nic.vf_address)
            if place is None or place[0].id in after.pfs:
                found.append((domain.name, nic))
    return found


def is_told(ended: Ended, domain: str, nic: Nic) -> bool:
    """Whether the result says that this guest is without this NIC."""
    return any(
        f"guest {domain} is WITHOUT" in text and (str(nic.alias) in text or str(nic.mac) in text)
        for text in ended.said()
    )


def faults_of_our_own(ended: Ended) -> Iterator[str]:
    """Tracebacks that became an outcome."""
    return (text for text in ended.said() if "This is a fault in reconciler" in text)


def untrue(ended: Ended, before: Facts, meddled: Facts, after: Facts) -> list[str]:
    """What the exit code says and is not so. ``meddled``: the host before, with what somebody else has done meanwhile,
    which may have been taken back, too."""
    moved = differences(meddled, after) if differences(before, after) else []
    match ended.code:
        case ExitCode.FAILED | ExitCode.INTERRUPTED if ended.effective or moved:
            return [f"exit {ended.code}, and {ended.effective} writes took effect", *moved]
        case ExitCode.ROLLED_BACK if moved:
            return ["exit 3, and it is not as before", *moved]
        case ExitCode.OK | ExitCode.FAILED | ExitCode.INTERRUPTED | ExitCode.ROLLED_BACK | ExitCode.PARTIAL | None:
            return []
    return [f"exit {ended.code}"]


def untrue_outcomes(ended: Ended, before: Twin, after: Twin) -> list[str]:
    """What is said of single actions and is not so, where nothing was put back and nobody else had a hand in it."""
    if ended.result is None or ended.result.rollback is not None or ended.result.warnings:
        return []
    was, now = TwinHost(before).observe(), TwinHost(after).observe()
    actions = {action.id: action for action in ended.plan.actions}
    found = []
    for outcome in ended.result.outcomes:
        action = actions[outcome.id]
        if outcome.outcome == "undone" or _overtaken(ended, action):
            continue
        there = OPERATIONS[action.op].satisfied(now, action.args)
        if outcome.done and there is False and action.op != "pf.wait_link":
            found.append(f"{action.id} is {outcome.outcome}, and is not there")
        if not outcome.done and not outcome.written and there and not OPERATIONS[action.op].satisfied(was, action.args):
            found.append(f"{action.id} is {outcome.outcome}, and is there")
    return found


def _overtaken(ended: Ended, action: Action) -> bool:
    """Whether something later was to touch the same thing."""
    later = ended.plan.actions[ended.plan.actions.index(action) + 1 :]
    keys = ("pf", "pool", "domain", "module")
    mine = {(key, action.args[key]) for key in keys if key in action.args}
    return any(mine & {(key, item.args[key]) for key in keys if key in item.args} for item in later)


def outside(found: Facts, ended: Ended) -> Facts:
    """What the plan has nothing to do with: other PFs with their VFs, guests, pools."""
    actions = ended.plan.actions
    named = {action.args[key] for action in actions for key in ("pf", "domain", "pool") if key in action.args}
    named |= {action.args["nic"]["vf"][0] for action in actions if action.args.get("nic", {}).get("vf")}
    modules = any(action.op.startswith("modules.") for action in actions)
    return {
        key: value
        for key, value in found.items()
        if not (key == "modules" or (modules and "/" in key))
        and key.partition(" ")[2] not in named
        and not any(key == name or key.startswith(f"{name}/") for name in named)
    }
