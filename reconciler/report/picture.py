"""What a picture of a host shows, whatever it is drawn with: sockets, cards, PFs, runs of VFs that are alike, guests,
and who has what. Made of a ``reconciler-inventory/1`` document."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from reconciler.report.style import clean, listed, plural
from reconciler.report.values import human
from reconciler.report.verdict import host_name

Status = Literal["guest", "off", "host", "unknown", "free"]
WORDS: dict[Status, str] = {
    "guest": "a guest has it",
    "off": "a guest that is off names it",
    "host": "the host, or a process, uses it",
    "unknown": "not known",
    "free": "free",
}
_FOLD_GUEST = 4
"""So many VFs of one guest side by side are told as one; fewer by themselves, with their NICs."""
_NAMED = 4
_LONG = 90


@dataclass(frozen=True, slots=True)
class Link:
    """A guest that has VFs of a run, or names them in its definition while it is off."""

    guest: str
    running: bool
    nic: str
    """Its NIC, or how many."""


@dataclass(slots=True)
class Run:
    """VFs side by side that are alike; often a single one."""

    vfs: list[dict[str, Any]]
    status: Status
    links: list[Link]

    @property
    def label(self) -> str:
        """``VF 8–62``."""
        first, last = self.vfs[0]["index"], self.vfs[-1]["index"]
        return f"VF {first}" if first == last else f"VF {first}–{last}"

    @property
    def pools(self) -> list[str]:
        return list(self.vfs[0]["pools"])

    @property
    def owner(self) -> str:
        """Who has it: ``web1``, ``db1 (off)``, ``the host: …``; ``free``, with how many they are."""
        count = len(self.vfs)
        if self.status == "free":
            return "free" if count == 1 else f"{count} free"
        told = _told(self.vfs[0])
        return told if count == 1 else f"{told}, {plural(count, 'VF')}"

    @property
    def details(self) -> str:
        """What a single VF has set on it: ``VLAN 100 · 1000 Mbit/s``."""
        return " · ".join(_set_on(self.vfs[0])) if len(self.vfs) == 1 else ""


@dataclass(slots=True)
class Port:
    """A PF."""

    pf: dict[str, Any]
    runs: list[Run]

    @property
    def pools(self) -> list[str]:
        """Those that VFs of it are in."""
        return list(dict.fromkeys(name for run in self.runs for name in run.pools))

    @property
    def name(self) -> str:
        return str(self.pf["netdev"])

    @property
    def facts(self) -> str:
        """``0000:41:00.0 · ixgbe · up, 10 Gbit/s · MTU 9000``."""
        mtu = f"MTU {self.pf['mtu']}" if self.pf["mtu"] is not None else ""
        return " · ".join(filter(None, [self.pf["device"], self.pf["driver"] or "no driver", link(self.pf), mtu]))

    @property
    def count(self) -> str:
        """``63 of 63 VFs, 2 in use``."""
        made = len(self.pf["vfs"]) if self.pf["num_vfs"] is None else self.pf["num_vfs"]
        total = self.pf["total_vfs"]
        told = f"{made} of {plural(total, 'VF')}" if total is not None else plural(made, "VF")
        return f"{told}, {self.pf['used_vfs']} in use" if made else told

    @property
    def uses(self) -> str:
        """What the host itself uses it for; "" for nothing."""
        return ", ".join(f"{use['kind']} {use['detail']}".strip() for use in self.pf["uses"])


@dataclass(slots=True)
class Card:
    """The PFs of one PCI device."""

    address: str
    name: str
    ports: list[Port] = field(default_factory=list)


@dataclass(slots=True)
class Socket:
    """A NUMA node."""

    name: str
    cards: list[Card] = field(default_factory=list)


@dataclass(slots=True)
class Pool:
    """A pool, with the guests that name it and have no VF of it."""

    pool: dict[str, Any]
    waiting: list[str]

    @property
    def name(self) -> str:
        return str(self.pool["name"])

    @property
    def facts(self) -> str:
        """``active, autostart on · of p1p2``."""
        told = f"{'active' if self.pool['active'] else 'inactive'}, autostart {human('', self.pool['autostart'])}"
        return f"{told} · all VFs of {self.pool['pf_dev']}" if self.pool["pf_dev"] else f"{told} · a list of VFs"

    @property
    def count(self) -> str:
        """``1 of 55 VFs in use``."""
        return f"{self.pool['used']} of {plural(self.pool['capacity'], 'VF')} in use"

    @property
    def remarks(self) -> list[str]:
        """What is wrong with it, or to come."""
        told = [f"no VF at {listed(self.pool['missing'])}"] if self.pool["missing"] else []
        if self.pool["nics"] > self.pool["capacity"]:
            told.append(f"{plural(self.pool['nics'], 'NIC')} of guests name it: not all can run at once")
        if self.waiting:
            told.append(f"wanted also by {several(self.waiting)}")
        return told


@dataclass(slots=True)
class Picture:
    """A host."""

    title: str
    summary: str
    sockets: list[Socket]
    pools: list[Pool]
    guests: dict[str, bool]
    """Those that have or name a VF that is there, and whether they run; in the order of their VFs."""
    without: list[str]
    """Guests without any VF, of their own or of a pool."""
    notes: list[str]

    @property
    def ports(self) -> list[Port]:
        """All PFs, in order."""
        return [port for socket in self.sockets for card in socket.cards for port in card.ports]


def compose(document: dict[str, Any]) -> Picture:
    """What a picture of this inventory shows."""
    document = clean(document)
    sockets = _sockets(document)
    picture = Picture(host_name(document), _summary(document), sockets, [], {}, [], _notes(document))
    for port in picture.ports:
        for run in port.runs:
            for one in run.links:
                picture.guests[one.guest] = picture.guests.get(one.guest, False) or one.running
    listed_guests = document.get("guests") or []
    picture.pools = [Pool(pool, _waiting(listed_guests, pool["name"])) for pool in document["pools"]]
    picture.without = [guest["name"] for guest in listed_guests if not guest["nics"]]
    picture.without = [name for name in picture.without if name not in picture.guests]
    return picture


def several(names: Iterable[str]) -> str:
    """The first few of many names: ``web1, web2, web3 and 29 more``."""
    found = list(dict.fromkeys(names))
    if len(found) <= _NAMED:
        return listed(found)
    return f"{', '.join(found[: _NAMED - 1])} and {len(found) - _NAMED + 1} more"


def short(text: str) -> str:
    """The text, cut to what a box or a label has room for."""
    return text if len(text) <= _LONG else f"{text[: _LONG - 1].rstrip()}…"


def link(pf: dict[str, Any]) -> str:
    """``up, 10 Gbit/s``."""
    if pf["up"] is None:
        return "link not known"
    if not pf["up"]:
        return "down"
    if not pf["carrier"]:
        return "up, no carrier"
    speed = pf["speed"]
    if not speed:
        return "up"
    return f"up, {speed // 1000} Gbit/s" if speed % 1000 == 0 else f"up, {speed} Mbit/s"


def describe(vf: dict[str, Any]) -> str:
    """One VF in words, all that there is: ``VF 3 · 0000:41:10.6 · web1 (ua-rec-mgmt) · pool …``."""
    status = status_of(vf)
    owner = WORDS[status] if status == "free" else _told(vf)
    told = [f"VF {vf['index']}", vf["address"] or "", owner, *(f"pool {name}" for name in vf["pools"])]
    told += [f"driver {vf['driver']}" if vf["driver"] else "", *_set_on(vf)]
    mac = (vf["attributes"] or {}).get("mac")
    return " · ".join(filter(None, [*told, f"MAC {human('mac', mac)}" if mac else ""]))


def status_of(vf: dict[str, Any]) -> Status:
    """Who has a VF, as one of five; who has it now goes before who names it."""
    kinds = {holder["kind"] for holder in vf["holders"]}
    if "guest" in kinds:
        return "guest"
    if kinds & {"process", "host"}:
        return "host"
    if kinds:
        return "unknown"
    return "off" if vf["claims"] else "free"


def _told(vf: dict[str, Any]) -> str:
    """Everybody who has it or names it."""
    prefix = {"guest": "", "process": "process ", "host": "the host: ", "unknown": ""}
    told = [f"{prefix.get(holder['kind'], '')}{holder['who']}" for holder in vf["holders"]]
    return "; ".join([*told, *(f"{claim['domain']} (off)" for claim in vf["claims"])])


def _set_on(vf: dict[str, Any]) -> list[str]:
    values = vf["attributes"] or {}
    told = [f"VLAN {values['vlan']}"] if values.get("vlan") else []
    if values.get("max_tx_rate"):
        told.append(f"{values['max_tx_rate']} Mbit/s")
    return [*told, *(["trusted"] if values.get("trust") else [])]


def _sockets(document: dict[str, Any]) -> list[Socket]:
    """By NUMA node, what has none last."""
    found: dict[int | None, dict[str, Card]] = {}
    for pf in document["pfs"]:
        cards = found.setdefault(pf["numa_node"], {})
        address = pf["device"].rpartition(".")[0] if pf["bus"] == "pci" else pf["device"]
        ids = f"{pf['vendor']}:{pf['device_id']}" if pf["vendor"] else pf["driver"] or ""
        card = cards.setdefault(f"{pf['bus']}/{address}", Card(address, pf.get("card") or ids))
        card.ports.append(Port(pf, _runs(pf["vfs"])))
    order = sorted(found, key=lambda node: (node is None, node or 0))
    names = {node: "NUMA node not known" if node is None else f"NUMA node {node}" for node in order}
    return [Socket(names[node], list(found[node].values())) for node in order]


def _runs(vfs: list[dict[str, Any]]) -> list[Run]:
    runs: list[list[dict[str, Any]]] = []
    for vf in vfs:
        if runs and runs[-1][-1]["index"] + 1 == vf["index"] and _key(runs[-1][-1]) == _key(vf):
            runs[-1].append(vf)
        else:
            runs.append([vf])
    parts: list[list[dict[str, Any]]] = []
    for run in runs:
        few = status_of(run[0]) in ("guest", "off") and len(run) < _FOLD_GUEST
        parts += [[vf] for vf in run] if few else [run]
    return [Run(part, status_of(part[0]), _links(part)) for part in parts]


def _key(vf: dict[str, Any]) -> object:
    return status_of(vf), _told(vf), vf["pools"]


def _links(vfs: list[dict[str, Any]]) -> list[Link]:
    found: dict[tuple[str, bool], list[str]] = {}
    for vf in vfs:
        for holder in vf["holders"]:
            if holder["kind"] == "guest":
                found.setdefault((holder["who"], True), []).append(holder["nic"])
        for claim in vf["claims"]:
            found.setdefault((claim["domain"], False), []).append(claim["nic"])
    return [
        Link(guest, running, nics[0] if len(nics) == 1 else plural(len(nics), "NIC"))
        for (guest, running), nics in found.items()
    ]


def _waiting(guests: list[dict[str, Any]], pool: str) -> list[str]:
    return [
        guest["name"] if guest["running"] else f"{guest['name']} (off)"
        for guest in guests
        if any(nic["pool"] == pool and nic["vf"] is None for nic in guest["nics"])
    ]


def _summary(document: dict[str, Any]) -> str:
    pfs = document["pfs"]
    if not pfs:
        return "No PF was found: no network card whose driver can make VFs."
    made, used = sum(len(pf["vfs"]) for pf in pfs), sum(pf["used_vfs"] for pf in pfs)
    named = sum(status_of(vf) == "off" for pf in pfs for vf in pf["vfs"])
    off = f", {named} named by guests that are off" if named else ""
    return f"{plural(len(pfs), 'PF')}, {plural(made, 'VF')}: {used} in use{off}, {made - used - named} free"


def _notes(document: dict[str, Any]) -> list[str]:
    libvirt = document["libvirt"]
    told = list(document["notes"])
    if not libvirt["available"]:
        told.insert(0, f"libvirt could not be asked: guests and pools are not known. {libvirt['reason']}".strip())
    return list(dict.fromkeys(told))
