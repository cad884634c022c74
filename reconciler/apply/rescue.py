"""No guest is left without a NIC that it had: what a run took off, and did not bring back, is put back.

First what was only not begun is finished, and an attach that failed is tried again. Where a NIC's place is gone, what
stands between is taken back: the whole that its detach belongs to. What then is still missing is attached by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from reconciler.apply.executor import Executor
from reconciler.apply.outcome import Outcome, to_take_back
from reconciler.diagnostics import ReconcilerError
from reconciler.drivers.readback import GROUPS
from reconciler.host.model import Nic, Snapshot
from reconciler.kinds.action import Action, Impact
from reconciler.kinds.holders import find_holders, vfs_by_address
from reconciler.kinds.impact import impact_on_vfs
from reconciler.kinds.nic.operations import find_match
from reconciler.kinds.operation import Args
from reconciler.kinds.vf.compare import LIBVIRT_OWNS
from reconciler.kinds.vf.operations import find_vf
from reconciler.plan.undo import repairs_of, undo_of, undone_of

_LATE = 10.0
"""Seconds for which a guest that did not answer in time is watched: what goes late is put back, too."""
_LIBVIRT_BACK = 60.0
"""Seconds that libvirt gets to come back, for instance from a restart."""


@dataclass(slots=True)
class LostNic:
    """A NIC that a guest had, and that it lacks now."""

    address: str
    domain: str
    device: Nic
    """As it was."""
    spec: Args | None
    """The ``nic`` argument that attaches it as it was; ``None``: its VF was not known."""
    wanted: Args | None
    """The ``nic`` argument of the plan."""
    live: bool
    """It lacks in the running guest."""
    config: bool
    """It lacks in the definition."""

    @property
    def name(self) -> str:
        """Alias, else MAC, else the VF's PCI address."""
        return self.device.alias or self.device.mac or self.device.vf_address or "NIC"

    def __str__(self) -> str:
        mac = f" (MAC {self.device.mac})" if self.device.mac is not None else ""
        return f"NIC {self.name}{mac}"


def lost_nics(before: Snapshot, after: Snapshot, actions: Sequence[Action], *, removed: bool = False) -> list[LostNic]:
    """NICs that these actions take off to attach them again, and that lack now. ``removed``: also those that are
    declared absent. A guest that was shut down meanwhile only needs its definition."""
    wanted = {action.address: action.args["nic"] for action in actions if action.op == "nic.attach"}
    found: dict[str, LostNic] = {}
    for action in actions:
        if action.op != "nic.detach" or not (removed or action.address in wanted):
            continue
        was, now = (host.libvirt.domains.get(action.args["domain"]) for host in (before, after))
        if was is None or now is None:
            continue
        live, config = (find_match(nics, action.args["match"]) for nics in (was.live, was.config))
        device = live or config
        if device is None:
            continue
        spec = next((step.args["nic"] for step in action.undo.steps if step.op == "nic.attach"), None)
        lost = LostNic(action.address, was.name, device, spec, wanted.get(action.address), False, False)
        had = live is not None or (not was.running and config is not None)
        lost.live = now.running and had and not _has(now.live, lost)
        lost.config = now.persistent and config is not None and not _has(now.config, lost)
        known = found.setdefault(action.address, lost)
        known.live, known.config = known.live or lost.live, known.config or lost.config
    return [lost for lost in found.values() if lost.live or lost.config]


def _has(nics: Sequence[Nic], lost: LostNic) -> bool:
    """Whether a NIC is there, as it was or as it is to be: by its lasting alias or its MAC; one without either by its
    VF."""
    specs = [spec for spec in (lost.spec, lost.wanted) if spec is not None]
    aliases = {lost.device.alias, *(spec["alias"] for spec in specs)}
    macs = {lost.device.mac, *(spec.get("mac") for spec in specs)} - {None}
    return any(
        nic.method != "other"
        and (
            ((nic.alias or "").startswith("ua-") and nic.alias in aliases)
            or nic.mac in macs
            or (not nic.mac and not (nic.alias or "").startswith("ua-") and nic.vf_address == lost.device.vf_address)
        )
        for nic in nics
    )


