"""Corrects VFs as guests come and go, for ``reconciler watch``: waits for something to happen, looks, and sets what is
not as it should be. A look at a time, and never while a run is under way or waits for its confirmation."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.apply.hygiene import Missed, Tenants, bring
from reconciler.apply.lock import locked
from reconciler.apply.runs import last_run
from reconciler.clock import Clock, now
from reconciler.diagnostics import ReconcilerError, StateFileError
from reconciler.exit_codes import ExitCode
from reconciler.host.model import Snapshot
from reconciler.host.protocol import Events, Reader, Writer
from reconciler.kinds.holders import VfId
from reconciler.plan.corrections import Change, Look, Tenancy, look
from reconciler.state.desired import AttributeValue, Desired
from reconciler.state.errors import format_error

EVERY = 300.0
"""Seconds between two looks when nothing happens."""
QUIET, AT_MOST = 1.0, 5.0
"""Seconds of quiet that are waited for after an event, and the most that it may take."""
_SOON = 5.0
"""Seconds until what had to be put off is tried again; doubled each time, up to `EVERY`."""
_EFFECT = 1.0
"""Seconds per PF within which a correction has to be seen: a guest that starts waits for it in libvirt's hook."""
_TIMES = 3
"""Corrections that don't hold before one is left alone."""
_HOLDS = 600.0
"""Seconds after which a correction has held."""


_Made = tuple[AttributeValue | None, AttributeValue, str, bool | None, bool | None]
"""A correction: before, after, who has the VF, whether its PF is up and has a carrier."""


@dataclass(slots=True)
class Pass:
    """What one pass came to."""

    corrected: list[Change] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    code: int = ExitCode.OK
    again: bool = False
    """Something had to be put off."""
    busy: str = ""
    """What it was put off for: a run, or a guest that is just starting."""


@dataclass(slots=True)
class _Attempts:
    """How often one attribute was corrected in the same way."""

    of: _Made
    """When something of it changes, counting begins anew."""
    times: int
    at: float


