"""What a driver answers to VF attributes: whether it takes them, what it then does, in general rules on the table.

One request is one kernel struct: an attribute alone, or those that share one (`reconciler.drivers.readback.GROUPS`),
complete. Planning asks before anything is written; the simulated host answers by the same rules.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from reconciler.drivers.facts import PLAIN, DriverFacts, Rate
from reconciler.state.desired import ZERO_MAC, Attributes, AttributeValue


@dataclass(frozen=True, slots=True)
class Situation:
    """What an answer depends on. ``None``: not known, and then a rule that needs it refuses nothing."""

    up: bool | None = None
    """The PF is up (IFF_UP)."""
    carrier: bool | None = None
    """The PF has a link."""
    speed: int | None = None
    """Of the PF's link, Mbit/s."""
    vf: Attributes = field(default_factory=dict)
    """The VF as it is before."""
    other_min_rates: int = 0
    """Sum of min_tx_rate of the PF's other VFs."""
    held: bool | None = None
    """A guest has the VF."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A driver's no. ``why`` is a sentence with the driver's name, its limits and the value."""

    errno: int
    why: str
    attribute: str
    passing: bool = False
    """It is the situation that is wrong (no link, PF down), not the value."""
    remedy: str = ""
    """What has to change in a situation that is wrong: a sentence."""


def refusal(
    facts: DriverFacts, wanted: Attributes, situation: Situation, declared: Collection[str] = ()
) -> Refusal | None:
    """The first reason for which the driver refuses a request, one that is about a ``declared`` attribute before one
    about what only completes the request; ``None`` when it takes it, or may take it."""
    found = list(_refusals(facts, wanted, situation))
    return min(found, key=lambda item: item.attribute not in declared, default=None)


def remarks(facts: DriverFacts, wanted: Attributes, situation: Situation) -> list[str]:
    """What the driver silently makes of values that it takes: sentences, empty when it does what it is told."""
    found = []
    for name, value in wanted.items():
        rate = _rate_of(facts, name)
        before = situation.vf.get(name, PLAIN.get(name, False))
        if name in facts.ignored and _listed(facts.ignored[name], name, value) and value != before:
            found.append(f"{facts.name} accepts {name} = {_text(value)} and ignores it")
        elif rate is None or not isinstance(value, int):
            continue
        elif value == 0 and rate.zero == "ignored" and before:
            found.append(f"{facts.name} accepts {name} = 0 and keeps the limit: it can't take one away")
        elif value != (done := _programmed(rate, value, situation)):
            how = "clamps" if _over(rate, value, situation) else "rounds"
            direction = "down" if done < value else "up"
            found.append(f"{facts.name} {how} {value} {direction} to {done} Mbit/s; {name} = {value}")
    return found


def unsafe(facts: DriverFacts, wanted: Attributes) -> Refusal | None:
    """A value that the kernel accepts and that doesn't hold, so that nobody should ask for it; its errno is 0."""
    for name, value in wanted.items():
        rate = _rate_of(facts, name)
        if rate is not None and isinstance(value, int) and 0 < value < rate.safe_from:
            return Refusal(0, f"{facts.name} {rate.unsafe}; {name} = {value}", name)
    return None


def kept(facts: DriverFacts, wanted: Attributes, situation: Situation) -> Attributes:
    """What the driver keeps after a request that was taken, which `reconciler.drivers.readback.reported` starts from;
    differs from ``wanted`` where the driver ignores or alters a value and says so when it is read."""
    done: Attributes = {}
    for name, value in wanted.items():
        before = situation.vf.get(name, PLAIN.get(name, False))
        rate = _rate_of(facts, name)
        if name in facts.ignored and _listed(facts.ignored[name], name, value):
            done[name] = before
        elif rate is None or not isinstance(value, int):
            done[name] = value
        elif value == 0 and rate.zero == "ignored":
            done[name] = before
        elif rate.reports_step or rate.beyond == "clamped":
            done[name] = _programmed(rate, value, situation)
        else:
            done[name] = value
    return done


def accepted_rates(rate: Rate, situation: Situation) -> str:
    """``0 or 11..10000 Mbit/s``: what a driver takes on a link of this speed, as far as that is known."""
    bounds, lowest = _bounds(rate, situation), _lowest(rate, situation)
    low = f"{lowest}.." if lowest > 1 else "0.."
    zero = "0 or " if lowest > 1 else ""
    high = f"{min(bounds)} Mbit/s" if bounds else ("the link's speed" if rate.within_link else "")
    step = _step(rate, situation)
    steps = f" in steps of {step}" if step > 1 and rate.off_step == "refused" else ""
    return (f"{zero}{low}{high}" if high else f"0 or {lowest} Mbit/s and more") + steps


def _refusals(facts: DriverFacts, wanted: Attributes, situation: Situation) -> Iterator[Refusal]:
    for name, value in wanted.items():
        beside = any(
            other not in facts.lacks for other in wanted
        )  # One struct: the default of a half asks for nothing.
        if name in facts.lacks and not (beside and value == PLAIN.get(name)):
            yield Refusal(facts.lacks[name], f"{facts.name} has no {name}", name)
        elif value in facts.refuses.get(name, {}):
            yield Refusal(facts.refuses[name][value], _does_not_take(facts, name, value), name)
        elif name in facts.only and value not in facts.only[name]:
            takes = ", ".join(sorted(map(_text, facts.only[name])))
            yield Refusal(errno.EINVAL, f"{facts.name} accepts {name} = {takes}; {name} = {_text(value)}", name)
    yield from _mac(facts, wanted, situation)
    if situation.held and not facts.fixed_while_held.isdisjoint(wanted):
        name = next(name for name in wanted if name in facts.fixed_while_held)
        why = f"{facts.name} changes {name} only while no guest's driver has the VF"
        yield Refusal(errno.EBUSY, why, name, True, "Detach the NIC, or shut its guest down, before this is applied.")
    if facts.qos_needs_vlan and wanted.get("qos") and not wanted.get("vlan"):
        yield Refusal(errno.EINVAL, f"{facts.name} takes a qos only with a vlan; qos = {wanted['qos']}", "qos")
    if "min_tx_rate" in wanted or "max_tx_rate" in wanted:
        yield from _rates(facts, wanted, situation)
    if facts.needs_up and situation.up is False:
        name = next(iter(wanted))
        why = f"{facts.name} sets {name} only while the PF is up"
        yield Refusal(errno.EAGAIN, why, name, True, "Set the PF up.")


