"""A twin on which something goes wrong at a chosen write, and an apply on it as the command does it, without one."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from reconciler.apply.in_sync import note_in_sync
from reconciler.apply.ledger import read_ledger
from reconciler.apply.owed import owed
from reconciler.apply.run import OnError, RunResult, carry_out
from reconciler.cli.interrupts import Interrupts
from reconciler.diagnostics import ReconcilerError
from reconciler.host.model import Snapshot
from reconciler.host.twin import faults
from reconciler.host.twin.clock import settle
from reconciler.host.twin.errors import kernel_error
from reconciler.host.twin.host import TwinHost
from reconciler.host.twin.libvirt import service
from reconciler.host.twin.state import Fault, Twin
from reconciler.kinds.action import Action
from reconciler.plan.document import Plan
from reconciler.plan.guards import refusals
from reconciler.plan.planner import make_plan
from reconciler.state.desired import Desired


class Killed(BaseException):
    """The process is gone, as by kill -9."""


class FaultyHost(TwinHost):
    """A twin whose crashes and signals are this process's own, and that counts what took effect."""

    def __init__(self, twin: Twin, broken_from: int = 0) -> None:
        super().__init__(twin)
        self.effective = 0
        self.broken_from = broken_from
        """What is written then is refused, then and ever after; 0: nothing is."""
        self._broken = self._asked = ""

    def _do(self, act, words, deadline=10.0, pf="") -> None:  # type: ignore[no-untyped-def]
        def counted(twin: Twin) -> float | None:
            if self.broken_from and twin.writes == self.broken_from:
                self._broken = self._asked
            if self._broken and self._broken == self._asked:
                raise kernel_error(errno.EPERM)
            seconds: float | None = act(twin)
            self.effective += 1
            return seconds

        super()._do(counted, words, deadline, pf)

    def _fail(self, twin: Twin, fault: Fault, pf: str) -> None:
        if fault.kind == "crash":
            raise Killed
        if fault.command.startswith("kill "):
            os.kill(os.getpid(), signal.Signals[fault.command.split()[1]])
        else:
            super()._fail(twin, fault, pf)


def _noting(name: str) -> Any:
    original = getattr(TwinHost, name)

    def write(self: FaultyHost, *args: Any, **options: Any) -> Any:
        self._asked = f"{name} {args} {options}" if name != "_set_vf" else f"{args[0].id} {args[1]}"
        return original(self, *args, **options)

    return write


for _name in (
    *("set_blacklist", "unload_module", "load_module", "set_link", "set_mtu", "set_autoprobe", "set_numvfs"),
    *("bind_vf", "_set_vf", "define_pool", "create_pool", "start_pool", "stop_pool", "set_pool_autostart"),
    *(
        "set_host_network",
        "undefine_pool",
        "attach_nic",
        "detach_nic",
        "update_nic",
        "add_root_ports",
        "drop_root_ports",
        "set_bridge",
    ),
):
    setattr(FaultyHost, _name, _noting(_name))


class Silent:
    """Nobody watches."""

    def start(self, total: int) -> None: ...

    def begin(self, action: dict[str, object]) -> None: ...

    def end(self, action_id: str, outcome: str, seconds: float, error: str) -> None: ...

    def finish(self) -> None: ...


@dataclass(slots=True)
class Disk:
    """A disk that is full at some record, for this one alone or from then on. ``written``: how many there were."""

    full_at: int = 0
    stays: bool = False
    written: int = 0

    @contextlib.contextmanager
    def mounted(self) -> Iterator[None]:
        """Records of the run and the ledger go to it."""
        from reconciler.apply import files, journal

        append, replace = journal.append_synced, files.replace_file

        def appended(descriptor: int, text: str) -> None:
            if self._is_full():
                os.write(descriptor, text.encode()[: len(text) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            append(descriptor, text)

        def replaced(path: Path, text: str, mode: int = 0o644) -> None:
            if self._is_full():
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            replace(path, text, mode)

        with (
            patch.object(journal, "append_synced", appended),
            patch.object(files, "replace_file", replaced),
            patch("os.fsync"),
        ):
            yield

    def _is_full(self) -> bool:
        self.written += 1
        return bool(self.full_at) and (self.written == self.full_at or (self.stays and self.written > self.full_at))


@dataclass(slots=True)
class Ended:
    """What an apply has come to."""

    code: int | None
    """``None``: it was killed."""
    plan: Plan
    result: RunResult | None
    effective: int
    """Writes that took effect."""
    writes: list[tuple[int, str]] = field(default_factory=list)
    """From which write on which operation was under way."""

    def said(self) -> list[str]:
        """All sentences of the result."""
        if self.result is None:
            return []
        return [*self.result.unmet, *self.result.warnings, *(outcome.error for outcome in self.result.outcomes)]


def apply(
    twin: Twin,
    desired: Desired,
    folder: Path,
    on_error: OnError = "stop",
    *,
    broken_from: int = 0,
    disk: Disk | None = None,
) -> Ended:
    """As ``apply FILE --yes --allow management``, by a process of its own: nothing of an earlier one is known to it."""
    settle(twin)
    host = FaultyHost(twin, broken_from)
    observed, plan = fresh(host, desired, folder)
    if plan.verdict == "blocked":
        return Ended(1, plan, None, 0)
    if refusals(plan, desired, observed, ["management"]):
        return Ended(5, plan, None, 0)
    ended = Ended(None, plan, None, 0)
    with (disk or Disk()).mounted(), _signals() as interrupts:
        try:
            if not plan.actions:
                note_in_sync(desired, observed, folder, contextlib.nullcontext)
                ended.code = 0
                return ended
            ended.result = carry_out(
                plan,
                desired,
                observed,
                reader=host,
                writer=host,
                state_dir=folder,
                progress=Silent(),
                stopped=interrupts.asked,
                on_error=on_error,
                entered=interrupts.enter,
                before=lambda action: ended.writes.append((twin.writes + 1, action.op)),
            )
            ended.code = int(ended.result.code)
        except Killed:
            ended.code = None
        except ReconcilerError as error:
            ended.code = error.code
    ended.effective = host.effective
    return ended


def fresh(host: TwinHost, desired: Desired, folder: Path) -> tuple[Snapshot, Plan]:
    """What is observed now, and the plan of now."""
    observed = host.observe()
    observed.ledger = read_ledger(folder)[0]
    observed.owed = owed(folder, observed.host.boot_id)
    return observed, make_plan(desired, observed)


@contextlib.contextmanager
def _signals() -> Iterator[Interrupts]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    with patch("reconciler.cli.interrupts._say"):
        try:
            yield Interrupts("no other is begun")
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def heal(twin: Twin, original: Twin) -> None:
    """What went wrong is over: libvirt answers, nothing hangs, a card that was pulled is back."""
    faults.clear(twin)
    if not twin.libvirt.available:
        service(twin, "start")
    for key, pf in original.pfs.items():
        if key not in twin.pfs:
            twin.pfs[key], twin.cards[key] = deepcopy(pf), deepcopy(original.cards[key])
            twin.pfs[key].vfs, twin.pfs[key].num_vfs = [], 0
    for guest in twin.guests.values():
        guest.answers_after = 0.5
    settle(twin)


def op_at(writes: list[tuple[int, str]], number: int) -> str:
    """The operation that was under way at this write."""
    return next((op for start, op in reversed(writes) if start <= number), "?")


__all__ = ["Action", "Disk", "Ended", "FaultyHost", "Killed", "apply", "fresh", "heal", "op_at"]