@dataclass(slots=True)
class Rescue:
    """What it came to, in sentences."""

    put_back: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """Who is without which NIC, or may be soon."""
    undone: set[str] = field(default_factory=set)
    """Ids of the actions that were taken back for it."""


def rescue(executor: Executor, actions: Sequence[Action], before: Snapshot) -> Rescue:
    """Puts back every NIC that these actions took off and that lacks now. ``before``: the host as it was before the
    first of them. No interrupt stops it, nor a disk that is full: what it takes back is on record already."""
    asked = {a.id for a in actions if a.op == "nic.detach" and executor.outcomes[a.id].written}
    returned = {a.address for a in actions if a.op == "nic.attach" and executor.outcomes[a.id].done}
    if not any(action.id in asked and action.address not in returned for action in actions):
        return Rescue()
    executor.on_the_way_back()
    worker = _Rescuer(executor, actions, before, asked)
    try:
        return worker.run()
    except Exception as error:  # noqa: BLE001  (after the first write a run always ends with its own result)
        back = {a.address for a in actions if a.op == "nic.attach" and executor.outcomes[a.id].done}
        worker.result.lost += unknown((a for a in actions if a.id in asked and a.address not in back), error)
        return worker.result


def unknown(detached: Iterable[Action], error: Exception) -> list[str]:
    """Who is without which NIC, as far as is known, when the host can't be asked any more."""
    told = f"{error.summary} {error.detail}" if isinstance(error, ReconcilerError) else str(error)
    return [
        f"guest {action.args['domain']} is WITHOUT its NIC {next(iter(action.args['match'].values()))}, which was "
        f"taken off, unless somebody has put it back: {told.strip().rstrip('.')}. Look with `inspect`, "
        "solve this and apply again, or take all back with `rollback`"
        for action in detached
    ]


def put_back_after_rollback(
    executor: Executor, actions: Sequence[Action], before: Snapshot
) -> tuple[set[str], list[str]]:
    """After a rollback that did not come through: attaches NICs that still lack by themselves. The addresses of those
    that are back, and who is without which NIC even so, in sentences."""
    worker = _Rescuer(executor, actions, before, set(), removed=True)
    first = worker.look()
    for nic in first:
        worker.attach(nic)
    lost = worker.look() if first else []
    back = {nic.address for nic in first} - {nic.address for nic in lost}
    return back, [worker.without(nic) for nic in lost]