class Watch:
    """Looks and corrects, with the memory that this takes. ``state``: reads the state file, or raises
    `ReconcilerError`; ``tenants``: the notes of who had which VF, which outlive this process."""

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        tenants: Tenants,
        state: Callable[[], Desired],
        state_dir: Path,
        lock: Path,
        clock: Clock = time,
    ) -> None:
        self._reader, self._writer, self._tenants = reader, writer, tenants
        self._state, self._state_dir, self._lock, self._clock = state, state_dir, lock, clock
        self._unsettled: set[Tenancy] = set()
        self._attempts: dict[tuple[VfId, str], _Attempts] = {}

    def once(self) -> Pass:
        """One pass. What is in its way is said in what it returns."""
        try:
            return self._pass()
        except ReconcilerError as error:
            return Pass(complaints=[told(error)], code=error.code)

    def _pass(self) -> Pass:
        desired = self._state()
        noted, _, found = self._look(desired)
        if not found.changes and self._tenants.looked and _notes(found, noted) == noted:
            return Pass(complaints=found.kept_back, again=bool(found.owed))
        try:
            with locked("watch", now(), self._lock):
                return self._under_lock(desired)
        except ReconcilerError as error:
            if error.code != ExitCode.LOCKED:
                raise
            return Pass(code=error.code, again=True, busy=told(error))

    def _under_lock(self, desired: Desired) -> Pass:
        """Looks again, since a run may have come to its end only now, and a VF may have gone to another guest. The
        guests' notes are not held for so long: libvirt may be waiting for its hook, which wants them, and would not
        answer. When they have changed meanwhile a guest has come or gone, and nothing of what was seen is sure."""
        noted, host, found = self._look(desired)
        waiting = last_run(self._state_dir)
        if waiting is not None and waiting.waits and waiting.boot_id == host.host.boot_id:
            why = f"Run {waiting.name} waits for its confirmation: no VF is corrected until it is kept or taken back."
            return Pass(complaints=[why], code=ExitCode.LOCKED, again=True)
        with self._tenants.alone():
            if self._tenants.noted() != noted:
                return Pass(code=ExitCode.LOCKED, again=True, busy="A guest comes or goes. Nothing was changed.")
            missed = self._correct(host, found)
            self._note(found, noted, {item.vf for item in missed})
        failed = {(item.vf, attribute) for item in missed for attribute in item.attributes}
        done = [change for change in found.changes if (change.vf, change.attribute) not in failed]
        return Pass(
            done,
            [*found.kept_back, *(f"A VF could not be corrected: {item}." for item in missed)],
            (ExitCode.PARTIAL if done else ExitCode.FAILED) if missed else ExitCode.OK,
            again=bool(found.owed or missed),
        )

    def _look(self, desired: Desired) -> tuple[dict[str, frozenset[VfId]], Snapshot, Look]:
        """The notes are read first: what is older than the look can only be found out to be so."""
        noted = self._tenants.noted()
        host = self._reader.observe()
        _refuse_wrong_host(desired, host)
        if not host.libvirt.available:
            raise ReconcilerError(
                "libvirt could not be asked.",
                f"{host.libvirt.reason} It is not known who has which VF, so none is corrected until it answers.",
                code=ExitCode.UNOBSERVED,
            )
        found = look(desired, host, noted, unsettled=self._unsettled, first=not self._tenants.looked)
        self._leave_contested(host, found)
        return noted, host, found

    def _correct(self, host: Snapshot, found: Look) -> list[Missed]:
        wanted: dict[VfId, dict[str, AttributeValue]] = {}
        for change in found.changes:
            wanted.setdefault(change.vf, {})[change.attribute] = change.after
            key = (change.vf, change.attribute)
            before, made = self._attempts.get(key), _made(host, change)
            times = before.times + 1 if before is not None and before.of == made else 1
            self._attempts[key] = _Attempts(made, times, self._clock.monotonic())
        return bring(self._reader, self._writer, host, wanted, effect=_EFFECT)

    def _leave_contested(self, host: Snapshot, found: Look) -> None:
        """Takes out what was corrected often enough in vain: somebody else sets it, or it never takes effect."""
        time_over = self._clock.monotonic() - _HOLDS
        differing = {(change.vf, change.attribute) for change in found.changes}
        for key in [key for key, item in self._attempts.items() if key not in differing and item.at <= time_over]:
            del self._attempts[key]
        contested = [change for change in found.changes if self._is_contested(host, change)]
        found.changes = [change for change in found.changes if change not in contested]
        found.kept_back += [
            f"{change}: corrected {_TIMES} times, and it did not hold. Something else sets it, or the driver doesn't "
            "keep it: it is left alone until something about it changes."
            for change in contested
        ]

    def _is_contested(self, host: Snapshot, change: Change) -> bool:
        item = self._attempts.get((change.vf, change.attribute))
        return item is not None and item.times >= _TIMES and item.of == _made(host, change)

    def _note(self, found: Look, noted: dict[str, frozenset[VfId]], missed: set[VfId]) -> None:
        """Who has which VF now; what could not be put right stays with the guest that had it."""
        self._unsettled = {(guest, vf) for guest, vf in found.arrived if vf in missed}
        after = _notes(found, noted, missed)
        for guest in noted.keys() - after.keys():
            self._tenants.leave(guest)
        for guest, vfs in after.items():
            if vfs != noted.get(guest):
                self._tenants.note(guest, sorted(vfs))
        self._tenants.note_look()

    # ------------------------------------------------------------------------ for as long as nobody stops it

    def run(
        self,
        events: Events,
        stopped: Callable[[], bool],
        corrected: Callable[[str], None],
        complain: Callable[[str], None],
    ) -> None:
        """Passes until it is stopped, which is asked between two of them. What stands is said once."""
        said: set[str] = set()
        pause = _SOON
        while not stopped():
            done = self.once()
            for change in done.corrected:
                corrected(str(change))
            if not done.busy:  # Otherwise nothing was found out.
                complaints = [*done.complaints, *filter(None, [events.trouble])]
                for complaint in complaints:
                    if complaint not in said:
                        complain(complaint)
                said = set(complaints)
            if stopped():
                return
            wait_for_events(events, self._clock, pause if done.again else EVERY)
            pause = min(2 * pause, EVERY) if done.again else _SOON


def wait_for_events(events: Events, clock: Clock, seconds: float) -> None:
    """Waits until something happens and it is quiet again, at most so long."""
    if not events.wait(seconds):
        return
    until = clock.monotonic() + AT_MOST
    while (left := until - clock.monotonic()) > 0 and events.wait(min(QUIET, left)):
        pass


def told(error: ReconcilerError) -> str:
    """An error in one text; each finding of a state file on a line."""
    if isinstance(error, StateFileError):
        return "\n".join(format_error(item) for item in error.diagnostics)
    return f"{error.summary} {error.detail}".rstrip()


def _refuse_wrong_host(desired: Desired, host: Snapshot) -> None:
    """As apply does."""
    name, own = desired.host_name, host.host.name
    if name is not None and name not in (own, own.partition(".")[0]):
        raise ReconcilerError(
            "The file is for another host.",
            f"It is for {name!r} and this is {own!r}. No VF is corrected.",
            code=ExitCode.REFUSED,
        )


def _made(host: Snapshot, change: Change) -> _Made:
    pf = host.pfs[change.vf[0]]
    return change.before, change.after, change.who, pf.up, pf.carrier


def _notes(
    found: Look, noted: dict[str, frozenset[VfId]], missed: set[VfId] | frozenset[VfId] = frozenset()
) -> dict[str, frozenset[VfId]]:
    """Who is to be noted with which VFs."""
    others = {vf for vfs in found.tenancies.values() for vf in vfs}
    owed = (found.owed | missed) - others
    after = {
        guest: found.tenancies.get(guest, frozenset()) | (noted.get(guest, frozenset()) & owed)
        for guest in found.tenancies.keys() | noted.keys()
    }
    return {guest: vfs for guest, vfs in after.items() if vfs}