def _does_not_take(facts: DriverFacts, name: str, value: AttributeValue) -> str:
    return f"{facts.name} does not take {name} = {_text(value)}"


def _mac(facts: DriverFacts, wanted: Attributes, situation: Situation) -> Iterator[Refusal]:
    if wanted.get("mac") == ZERO_MAC:
        if facts.zero_mac == "refused":
            yield Refusal(errno.EINVAL, f"{facts.name} can't take a MAC away again; mac = none", "mac")
        elif facts.zero_mac == "refused-with-spoofchk" and situation.vf.get("spoofchk"):
            yield Refusal(errno.EPERM, f"{facts.name} refuses the zero MAC while spoofchk is on", "mac")
    if facts.spoofchk_needs_mac and wanted.get("spoofchk") and situation.vf.get("mac") == ZERO_MAC:
        yield Refusal(errno.EPERM, f"{facts.name} turns spoofchk on only for a VF with a MAC", "spoofchk")


def _rates(facts: DriverFacts, wanted: Attributes, situation: Situation) -> Iterator[Refusal]:
    least, most = int(wanted.get("min_tx_rate", 0)), int(wanted.get("max_tx_rate", 0))
    if most and most < least:
        yield Refusal(errno.EINVAL, f"min_tx_rate = {least} is above max_tx_rate = {most}", "min_tx_rate")
    if "min_tx_rate" in wanted:
        if facts.min_rate is not None:
            yield from _rate(facts, facts.min_rate, "min_tx_rate", least, situation)
        elif least and "min_tx_rate" not in facts.ignored:
            yield Refusal(errno.EINVAL, f"{facts.name} has no min_tx_rate; min_tx_rate = {least}", "min_tx_rate")
        together = least + situation.other_min_rates
        if facts.min_sum_within_link and least and situation.speed is not None and together > situation.speed:
            why = (
                f"{facts.name} wants the min_tx_rates of a PF's VFs together within its link, {situation.speed} "
                f"Mbit/s; they would be {together}"
            )
            yield Refusal(errno.EINVAL, why, "min_tx_rate")
    if "max_tx_rate" in wanted and "max_tx_rate" not in facts.lacks:
        yield from _rate(facts, facts.max_rate, "max_tx_rate", most, situation)


def _rate(facts: DriverFacts, rate: Rate, name: str, value: int, situation: Situation) -> Iterator[Refusal]:
    takes = f"{facts.name} accepts {accepted_rates(rate, situation)}; {name} = {value}"
    beyond = rate.beyond == "refused" and _over(rate, value, situation)
    off_step = rate.off_step == "refused" and value % _step(rate, situation) != 0
    if 0 < value < _lowest(rate, situation) or off_step or beyond:
        yield Refusal(rate.error, takes, name)
    down = situation.carrier is False or situation.up is False
    if down and (rate.link == "any" or (rate.link == "rate" and value)):
        why = f"{facts.name} refuses a rate without a link; {name} = {value}"
        yield Refusal(rate.link_error, why, name, True, "Give the port a link.")
    if rate.link_speed is not None and situation.speed not in (None, rate.link_speed) and not down:
        why = f"{facts.name} takes rates on a link of {rate.link_speed} Mbit/s, and this one has {situation.speed}"
        remedy = f"Give the port a link of {rate.link_speed} Mbit/s: with this one no value is taken."
        yield Refusal(rate.link_error, f"{why}; {name} = {value}", name, True, remedy)


def _rate_of(facts: DriverFacts, name: str) -> Rate | None:
    if name == "max_tx_rate":
        return facts.max_rate
    return facts.min_rate if name == "min_tx_rate" else None


def _lowest(rate: Rate, situation: Situation) -> int:
    if rate.lowest_part and situation.speed is not None:
        return max(situation.speed // rate.lowest_part, rate.lowest)
    return rate.lowest


def _step(rate: Rate, situation: Situation) -> int:
    if rate.link_parts and situation.speed is not None:
        return max(situation.speed // rate.link_parts, 1)
    return rate.step


def _bounds(rate: Rate, situation: Situation) -> list[int]:
    return [item for item in (rate.highest, situation.speed if rate.within_link else None) if item is not None]


def _over(rate: Rate, value: int, situation: Situation) -> bool:
    return any(value > bound for bound in _bounds(rate, situation))


def _programmed(rate: Rate, value: int, situation: Situation) -> int:
    """What the hardware is given for a rate that is taken."""
    if rate.beyond == "clamped":
        value = min([value, *_bounds(rate, situation)])
    step = _step(rate, situation)
    if 0 < value < step:
        return step
    return value // step * step


def _listed(values: frozenset[AttributeValue] | None, name: str, value: AttributeValue) -> bool:
    return value != PLAIN.get(name, False) if values is None else value in values


def _text(value: AttributeValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
