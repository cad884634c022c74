"""What a card's driver would refuse, or make of it, said before anything is written: by the driver table."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from reconciler.diagnostics import Diagnostic, Severity
from reconciler.drivers.facts import ENOTSUPP, DriverFacts
from reconciler.drivers.readback import GROUPS, assumed, complete, matches, reported
from reconciler.drivers.rules import Refusal, Situation, kept, refusal, remarks, unsafe
from reconciler.drivers.table import facts
from reconciler.host.model import Nic, Pf, Snapshot
from reconciler.kinds.holders import VfId
from reconciler.kinds.nic.compare import must_move
from reconciler.kinds.nic.intent import NicIntent
from reconciler.kinds.resolution import Intent, Resolution, intents_on, overlay, vf_count
from reconciler.state.address import address
from reconciler.state.desired import Attributes, DesiredPf

Fields = dict[str, Intent]

_SPOOFCHK_FIRST = tuple(sorted(GROUPS, key=lambda group: group != ("spoofchk",)))


def check_drivers(resolution: Resolution, host: Snapshot) -> list[Diagnostic]:
    """Counts and attributes that the drivers of the declared PFs don't take, or alter; and a note on drivers that the
    table doesn't know, or that are other builds than those it describes."""
    found = list(_notes(resolution, host))
    wanted: dict[str, list[tuple[int, Fields]]] = {}
    for vf, fields in _wanted(resolution, host):
        wanted.setdefault(vf[0], []).append((vf[1], fields))
    guests = _Guests.of(resolution, host)
    for name, identity in resolution.pfs.items():
        desired, pf = resolution.desired.pfs[name], host.pfs[identity]
        if pf.driver is None:
            continue
        found += _count(resolution, desired, pf)
        found += _Card(resolution, host, guests, desired, pf).attributes(wanted.get(pf.id, []))
    return list(dict.fromkeys(found))


def _wanted(resolution: Resolution, host: Snapshot) -> list[tuple[VfId, Fields]]:
    """What is to be set on which VF; what a NIC of a pool declares on the first VF of each of the pool's PFs, as long
    as libvirt has not chosen one."""
    wanted = [*intents_on(resolution, host).items()]
    for nic in resolution.nics:
        if nic.pool is None or nic.nic.state == "absent" or nic.find(host)[0] is not None:
            continue
        for vf in _first_of_pool(resolution, nic):
            intents = {vf: dict(resolution.intents.get(vf, {}))}
            overlay(intents, vf, nic)
            wanted.append((vf, {key: item for key, item in intents.get(vf, {}).items() if item.address == nic.address}))
    return [(vf, fields) for vf, fields in wanted if fields]


def _first_of_pool(resolution: Resolution, nic: NicIntent) -> list[VfId]:
    pool = next((item for item in resolution.desired.pools.values() if item.name == nic.pool), None)
    if pool is None:
        return []
    if pool.pf is not None:
        return [(resolution.pfs[pool.pf], 0)] if pool.pf in resolution.pfs else []
    by_pf: dict[str, VfId] = {}
    for ref in pool.vfs:
        vf = resolution.vf_id(ref)
        if vf is not None:
            by_pf.setdefault(vf[0], vf)
    return list(by_pf.values())


@dataclass(frozen=True, slots=True)
class _Guests:
    """Who has which VF now, made once for all VFs."""

    running: dict[str, list[tuple[str, Nic]]] = field(default_factory=dict)
    """Running guests and their NICs, by the VF's PCI address."""
    declared: dict[int, NicIntent] = field(default_factory=dict)
    """By the identity of the live NIC, which is an object of the observed host."""

    @classmethod
    def of(cls, resolution: Resolution, host: Snapshot) -> _Guests:
        found = cls(declared={id(item.live): item for item in resolution.nics if item.live is not None})
        for domain in host.libvirt.domains.values():
            for nic in domain.live if domain.running else ():
                if nic.vf_address:
                    found.running.setdefault(nic.vf_address, []).append((domain.name, nic))
        return found


