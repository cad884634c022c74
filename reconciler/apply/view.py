"""What is seen of the host while actions are carried out: read again right before somebody could lose something, and
read back until an effect is there. Nothing is written here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from reconciler.apply.perform import gone_from, not_seen
from reconciler.apply.taken import appearing, may_take, needs_a_new_look, unnamed
from reconciler.clock import Clock
from reconciler.diagnostics import ReconcilerError
from reconciler.drivers.readback import is_half, matches
from reconciler.drivers.table import facts
from reconciler.host.model import Applied, Snapshot
from reconciler.host.protocol import HostError, Reader, Scope
from reconciler.kinds.action import Action
from reconciler.kinds.hang import in_the_way
from reconciler.kinds.operations import OPERATIONS
from reconciler.kinds.vf.operations import find_vf, target

_LETTING_GO = 3.0
"""Seconds that a VF may still be in use when it is needed free: QEMU closes its VFIO group after libvirt's answer, and
udev renames a netdev that has just appeared."""
_FELL_SHORT = 2.0
"""Seconds for which less than was ordered has to stay so, until it is taken for all that comes."""
_APPEARING = 90.0
"""Seconds within which the host's driver has made the netdev of a new VF: about one per VF and port."""
_JUST_NOW = 1.0
"""Seconds for which what a round has read back holds for the one that follows it."""
_RESTARTS = 15.0
"""Seconds that libvirt gets to come back."""


