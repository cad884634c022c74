"""Steps on VFs: bind each to its driver, then set its attributes, in the order that drivers need."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reconciler.drivers.facts import DriverFacts
from reconciler.drivers.readback import GROUPS, complete, matches
from reconciler.drivers.rules import kept, refusal
from reconciler.drivers.table import facts
from reconciler.host.model import Pf, Vf
from reconciler.kinds.action import Action, Step, Undo
from reconciler.kinds.builder import Builder
from reconciler.kinds.field_state import FieldState
from reconciler.kinds.holders import VfId
from reconciler.kinds.impact import impact_on_vfs
from reconciler.kinds.pf.steps import own_settings, wait_link
from reconciler.kinds.resolution import intents_on
from reconciler.kinds.vf.compare import LIBVIRT_OWNS, compare, given_by_libvirt
from reconciler.kinds.vf.operations import situation_of
from reconciler.state.address import address
from reconciler.state.desired import Attributes, Disruption

Wanted = dict[str, tuple[Any, str]]
"""Value and address by attribute."""


def plan(builder: Builder) -> None:
    """Binds, then sets what differs; also what VFs that are made again had and nobody declares."""
    differing: dict[VfId, Wanted] = {}
    for state in compare(builder.predicted(), builder.host):
        if not state.differs:
            continue
        pf, _, index = state.identity.rpartition("/")
        if state.field == "driver":
            _bind(builder, state, pf, int(index))
        else:
            differing.setdefault((pf, int(index)), {})[state.field] = (state.declared, state.address)
    _kept(builder, differing)
    _complete(builder, differing)
    _rates_need_link(builder, differing)
    _lower_minimums(builder, differing)
    for vf in sorted(differing):
        _set(builder, vf, differing[vf])


def _bind(builder: Builder, state: FieldState, pf: str, index: int) -> None:
    vf = builder.host.pfs[pf].vf(index)
    before = binding(vf)
    builder.add(
        "vf.bind",
        state.address,
        {"pf": pf, "vf": index, "driver": state.declared},
        needs=[f"vfs {pf}", f"autoprobe {pf}", f"free {pf}/{index}"],
        makes=f"bound {pf}/{index}",
        impact=impact_on_vfs(builder.resolution.holders, [(pf, index)]),
        undo=[Step("vf.bind", state.address, {"pf": pf, "vf": index, "driver": before})],
    )


def binding(vf: Vf | None) -> str:
    """What a VF is bound to, in the words of ``vf_driver``."""
    if vf is None or vf.driver is None:
        return "none"
    return "vfio-pci" if vf.driver == "vfio-pci" else "kernel"


def _kept(builder: Builder, differing: dict[VfId, Wanted]) -> None:
    """A VF that is made again is a new one: what it had and nobody declares is given back to it, also when an earlier
    run made it again and did not come so far."""
    intents = intents_on(builder.resolution, builder.host)
    given = given_by_libvirt(builder.host)
    minimums: dict[str, dict[int, int]] = {}
    for (pf, index), fields in intents.items():
        if "min_tx_rate" in fields:
            minimums.setdefault(pf, {})[index] = int(fields["min_tx_rate"].value)
    for name, identity in builder.resolution.pfs.items():
        if not builder.has_made(f"vfs {identity}") and identity not in builder.observed.owed:
            continue
        before = _before(builder, identity)
        now = builder.host.pfs[identity]
        known = facts(now.driver, now.device_id)
        least = minimums.get(identity, {})
        for old in before.vfs:
            new = now.vf(old.index)
            if new is None:
                continue
            declared = intents.get((identity, old.index), {})
            where = address("pf", name, "vf", old.index)
            for values in own_settings(builder, before, old):
                if (identity, old.index) in given and not LIBVIRT_OWNS.isdisjoint(values):
                    continue  # A guest has it back, with what its NIC says.
                then = (new.attributes or {}) | {key: intent.value for key, intent in declared.items()}
                others = sum(value for index, value in least.items() if index != old.index)
                situation = replace(situation_of(now, new), other_min_rates=others)
                if now.up and before.carrier:  # The link comes back, and rates wait for it.
                    situation = replace(situation, carrier=True)
                request = complete(values, then)
                if refusal(known, request, situation) is not None:
                    continue  # A rate on a port that is to be down, or one that contradicts what is declared now.
                done = kept(known, request, situation)
                values = {key: value for key, value in values.items() if done[key] == value}  # Else it isn't seen.
                if "min_tx_rate" in values:
                    least.setdefault(old.index, int(values["min_tx_rate"]))
                for key, value in values.items():
                    if key not in declared and (new.attributes or {}).get(key) != value:
                        differing.setdefault((identity, old.index), {})[key] = (value, where)


def _before(builder: Builder, identity: str) -> Pf:
    """A PF with its VFs as they were before they are made again, or were by a run that did not come to its end."""
    now = builder.remade.get(identity, builder.observed.pfs[identity])
    owed = builder.observed.owed.get(identity)
    if owed is None:
        return now
    return replace(owed, vfs=[*owed.vfs, *(vf for vf in now.vfs if owed.vf(vf.index) is None)])


def _complete(builder: Builder, differing: dict[VfId, Wanted]) -> None:
    """What shares a kernel struct with something that differs is written with it where the report doesn't say it: can't
    (802.1ad on bnxt), or not yet (a protocol without a VLAN): filled up from the report, the struct would reset it."""
    intents = intents_on(builder.resolution, builder.host)
    for (identity, index), wanted in differing.items():
        pf = builder.host.pfs[identity]
        vf, known = pf.vf(index), facts(pf.driver, pf.device_id)
        seen = (vf.attributes if vf is not None else None) or {}
        then = seen | {name: value for name, (value, _) in wanted.items()}
        for group in GROUPS:
            for name in group if not wanted.keys().isdisjoint(group) else ():
                intent = intents.get((identity, index), {}).get(name)
                if name in wanted or intent is None:
                    continue
                if seen.get(name) != intent.value or matches(known, name, intent.value, then, pf.speed) is None:
                    wanted[name] = (intent.value, intent.address)


def _rates_need_link(builder: Builder, differing: dict[VfId, Wanted]) -> None:
    waiting = {vf[0] for vf, wanted in differing.items() if "max_tx_rate" in wanted or "min_tx_rate" in wanted}
    for identity in sorted(waiting):
        pf = builder.host.pfs[identity]
        if bool(facts(pf.driver, pf.device_id).max_rate.link) and pf.up and pf.carrier is not True:
            wait_link(builder, identity)


def _lower_minimums(builder: Builder, differing: dict[VfId, Wanted]) -> None:
    """Where the minimums of a PF's VFs share its link, those that go down are written before any goes up: what one VF
    is to get, another may still have."""
    lowered = []
    for vf, wanted in sorted(differing.items()):
        pf = builder.host.pfs[vf[0]]
        seen = pf.vf(vf[1])
        before = ((seen.attributes if seen is not None else None) or {}).get("min_tx_rate", 0)
        if (
            not facts(pf.driver, pf.device_id).min_sum_within_link
            or wanted.get("min_tx_rate", (before, ""))[0] >= before
        ):
            continue
        rates: Wanted = {name: wanted.pop(name) for name in ("min_tx_rate", "max_tx_rate") if name in wanted}
        lowered += [(f"lowered {vf[0]}", action) for action in _set(builder, vf, rates)]
    for name, action in lowered:
        builder.also_makes(name, action)


def _ordered(wanted: Wanted) -> list[Wanted]:
    """One entry per request: spoofchk off first and on after the MAC, as Intel's drivers need it; the rest in the
    order of the groups."""
    groups = [{name: wanted[name] for name in group if name in wanted} for group in GROUPS]
    groups = [group for group in groups if group]
    return sorted(groups, key=lambda group: "spoofchk" not in group or bool(group["spoofchk"][0]))


def _set(builder: Builder, vf: VfId, wanted: Wanted) -> list[Action]:
    actions = []
    for group in _ordered(wanted):
        values = {name: value for name, (value, _) in group.items()}
        where = next(iter(group.values()))[1]
        actions.append(add_set(builder, vf, where, {"pf": vf[0], "vf": vf[1]}, values))
    return actions


def add_set(builder: Builder, vf: VfId, where: str, target: dict[str, Any], values: Attributes) -> Action:
    """Adds one ``vf.set``; ``target`` says which VF, by PF and index or by a guest's NIC."""
    pf = builder.host.pfs[vf[0]]
    observed = pf.vf(vf[1])
    known = facts(pf.driver, pf.device_id)
    rate = "max_tx_rate" in values or "min_tx_rate" in values
    return builder.add(
        "vf.set",
        where,
        {**target, "set": values},
        needs=[
            f"vfs {vf[0]}",
            f"free {vf[0]}/{vf[1]}",
            f"bound {vf[0]}/{vf[1]}",
            f"detached {where}",  # A guest that keeps its NIC leaves the VF that it was to move to as it is.
            *([f"carrier {vf[0]}", f"lowered {vf[0]}"] if rate else []),
            *([f"link {vf[0]}"] if rate or known.needs_up else []),
            *([f"attached {where}"] if "alias" in target else []),
        ],
        makes=f"set {vf[0]}/{vf[1]}",
        impact=impact_on_vfs(builder.resolution.holders, [vf], held=noticed(known, values)),
        undo=_undo(builder, vf, where, target, values, observed),
    )


def noticed(known: DriverFacts, values: Attributes) -> Disruption:
    """What setting these attributes means for whoever has the VF."""
    if values.get("link_state") == "disable":
        return "guest"
    if not known.resets_vf.isdisjoint(values) or ("mac" in values and known.reload_for_mac):
        return "vf-traffic"
    return "none"


def _undo(
    builder: Builder, vf: VfId, where: str, target: dict[str, Any], values: Attributes, observed: Vf | None
) -> Undo:
    if builder.has_made(f"vfs {vf[0]}"):
        return Undo()  # The VF is new: it goes when its creation is taken back.
    attributes = (observed.attributes if observed else None) or {}
    before = {name: attributes[name] for name in values if name in attributes}
    if len(before) < len(values):
        missing = ", ".join(sorted(set(values) - set(before)))
        return Undo(impossible=f"the driver does not report {missing}, so its value before is not known")
    return Undo([Step("vf.set", where, {**target, "set": before})])
