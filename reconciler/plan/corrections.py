"""What a look at the host finds to be corrected on its VFs, outside of any run: nothing but attributes, of VFs of
declared PFs, and on a VF that somebody has only what nobody notices.

Whoever gets a VF gets it with what is declared and else with the driver's defaults, and so it goes back when he is
gone. In between only what is declared is anybody's business: what an operator sets by hand beside it stays.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from reconciler.drivers.facts import DriverFacts
from reconciler.drivers.readback import GROUPS
from reconciler.drivers.table import facts
from reconciler.host.model import Pf, Snapshot
from reconciler.kinds.hang import in_the_way
from reconciler.kinds.holders import Holder, Holders, VfId
from reconciler.kinds.resolution import Resolution
from reconciler.kinds.resolve import resolve
from reconciler.kinds.vf.steps import noticed
from reconciler.plan.hygiene import Wanted, differing, wanted_on
from reconciler.state.address import address
from reconciler.state.desired import Attributes, AttributeValue, Desired

Tenancies = dict[str, frozenset[VfId]]
"""VFs by the guest that has them."""
Tenancy = tuple[str, VfId]
"""One guest with one VF."""


@dataclass(frozen=True, slots=True)
class Change:
    """One attribute of one VF that is to be set."""

    vf: VfId
    name: str
    """As the file names the VF: ``int/3``."""
    attribute: str
    before: AttributeValue | None
    """``None``: not reported."""
    after: AttributeValue
    who: str
    """Who has the VF, or had it until now: ``guest web1``."""

    def __str__(self) -> str:
        return f"{self.name}: {_step(self.attribute, self.before, self.after)} ({self.who})"


@dataclass(slots=True)
class Look:
    """What one look at the host came to."""

    changes: list[Change] = field(default_factory=list)
    kept_back: list[str] = field(default_factory=list)
    """What is not as it should be and can't be changed unnoticed, in sentences."""
    tenancies: Tenancies = field(default_factory=dict)
    """Who has which VF now."""
    arrived: set[Tenancy] = field(default_factory=set)
    """Who has got which VF since."""
    owed: set[VfId] = field(default_factory=set)
    """VFs that were given back and can't be put right yet."""


def look(
    desired: Desired,
    host: Snapshot,
    noted: Mapping[str, Collection[VfId]],
    *,
    unsettled: Collection[Tenancy] = (),
    first: bool = False,
) -> Look:
    """Compares. ``noted``: who had which VF at the last look; ``unsettled``: who has got one and has not all of its
    attributes yet; ``first``: there was no look before, so those that have a VF may have had it for long."""
    resolution = resolve(desired, host)
    found = Look(tenancies=tenancies(resolution.holders))
    found.arrived = _arrived(found.tenancies, noted, unsettled, first)
    left = {vf: guest for guest, vfs in noted.items() for vf in vfs if vf not in found.tenancies.get(guest, ())}
    new = {vf for _, vf in found.arrived}
    for vf, target in wanted_on(resolution, host, _vfs(resolution, host)).items():
        who = resolution.holders.get(vf, [])
        free = vf in left and not who
        if vf in left and who and all(holder.kind != "guest" for holder in who):
            found.owed.add(vf)
        _compare(found, resolution, host, vf, target, who, whole=free or vf in new, told=_told(who, left.get(vf)))
    found.kept_back += [
        f"{item.address}: {item.detail}"
        for item in resolution.diagnostics
        if item.severity == "error" and item.address in resolution.left_out
    ]
    return found


def tenancies(holders: Holders) -> Tenancies:
    """Who has which VF."""
    found: dict[str, set[VfId]] = {}
    for vf, who in holders.items():
        for holder in who:
            if holder.kind == "guest":
                found.setdefault(holder.who, set()).add(vf)
    return {guest: frozenset(vfs) for guest, vfs in found.items()}


def _arrived(
    now: Tenancies, noted: Mapping[str, Collection[VfId]], unsettled: Collection[Tenancy], first: bool
) -> set[Tenancy]:
    others = {vf for vfs in noted.values() for vf in vfs}
    return {
        (guest, vf)
        for guest, vfs in now.items()
        for vf in vfs
        if (guest, vf) in unsettled or (vf not in noted.get(guest, ()) and (not first or vf in others))
    }


def _vfs(resolution: Resolution, host: Snapshot) -> list[VfId]:
    return [(pf, vf.index) for pf in resolution.pfs.values() for vf in host.pfs[pf].vfs]


def _compare(
    found: Look,
    resolution: Resolution,
    host: Snapshot,
    vf: VfId,
    target: Wanted,
    who: list[Holder],
    *,
    whole: bool,
    told: str,
) -> None:
    """One VF, struct by struct; ``whole``: with the driver's defaults for what isn't declared."""
    pf = host.pfs[vf[0]]
    seen = pf.vf(vf[1])
    reported = (seen.attributes if seen is not None else None) or {}
    values = target.values if whole else {name: target.values[name] for name in target.declared}
    lacking = differing(pf, vf[1], values, unreported=whole)
    name = f"{resolution.pf_name(pf.id)}/{vf[1]}"
    hangs = in_the_way(host, "vf.set", {"pf": pf.id, "vf": vf[1]}) if lacking else ""
    for group in GROUPS:
        part = {key: lacking[key] for key in group if key in lacking}
        if not part:
            continue
        steps = ", ".join(_step(key, reported.get(key), value) for key, value in part.items())
        if hangs:
            found.kept_back.append(f"{name}: not corrected: {steps}. {hangs}, and this would only wait behind it.")
            found.owed.add(vf)
        elif who and (why := _noticed(pf, facts(pf.driver, pf.device_id), part)):
            what_to_do = _what_to_do(resolution, vf, part) if target.declared & part.keys() else _LEFTOVER
            found.kept_back.append(f"{name}: not corrected: {steps}. {told} has it, and {why}. {what_to_do}")
        else:
            found.changes += [Change(vf, name, key, reported.get(key), value, told) for key, value in part.items()]


def _noticed(pf: Pf, known: DriverFacts, part: Attributes) -> str:
    """Why whoever has the VF would notice; "" when he would not."""
    if not known.fixed_while_held.isdisjoint(part):
        return f"{pf.driver} refuses that while a VF is in use"
    disruption = noticed(known, part)
    if disruption == "none":
        return ""
    return "would lose its link" if disruption == "guest" else f"{pf.driver} would disturb its traffic for that"


_LEFTOVER = "Nothing of it is declared: it goes when the VF is given back."


def _what_to_do(resolution: Resolution, vf: VfId, part: Attributes) -> str:
    where = address("pf", resolution.pf_name(vf[0]), "vf", vf[1])
    allow = "guest" if part.get("link_state") == "disable" else "vf-traffic"
    nic = resolution.nic_of(vf)
    return f"To do it all the same: reconciler apply --allow {allow} --target {nic.address if nic else where}"


def _told(who: list[Holder], had: str | None) -> str:
    if not who:
        return f"guest {had} had it" if had is not None else "nobody has it"
    guest = next((holder for holder in who if holder.kind == "guest"), None)
    return f"guest {guest.who}" if guest is not None else str(who[0])


def _step(attribute: str, before: AttributeValue | None, after: AttributeValue) -> str:
    return f"{attribute} {_value(before)} -> {_value(after)}"


def _value(value: AttributeValue | None) -> str:
    return "?" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