@dataclass(slots=True)
class View:
    """One host, as a run sees it."""

    reader: Reader
    clock: Clock
    """The host's own: a simulated one's time is not ours."""
    host: Snapshot
    """What was observed last; kept up to date part by part."""
    run: str
    """In whose name the ledger learns what can't be read back."""
    _read_at: dict[str, float] = field(default_factory=dict)
    """When the last round has read its PFs."""
    _libvirt_is_gone: bool = False
    """It was waited for, and did not come back."""

    def refuse_behind_a_hang(self, action: Action) -> None:
        """A write that hangs, of this run or of any other, is not followed by another one that waits for it."""
        if not in_the_way(self.host, action.op, action.args):
            return
        # It may be back by now. Processes are looked at with any PF, also with one that is gone.
        known = [*self.host.pfs, *(hang.pf for hang in self.host.hangs if hang.pf)]
        if known:
            self.reader.refresh(self.host, Scope("pf", known[0]))
        why = in_the_way(self.host, action.op, action.args)
        if why:
            raise HostError("A write would wait behind one that hangs.", f"{why}. Nothing was written.")

    def read(self, action: Action) -> None:
        """What the action is about. Raises `HostError` when libvirt is needed for that, and can't be asked."""
        scope = OPERATIONS[action.op].scope(action.args)
        self.reader.refresh(self.host, scope)
        if scope.kind in ("domain", "pool"):
            self._await_libvirt(scope)
        if scope.kind in ("domain", "pool") and not self.host.libvirt.available:
            raise HostError("libvirt can't be asked.", self.host.libvirt.reason)
        if action.op == "vf.set" and "alias" in action.args:
            vf = target(self.host, action.args)
            if vf is not None:
                self.reader.refresh(self.host, Scope("pf", vf[0]))

    def _await_libvirt(self, scope: Scope) -> None:
        """A libvirt that is being restarted gets a while, once."""
        until = self.clock.monotonic() + _RESTARTS
        while not self.host.libvirt.available and not self._libvirt_is_gone:
            if self.clock.monotonic() >= until:
                self._libvirt_is_gone = True
                return
            self.clock.sleep(1.0)
            self.reader.refresh(self.host, scope)
        self._libvirt_is_gone = not self.host.libvirt.available

    def wait_for(self, action: Action, deadline: float, *, read: bool = True) -> None:
        """Reads back until the effect is there; what the host can't report counts once it was accepted. A reading that
        fails is tried again like one that doesn't show the effect yet. ``read`` false: it was read just now."""
        until, pause = self.clock.monotonic() + deadline, 0.02
        short_since: float | None = None
        while True:
            missing: ReconcilerError | None = None
            seen: bool | None = False
            try:
                if read:
                    self.read(action)
                seen = OPERATIONS[action.op].satisfied(self.host, action.args)
            except HostError as error:
                missing = error
            if seen is None:
                self._note_unverifiable(action)
            if seen is not False:
                return
            now = self.clock.monotonic()
            short = OPERATIONS[action.op].fell_short(self.host, action.args)
            short_since = (short_since if short_since is not None else now) if short else None
            if short_since is not None and now >= short_since + _FELL_SHORT:
                raise HostError("The effect fell short.", short)
            if now >= until:
                raise gone_from(self.host, action.op, action.args) or missing or not_seen(action, deadline)
            self.reader.wait_for_change(min(pause, max(0.0, until - self.clock.monotonic())))
            pause, read = min(pause * 1.5, 0.5), True

    def _note_unverifiable(self, action: Action) -> None:
        vf = target(self.host, action.args)
        if vf is None:
            return
        found, pf = find_vf(self.host, vf), self.host.pfs[vf[0]]
        reported = (found.attributes if found is not None else None) or {}
        known = facts(pf.driver, pf.device_id)
        applied = self.host.ledger.setdefault(f"{vf[0]}/{vf[1]}", {})
        for name, value in action.args["set"].items():
            if matches(known, name, value, reported, pf.speed) is None:
                applied[name] = Applied(value, self.host.host.boot_id, self.run)

    def taken(self, actions: list[Action]) -> dict[str, HostError]:
        """Who holds VFs is read again right before somebody could lose one: the error of each action that would touch
        a holder whom it doesn't name. What is just being let go of gets a moment."""
        asked = [action for action in actions if may_take(action)]
        if not asked:
            return {}
        began = self.clock.monotonic()
        while True:
            if any(needs_a_new_look(action) for action in asked):
                self._look_again()
            found = unnamed(self.host, asked)
            patience = _APPEARING if any(appearing(self.host, action) for action in asked) else _LETTING_GO
            if not found or self.clock.monotonic() >= began + patience:
                break
            self.reader.wait_for_change(0.2)
            if len(asked) == 1:
                self.read(asked[0])
            else:
                self.read_pfs(asked)
        return {
            key: HostError("Somebody has it now.", f"{'; '.join(held)}. Nothing was written.")
            for key, held in found.items()
        }

    def _look_again(self) -> None:
        fresh = self.reader.observe()
        if self.host.libvirt.available and not fresh.libvirt.available:
            raise HostError(
                "libvirt can't be asked.",
                f"{fresh.libvirt.reason} So it is not known which guests have VFs. Nothing was written.",
            )
        fresh.ledger = self.host.ledger
        self.host = fresh

    def read_pfs(self, batch: Sequence[Action], *, back: bool = False) -> None:
        """All PFs of a round in one pass; where it is about attributes of VFs which nobody can lose, these alone.
        ``back``: to see what the round has changed."""
        keys = dict.fromkeys(OPERATIONS[action.op].scope(action.args).key for action in batch)
        attributes = all(action.op == "vf.set" and (back or not may_take(action)) for action in batch)
        self.reader.refresh(self.host, Scope("vfs" if attributes else "pf", " ".join(keys)))
        self._read_at = dict.fromkeys(keys, self.clock.monotonic()) if back and not attributes else {}

    def just_read(self, batch: Sequence[Action]) -> bool:
        """Whether the round before has read these PFs to see its effect, right now, and nothing hangs on what it read:
        neither who could lose something by this one, nor the other half of a struct that is written as a whole."""
        if any(may_take(action) or (action.op == "vf.set" and is_half(action.args["set"])) for action in batch):
            return False
        since = self.clock.monotonic() - _JUST_NOW
        return all(self._read_at.get(action.args["pf"], since - 1) >= since for action in batch)

    def forget_reading(self) -> None:
        """From now on nothing counts as just read."""
        self._read_at = {}