@dataclass(slots=True)
class _Rescuer:
    executor: Executor
    actions: Sequence[Action]
    before: Snapshot
    asked: set[str]
    """Detaches that the host was asked for."""
    removed: bool = False
    result: Rescue = field(default_factory=Rescue)
    _why: dict[str, str] = field(default_factory=dict)
    """The last error by address of a NIC."""

    def run(self) -> Rescue:
        first = self.look()
        self._watch(first)
        lost = self.look()
        silent = self._unanswered()
        first = lost or first
        if lost:
            self._go_on(self._unfinished(self._whole(lost)))
            lost = self.look()
        finished = {nic.address for nic in first} - {nic.address for nic in lost}
        if any(not _has_place(self.executor.view.host, nic.spec) for nic in lost):
            self._take_back(self._whole(lost))
            lost = self.look()
        for nic in lost:
            self.attach(nic)
        lost = self.look() if lost else []
        self.result.lost += [self.without(nic) for nic in lost]
        still = {nic.address for nic in lost} | finished
        self.result.put_back = [self._with(nic) for nic in first if nic.address not in still]
        self._pending([action for action in self._unanswered() if action in silent])
        return self.result

    def look(self) -> list[LostNic]:
        """Reads the host; libvirt gets time to come back."""
        clock = self.executor.writer.clock
        until = clock.monotonic() + _LIBVIRT_BACK
        fresh = self.executor.view.reader.observe()
        while not fresh.libvirt.available and clock.monotonic() < until:
            clock.sleep(1.0)
            fresh = self.executor.view.reader.observe()
        if not fresh.libvirt.available:
            raise ReconcilerError("libvirt can't be asked.", fresh.libvirt.reason)
        fresh.ledger = self.executor.view.host.ledger
        self.executor.view.host = fresh
        return lost_nics(self.before, fresh, self.actions, removed=self.removed)

    def _unanswered(self) -> list[Action]:
        """Detaches that were asked for and have failed, whose NIC is still there: it may go at any time."""
        domains = self.executor.view.host.libvirt.domains
        return [
            action
            for action in self.actions
            if action.id in self.asked
            and action.args["live"]
            and not self.executor.outcomes[action.id].done
            and action.args["domain"] in domains
            and find_match(domains[action.args["domain"]].live, action.args["match"]) is not None
        ]

    def _watch(self, lost: list[LostNic]) -> None:
        """A guest that did not answer may do so a moment later."""
        clock = self.executor.writer.clock
        until = clock.monotonic() + _LATE
        while self._unanswered() and clock.monotonic() < until:
            clock.sleep(1.0)
            self.look()

    def _pending(self, silent: Sequence[Action]) -> None:
        for action in silent:
            self.result.lost.append(
                f"guest {action.args['domain']} was asked to give back its NIC "
                f"{next(iter(action.args['match'].values()))} and has not answered; it still has it. If it gives it "
                "back later, it is without: apply again then"
            )

    def _whole(self, lost: Sequence[LostNic]) -> list[Action]:
        """What the detaches of these NICs belong to: all that they need or that needs them, near or far."""
        addresses = {nic.address for nic in lost}
        ids = {action.id for action in self.actions if action.address in addresses}
        while True:
            more = ids | {a.id for a in self.actions if not ids.isdisjoint(a.needs)}
            more |= {need for action in self.actions if action.id in ids for need in action.needs}
            if more == ids:
                return [action for action in self.actions if action.id in ids]
            ids = more

    def _unfinished(self, whole: Sequence[Action]) -> list[Action]:
        """What was only not begun, and attaches that failed; not what needs something else that failed."""
        found: list[Action] = []
        blocked: set[str] = set()
        for action in whole:
            outcome = self.executor.outcomes[action.id]
            if not blocked.isdisjoint(action.needs) or (outcome.outcome == "failed" and action.op != "nic.attach"):
                blocked.add(action.id)
            elif not outcome.done:
                found.append(action)
        return found

    def _go_on(self, actions: Sequence[Action]) -> list[Outcome]:
        outcomes = self.executor.execute(actions) if actions else []
        first = next((outcome.error for outcome in outcomes if outcome.outcome == "failed"), "")
        for action, outcome in zip(actions, outcomes, strict=True):
            if action.op == "nic.attach" and not outcome.done:
                self._why[action.address] = outcome.error if outcome.outcome == "failed" else first
        return outcomes

    def _take_back(self, whole: Sequence[Action]) -> None:
        """The undo of the whole, as far as it was carried out; and what that could not foresee."""
        done = to_take_back(self.executor.outcomes[action.id] for action in whole)
        back = undo_of(whole, done, self.before)
        outcomes = self._go_on(back)
        self.look()
        self._go_on(repairs_of(self.before, self.executor.view.host, whole))
        failed = {outcome.id for outcome in outcomes if not outcome.done}
        self.result.undone = undone_of([action for action in whole if action.id in done], failed)
        self.executor.note_undone(self.result.undone)

    def attach(self, lost: LostNic) -> None:
        """Attaches a NIC by itself: as it was, else as the plan has it."""
        specs = [lost.spec] if lost.wanted == lost.spec else [lost.spec, lost.wanted]
        for number, spec in enumerate(specs, 1):
            if spec is None or not _has_place(self.executor.view.host, spec):
                continue
            args = {"domain": lost.domain, "nic": spec, "live": lost.live, "config": lost.config}
            steps = list(self._attributes(lost)) if spec is lost.spec else []
            action = Action(f"put back {lost.address} ({number})", "nic.attach", lost.address, args)
            up, down = self._link(lost, spec)
            done = self._go_on([*up, *steps, action])[-1].done
            self._go_on(down)
            if done:
                planned = [a for a in self.actions if a.op == "nic.attach" and a.address == lost.address]
                self.executor.note_attached(a for a in planned if a.id in self.executor.outcomes)
                return

    def _link(self, lost: LostNic, spec: Args) -> tuple[list[Action], list[Action]]:
        """A PF that is down goes up for it, and down again, which harms nobody who was there before: libvirt attaches a
        VF only while its PF is up (virNetDevSaveNetConfig in src/util/virnetdev.c)."""
        pf = self.executor.view.host.pfs.get(spec["vf"][0]) if spec.get("vf") else None
        if pf is None or pf.up is not False or spec["method"] == "hostdev" or not lost.live:
            return [], []
        known = impact_on_vfs(find_holders(self.executor.view.host), [(pf.id, vf.index) for vf in pf.vfs])
        nic = f"{lost.domain}: {lost.name} on VF {spec['vf'][1]} of {pf.device}"
        up, down = (
            Action(
                f"put back {lost.address}: {pf.netdev} {link}",
                "pf.set_link",
                lost.address,
                {"pf": pf.id, "link": link},
                impact=Impact("guest", [*known.domains, lost.domain], [*known.nics, nic], known.host),
            )
            for link in ("up", "down")
        )
        return [up], [down]

    def _attributes(self, lost: LostNic) -> Iterator[Action]:
        """What the NIC's VF had besides what libvirt gives it, if nobody else has the VF now."""
        if lost.spec is None or lost.spec.get("vf") is None:
            return
        vf = (lost.spec["vf"][0], lost.spec["vf"][1])
        was, now = (find_vf(host, vf) for host in (self.before, self.executor.view.host))
        if was is None or now is None or vf in find_holders(self.executor.view.host):
            return
        old, new = was.attributes or {}, now.attributes or {}
        skipped = frozenset() if lost.device.method == "hostdev" else LIBVIRT_OWNS
        for number, group in enumerate(GROUPS):
            names = [name for name in group if name in old and name in new and name not in skipped]
            values = {name: old[name] for name in names if old[name] != new[name]}
            if values:
                args = {"pf": vf[0], "vf": vf[1], "set": values}
                yield Action(f"put back vf.set {vf[0]}/{vf[1]} {number}", "vf.set", lost.address, args)

    def _with(self, lost: LostNic) -> str:
        host = self.executor.view.host
        domain = host.libvirt.domains.get(lost.domain)
        nics = domain.live if domain is not None and domain.running else domain.config if domain is not None else []
        nic = next((nic for nic in nics if _has([nic], lost)), None)
        vf = vfs_by_address(host).get((nic.vf_address if nic is not None else None) or "")
        where = f" It is on VF {vf[1]} of {host.pfs[vf[0]].netdev}." if vf is not None else ""
        return f"Guest {lost.domain} was without its {lost}, which was put back.{where}"

    def without(self, lost: LostNic) -> str:
        why = self._why.get(lost.address, "")
        if not why:
            place = (lost.spec or lost.wanted or {}).get("vf")
            why = f"VF {place[1]} of {place[0]} is not there" if place else "there is no VF for it"
        side = "" if lost.live else " in its definition"
        return (
            f"guest {lost.domain} is WITHOUT its {lost}{side}: {why.strip().rstrip('.')}. Solve this and apply "
            "again, or take all back with `rollback`"
        )


def _has_place(host: Snapshot, spec: Args | None) -> bool:
    """Whether the VF that a NIC names is there, or its pool has one to give."""
    if spec is None:
        return False
    if spec.get("pool") is None:
        return find_vf(host, tuple(spec["vf"])) is not None
    network = host.libvirt.networks.get(spec["pool"])
    known = vfs_by_address(host)
    return network is not None and network.active and any(address in known for address in network.live_addresses)