class _Card:
    """The checks of one PF's VFs."""

    def __init__(self, resolution: Resolution, host: Snapshot, guests: _Guests, desired: DesiredPf, pf: Pf) -> None:
        self.resolution, self.host, self.guests, self.desired, self.pf = resolution, host, guests, desired, pf
        self.known = facts(pf.driver, pf.device_id)
        self.up = desired.link == "up" if desired.link is not None else pf.up
        there = bool(self.up and pf.up and pf.carrier)
        self.carrier = False if self.up is False else True if there else None
        self.speed = pf.speed if there else None
        self.remade = desired.vfs is not None and desired.vfs != pf.num_vfs

    def attributes(self, wanted: list[tuple[int, Fields]]) -> Iterator[Diagnostic]:
        """Findings on all attributes of all VFs that there will be; ``wanted`` is by index."""
        count = vf_count(self.desired, self.pf)
        least = {index: int(self._before(index).get("min_tx_rate", 0)) for index in range(count)}
        for index, fields in wanted:
            if index < count and "min_tx_rate" in fields:
                least[index] = int(fields["min_tx_rate"].value)
        total = sum(least.values())
        for index, fields in wanted:
            if index < count:
                yield from self._vf(index, fields, total - least[index])

    def _before(self, index: int) -> Attributes:
        vf = None if self.remade else self.pf.vf(index)
        seen = (vf.attributes if vf is not None else self.known.fresh) or {}
        return dict(seen)

    def _vf(self, index: int, fields: Fields, others: int) -> Iterator[Diagnostic]:
        """In the order in which they are set: what was set before counts for what comes after."""
        seen = self._before(index)
        now = assumed(self.known, seen, self.speed)
        for group in _in_order(fields):
            declared = {name: fields[name].value for name in group if name in fields}
            if not declared:
                continue
            request = complete(declared, now)
            if all(self._same(name, value, seen) for name, value in declared.items()):
                # It is so now, and can't be made so again: after a reset, or once the VF has chosen a MAC.
                bad = unsafe(self.known, request)
                if bad is None and "mac" in request:
                    bad = refusal(self.known, request, Situation(), declared)
                if bad is not None:
                    yield self._refused(bad, declared, fields)
                continue
            keeper = self._keeper(index)
            situation = Situation(self.up, self.carrier, self.speed, dict(now), others, held=keeper is not None)
            bad = refusal(self.known, request, situation, declared) or unsafe(self.known, request)
            if bad is not None:
                yield self._refused(bad, declared, fields)
                continue
            if keeper is not None and "mac" in declared and self.known.reload_for_mac:
                yield self._needs_reload(keeper, index, fields["mac"])
            yield from self._altered(declared, request, situation, fields)
            now.update(kept(self.known, request, situation))

    def _keeper(self, index: int) -> str | None:
        """The running guest that keeps a VF throughout the plan, so that what is declared for the VF is set under it.
        MAC and VLAN of an interface that nobody declares are libvirt's, and are not set."""
        vf = None if self.remade else self.pf.vf(index)
        for guest, nic in self.guests.running.get((vf.address if vf is not None else None) or "", []):
            ours = self.guests.declared.get(id(nic))
            if ours is None and nic.method == "hostdev":
                return guest
            if ours is not None and ours.nic.state == "present" and not must_move(self.host, ours, nic):
                return guest
        return None

    def _needs_reload(self, guest: str, index: int, intent: Intent) -> Diagnostic:
        return self._say(
            "warning",
            "mac-needs-reload",
            "A guest keeps its old MAC until its VF driver is loaded again.",
            f"{guest} has VF {index} of {self._card} and runs, and {self.known.name} tells the VF of its new MAC, "
            f"{intent.value}, only when the VF's driver starts: until then the guest sends with the old one, and with "
            "spoofchk its frames are dropped. Reload the driver in the guest, or set its interface down and up.",
            intent,
            "mac",
        )

    def _same(self, name: str, value: object, seen: Attributes) -> bool:
        return matches(self.known, name, value, seen, self.speed) is True  # type: ignore[arg-type]

    def _refused(self, bad: Refusal, declared: Attributes, fields: Fields) -> Diagnostic:
        name = bad.attribute if bad.attribute in declared else next(iter(declared))
        if bad.passing and self.up is False:
            where = address("pf", self.resolution.pf_name(self.pf.id))
            state = "is declared down" if self.desired.link == "down" else "is down"
            what = (
                "a rate without a link" if bad.attribute.endswith("rate") else f"{bad.attribute} while the PF is down"
            )
            return self._say(
                "error",
                "rate-needs-link" if bad.attribute.endswith("rate") else "driver-needs-up",
                "A rate can't be set while the PF is down."
                if bad.attribute.endswith("rate")
                else "An attribute can't be set while the PF is down.",
                f'{self.known.name} refuses {what}, and {self.pf.netdev} {state}. Declare link = "up" in {where}.',
                fields[name],
                name,
            )
        answer = f"{self._card}: the kernel would answer {_error(bad.errno)}." if bad.errno else f"{self._card}."
        remedy = bad.remedy or f"Declare a value that it takes, or take {name} out of the state file."
        return self._say(
            "error",
            "driver-refuses",
            "The card's driver does not take this value now."
            if bad.passing
            else "The card's driver does not take this value.",
            f"{bad.why}. It drives {answer} {remedy}",
            fields[name],
            name,
        )

    @property
    def _card(self) -> str:
        return f"{self.pf.netdev} ({self.pf.device})"

    def _altered(
        self, declared: Attributes, request: Attributes, situation: Situation, fields: Fields
    ) -> Iterator[Diagnostic]:
        done = kept(self.known, request, situation)
        report = reported(self.known, {**situation.vf, **done}, self.speed)
        for name, value in declared.items():
            told = remarks(self.known, {name: value}, situation)
            never = matches(self.known, name, value, report, self.speed) is False
            if told or never:
                what = (
                    told[0] if told else f"{self.known.name} never reports {name} = {value}, whatever it does with it"
                )
                yield self._say(
                    "error" if never else "warning",
                    "driver-alters",
                    "The card's driver makes something else of this value.",
                    f"{what}. It drives {self._card}. Declare what you mean, or take {name} out of the state file.",
                    fields[name],
                    name,
                )
            trial = "802.1ad" if value == "802.1ad" else name
            if trial in self.known.firmware and (name != "vlan_proto" or trial == "802.1ad"):
                yield self._say(
                    "note",
                    "driver-depends",
                    "Whether the card can do this depends on its firmware or mode.",
                    f"{self.known.name} on {self._card} takes {trial} only with some firmware, or in some modes. "
                    "Where it doesn't, the apply stops there and says so.",
                    fields[name],
                    name,
                )

    def _say(self, severity: Severity, code: str, summary: str, detail: str, intent: Intent, name: str) -> Diagnostic:
        line = self.resolution.desired.line(intent.address, name)
        return Diagnostic(
            severity=severity, code=code, summary=summary, detail=detail, address=intent.address, line=line
        )


def _in_order(fields: Fields) -> tuple[tuple[str, ...], ...]:
    """The groups as they are set: spoofchk off before all else."""
    off = "spoofchk" in fields and not fields["spoofchk"].value
    return _SPOOFCHK_FIRST if off else GROUPS


def _error(number: int) -> str:
    return {ENOTSUPP: "ENOTSUPP", errno.EOPNOTSUPP: "EOPNOTSUPP"}.get(number) or errno.errorcode.get(
        number, str(number)
    )


def _count(resolution: Resolution, desired: DesiredPf, pf: Pf) -> Iterator[Diagnostic]:
    known = facts(pf.driver, pf.device_id)
    if not desired.vfs or desired.vfs == pf.num_vfs:
        if desired.vfs == 0 and pf.num_vfs and not known.count.writable:
            yield _cannot_write(resolution, desired, pf, known)
        return
    if not known.count.writable:
        yield _cannot_write(resolution, desired, pf, known)
    elif known.count.limit is not None and desired.vfs > known.count.limit >= (pf.total_vfs or 0):
        return  # sriov_totalvfs says it already.
    elif known.count.limit is not None and desired.vfs > known.count.limit:
        yield _of_count(
            resolution,
            desired,
            "too-many-vfs",
            "The driver makes fewer VFs.",
            f"vfs = {desired.vfs}, and {known.name} makes at most {known.count.limit} on {pf.netdev} ({pf.device}). "
            "Declare at most that many.",
        )
    if known.count.down != "works" and (desired.link == "down" or (desired.link is None and pf.up is False)):
        does = "refuses to make VFs" if known.count.down == "refused" else "says yes and makes no VF"
        yield _of_count(
            resolution,
            desired,
            "count-needs-up",
            "VFs can't be made while the PF is down.",
            f"{known.name} {does} while the PF is down, and {pf.netdev} "
            f'{"is declared down" if desired.link == "down" else "is down"}. Declare link = "up" in '
            f"{address('pf', desired.name)}.",
        )


def _cannot_write(resolution: Resolution, desired: DesiredPf, pf: Pf, known: DriverFacts) -> Diagnostic:
    return _of_count(
        resolution,
        desired,
        "count-not-writable",
        "The number of VFs can't be changed while the machine runs.",
        f"vfs = {desired.vfs}, {pf.netdev} ({pf.device}) has {pf.num_vfs}, and {known.name} takes no number through "
        f"sriov_numvfs. To change it, {known.count.how}; until then declare vfs = {pf.num_vfs}.",
    )


def _of_count(resolution: Resolution, desired: DesiredPf, code: str, summary: str, detail: str) -> Diagnostic:
    where = address("pf", desired.name)
    line = resolution.desired.line(where, "vfs")
    return Diagnostic(severity="error", code=code, summary=summary, detail=detail, address=where, line=line)


def _notes(resolution: Resolution, host: Snapshot) -> Iterator[Diagnostic]:
    """Once per driver, on PFs of which something is declared that their driver decides on."""
    pfs: dict[str, list[Pf]] = {}
    for name, identity in resolution.pfs.items():
        desired, pf = resolution.desired.pfs[name], host.pfs[identity]
        if pf.driver and (desired.vfs or desired.vf_defaults or desired.vf):
            pfs.setdefault(pf.driver, []).append(pf)
    note = Diagnostic(severity="note", code="", summary="")
    for driver, cards in pfs.items():
        netdevs = ", ".join(pf.netdev for pf in cards)
        if not facts(driver).known:
            yield replace(
                note,
                code="driver-unknown",
                summary="What this driver accepts is not known.",
                detail=f"{driver} ({netdevs}) is not in the driver table, so that its limits show only when it "
                "refuses something. Every change of a VF that a guest has counts as one that it may feel.",
            )
        elif any(pf.out_of_tree for pf in cards):
            version = next((f" {pf.driver_version}" for pf in cards if pf.driver_version), "")
            yield replace(
                note,
                code="driver-out-of-tree",
                summary="This driver is not the kernel's own.",
                detail=f"{driver}{version} ({netdevs}) was built outside of the kernel. What the driver table says of "
                "the kernel's driver of this name may not hold for it.",
            )
